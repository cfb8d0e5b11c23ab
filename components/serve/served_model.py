"""One loaded version of a model: rows in, predictions out."""

from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components import artifacts
from components.errors import UserError
from components.features.png import ImageError
from components.features.reader import InstanceReader
from components.predictor.predictor import Predictor
from components.serve.answers import bad_request
from components.serve.batching import Batcher, RowError
from components.serve.cache import Cache, Row
from components.serve.config import Serve, read_lineage, read_serve
from components.serve.cost import BATCH, Cost, measure, measure_pixel
from components.serve.counters import Counters
from components.serve.example import JsonValue, example
from components.serve.images import Images
from components.serve.limits import Limits
from components.store import CHECKSUMS, Version, verify

LOOKUP_S = 3e-6
"""What it costs to look a row up in the cache and to remember it."""
HITS = 0.2
"""The share of hits from which on the cache must pay; otherwise it is not asked."""


@dataclass(frozen=True)
class Source:
    """Where a version of a model lies."""

    name: str
    folder: Path
    """A version of the store, a copy of one, or a serving artifact alone."""
    version: int | None = None
    """Its number; None: what `lineage.json` says, where there is one."""


class ServedModel:
    """A version that answers. Its methods are for the event loop."""

    def __init__(self, source: Source, limits: Limits, counters: Counters, join_s: float) -> None:
        """Reads, tries and measures a version; takes 0.1 s and more, so a thread may do it.

        Args:
            source: the version.
            limits: of the process.
            counters: of the model, through all its versions.
            join_s: what `cost.measure_join` found.

        Raises:
            UserError: the version is incomplete or damaged.
        """
        self.name = source.name
        self.counters = counters
        lineage = read_lineage(source.folder)
        self.version: int | None = source.version if source.version is not None else lineage.get("version")
        self.trained_until: int | None = lineage.get("trained_until")
        """Seconds since 1970, of the newest row that it was trained on."""
        _verify(source.folder, self.version)
        self.settings: Serve = read_serve(source.folder)
        # The thread's own: an interpreter does one prediction at a time.
        self.predictor, self._thread_predictor = (Predictor.load(_serving(source.folder)) for _ in range(2))
        self.names = self.predictor.source_columns
        self.data = self.predictor.transform.data
        self.reader = InstanceReader(self.data, self.names)
        self.example: dict[str, JsonValue] = example(self.predictor.transform, self.trained_until)
        rows = self.reader.from_json([self.example] * BATCH)
        self._images = Images(self.names, self.data, rows[0]) if self.predictor.transform.pixels else None
        cost = self._measure(rows, join_s)
        self.batcher = Batcher(self._predict_here, self._predict_there, cost, limits, counters)
        self.cache = Cache(self.settings.cache_entries)
        self._remembers_one = bool(self.settings.cache_entries) and HITS * cost.one_s > LOOKUP_S
        self._remembers_many = bool(self.settings.cache_entries) and HITS * cost.row_s > LOOKUP_S

    @property
    def cost(self) -> Cost:
        """What a prediction costs."""
        return self.batcher.cost

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes whose probabilities a prediction holds; empty where it is one number."""
        return self.predictor.classes if self.predictor.task == "multiclass" else ()

    def predict(self, rows: list[Row]) -> Coroutine[Any, Any, list[Any]]:
        """The predictions of one request's rows: a number each, or the classes' probabilities.

        Args:
            rows: as `reader` gives them; one at least.

        Raises:
            RefusalError: the queue is full, the prediction did not come in time, or an image cannot be read.
        """
        return self._predicted(rows) if self._images is None else self._of_images(rows, self._images)

    async def _of_images(self, rows: list[Row], images: Images) -> list[Any]:
        pixels = images.extra(rows)
        try:
            return await self._predicted(rows, pixels)
        except RowError as error:
            raise bad_request(f"row {rows.index(error.row)}: {error.reason}") from None

    async def _predicted(self, rows: list[Row], pixels: int = 0) -> list[Any]:
        if not (self._remembers_one if len(rows) == 1 else self._remembers_many):
            return await self.batcher.predict(rows, pixels)
        known = [self.cache.get(row) for row in rows]
        missing = [row for row, prediction in zip(rows, known) if prediction is None]
        self.counters.cache_hits += len(rows) - len(missing)
        if not missing:
            return known
        self.counters.cache_misses += len(missing)
        predicted = await self.batcher.predict(missing, pixels)
        for row, prediction in zip(missing, predicted):
            self.cache.put(row, prediction)
        if len(missing) == len(rows):
            return predicted
        news = iter(predicted)
        return [next(news) if prediction is None else prediction for prediction in known]

    def unseen(self) -> dict[str, int]:
        """By feature, how many values were met that its vocabulary does not know."""
        here, there = self.predictor.unseen(), self._thread_predictor.unseen()
        return {feature: count + there[feature] for feature, count in here.items()}

    def close(self) -> None:
        """Lets go of the thread; what it still has to answer is answered."""
        self.batcher.close()

    def _predict_here(self, rows: list[Row]) -> list[Any]:
        return self._predict(self.predictor, rows)

    def _predict_there(self, rows: list[Row]) -> list[Any]:
        return self._predict(self._thread_predictor, rows)

    def _predict(self, predictor: Predictor, rows: list[Row]) -> list[Any]:
        try:
            predictions: list[Any] = predictor.predict_rows(rows).tolist()
            return predictions
        except ImageError as error:
            found = self._images.unreadable(rows) if self._images else None
            raise found or error from None

    def _measure(self, rows: list[Row], join_s: float) -> Cost:
        self._predict_there(rows)
        cost = measure(self._predict_here, rows, join_s)
        if self._images is None:
            return cost
        probe, pixels = self._images.probe()
        return replace(cost, pixel_s=measure_pixel(self._predict_here, rows[0], probe, pixels))


def _serving(folder: Path) -> Path:
    inside = folder / artifacts.SERVING
    return inside if inside.is_dir() else folder


def _verify(folder: Path, version: int | None) -> None:
    """Compares with the checksums, which a serving artifact alone does not have."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give that of a version or of a serving artifact")
    if (folder / CHECKSUMS).is_file():
        verify(Version(version or 0, folder))
