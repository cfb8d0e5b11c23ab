"""A small model's declaration, stores that hold its versions, and those who ask a server."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from components import artifacts
from components.features.boolean import Boolean
from components.features.category import Category
from components.features.columns import Data
from components.features.datetime import Datetime
from components.features.declaration import Moments, Nothing, Vocabulary
from components.features.numeric import Numeric
from components.features.reader import InstanceReader
from components.predictor.predictor import Predictor
from components.store import ModelStore, Version

DATA = Data.model_validate_json(
    '{"columns": {"id": "string", "amount": "float", "count": "integer", "carrier": "string", "open": "boolean",'
    ' "when": "timestamp", "label": "integer"}, "label": "label", "task": "binary", "time": "when", "key": ["id"]}'
)
FEATURES = (
    Numeric(name="amount", column="amount"),
    Numeric(name="count", column="count"),
    Category(name="carrier", column="carrier"),
    Boolean(name="open", column="open"),
    Datetime(name="clock", column="when", parts=("minute_of_day",), encode="cyclic"),
)
LEARNED = {
    "amount": Moments(10.0, 5.0, -5.0, 70.0),
    "count": Moments(3.0, 2.0, 0.0, 30.0),
    "carrier": Vocabulary(("AA", "UA", "Ñandú"), (50, 30, 20)),
    "open": Nothing(),
    "clock": Nothing(),
}
INSTANCE = {"amount": 12.5, "count": 4, "carrier": "UA", "open": True, "when": "2013-01-31T17:05:00"}
ROWS = [
    INSTANCE,
    {**INSTANCE, "amount": -3.25, "carrier": "Ñandú"},
    {**INSTANCE, "count": None, "carrier": "unheard of"},
    {"id": "a", "amount": 1e6, "label": 1},
    {},
]
TRAINED_UNTIL = 1_600_000_000


@dataclass(frozen=True)
class Made:
    """A serving artifact."""

    folder: Path

    def predict(self, instances: list[dict[str, Any]]) -> list[Any]:
        """What it says in this process."""
        predictor = Predictor.load(self.folder)
        reader = InstanceReader(predictor.transform.data, predictor.source_columns)
        return predictor.predict_rows(reader.from_json(instances)).tolist()


def add_version(work: Path, name: str, made: Made, **serve: Any) -> Version:
    """Adds a version to a store."""

    def fill(folder: Path, number: int) -> None:
        shutil.copytree(made.folder, folder / artifacts.SERVING)
        artifacts.write_json(folder / artifacts.LINEAGE, {"version": number, "trained_until": TRAINED_UNTIL})
        (folder / artifacts.MODEL_YAML).write_text(yaml.safe_dump({"name": name, "serve": serve}))

    return ModelStore(work, name).add(fill)


def deploy(work: Path, name: str, made: Made, **serve: Any) -> Version:
    """Adds a version and puts it into service."""
    version = add_version(work, name, made, **serve)
    ModelStore(work, name).point("serving", version)
    return version


def metrics(url: str) -> dict[str, float]:
    """The values of all metrics by name and labels, as the text has them."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def predict(url: str, instances: list[dict[str, Any]], model: str = "small") -> httpx.Response:
    return httpx.post(f"{url}/v1/models/{model}:predict", json={"instances": instances}, timeout=20)


def until(condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
    """Waits until a condition holds."""
    waiting = threading.Event()
    for _ in range(int(timeout_s / 0.02)):
        if condition():
            return
        waiting.wait(0.02)
    raise AssertionError(f"not within {timeout_s} s")


class Asking:
    """Threads that ask one question again and again, and keep the answers."""

    def __init__(self, url: str, threads: int = 4, model: str = "small") -> None:
        self.answers: list[tuple[str | None, Any]] = []
        self.failures: list[str] = []
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url, model)) for _ in range(threads)]

    def __enter__(self) -> "Asking":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, url: str, model: str) -> None:
        with httpx.Client(base_url=url, timeout=20) as client:
            while not self._stopping.is_set():
                try:
                    answer = client.post(f"/v1/models/{model}:predict", json={"instances": ROWS})
                    answer.raise_for_status()
                    self.answers.append((answer.headers.get("model-version"), answer.json()["predictions"]))
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
