"""Images in requests: how much work they are is told from their first bytes, before anything is inflated."""

from collections.abc import Sequence

import numpy as np

from components.features import png
from components.features.columns import Data
from components.features.png import MOST_PIXELS, ImageError
from components.features.rows import WHOLE_IMAGE
from components.serve.answers import RefusalError, bad_request
from components.serve.batching import RowError
from components.serve.cache import Row

PROBE_SIDE = 256


class Images:
    """Weighs and checks the images of one model's requests."""

    def __init__(self, names: Sequence[str], data: Data, example: Row) -> None:
        """Takes what a row is.

        Args:
            names: the columns of a row.
            data: declares them.
            example: the row that predictions are measured with.
        """
        self._places = [(place, name) for place, name in enumerate(names) if data.columns[name].type == "image"]
        self._example = example
        self._usual = self._work([example])[0]

    def extra(self, rows: Sequence[Row]) -> int:
        """How many pixels and bytes of a file the rows have more than as many examples.

        Raises:
            RefusalError: 400, one is no PNG or too large; 413, they are too large together.
        """
        work, pixels = self._work(rows)
        if pixels > MOST_PIXELS:
            message = f"the images have {pixels} pixels together; send at most {MOST_PIXELS} in one request"
            raise RefusalError(413, "too_large", message)
        return max(0, work - self._usual * len(rows))

    def probe(self) -> tuple[Row, int]:
        """A row with a large image, and what `extra` says of it."""
        content = png.encode(np.full((PROBE_SIDE, PROBE_SIDE, 4), 128, np.uint8))
        row = list(self._example)
        for place, _ in self._places:
            row[place] = content
        probe = tuple(row)
        return probe, max(1, self.extra([probe]))

    def unreadable(self, rows: Sequence[Row]) -> RowError | None:
        """The first row with an image that cannot be read."""
        for row in rows:
            for place, name in self._places:
                reason = png.refusal(row[place]) if row[place] else None
                if reason is not None:
                    return RowError(row, f"{name} {reason}; {WHOLE_IMAGE}")
        return None

    def _work(self, rows: Sequence[Row]) -> tuple[int, int]:
        """Pixels and bytes of all images, and their pixels alone: a file of few pixels can have many small chunks."""
        size = pixels = 0
        for index, row in enumerate(rows):
            for place, name in self._places:
                content = row[place]
                if content:
                    size += len(content)
                    try:
                        pixels += png.pixels(content)
                    except ImageError as error:
                        raise bad_request(f"row {index}: {name} {error}; {WHOLE_IMAGE}") from None
        return size + pixels, pixels
