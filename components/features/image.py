"""`image`: a PNG image as pixels of a fixed size.

The plain form is in `pixels.py`, apart from the declaration, so that what only reads declarations needs no Pillow.
"""

from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from components.features.columns import Data, RawBatch
from components.features.declaration import Feature, Learned, PlainForm, ValueId, check_type, no_floats, no_ids


class Image(Feature):
    """The pixels of a PNG image, resized; in place of floats and ids. A missing image is black.

    The network sees numbers from 0 to 1; until then, and in the stored examples, pixels are bytes.
    """

    kind: Literal["image"] = "image"
    column: str = Field(description="column to read: image")
    height: int = Field(ge=4, le=1024, description="height in pixels that images are resized to")
    width: int = Field(ge=4, le=1024, description="width in pixels that images are resized to")
    channels: Literal[1, 3] = Field(1, description="1: grey; 3: red, green and blue; transparent parts become black")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.height, self.width, self.channels

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    @property
    def float_width(self) -> int:
        """No floats."""
        return 0

    def id_sizes(self, learned: Learned) -> tuple[int, ...]:  # noqa: ARG002
        """No ids."""
        return ()

    def check(self, data: Data) -> None:
        """Needs a column of images."""
        check_type(data, self.column, ("image",))

    def plain(self, learned: Learned) -> PlainForm:  # noqa: ARG002
        """No floats and no ids; the pixels come from `pixels.Pixels`."""
        return partial(_nothing, self.column)

    def value_ids(self, learned: Learned, data: Data) -> tuple[ValueId, ...]:  # noqa: ARG002
        """No ids."""
        return ()


def _nothing(column: str, raw: RawBatch) -> tuple[np.ndarray, np.ndarray]:
    return no_floats(len(raw[column])), no_ids(len(raw[column]))
