"""How much work the images of a request are is told before any of them is decoded."""

import numpy as np
import pytest

from components.features import png
from components.serve.answers import RefusalError
from components.serve.images import Images
from tests.features.pictures import header
from tests.learning.photos import DATA

USUAL = png.encode(np.zeros((8, 12, 3), np.uint8))


@pytest.fixture
def images() -> Images:
    return Images(("size", "photo"), DATA, (1.0, USUAL))


def row(content: bytes | None) -> tuple[float, bytes | None]:
    return 1.0, content


def test_what_is_like_the_example_is_nothing_extra(images) -> None:
    assert images.extra([row(USUAL)] * 5) == images.extra([row(None), row(USUAL)]) == 0


def test_pixels_are_counted_without_being_decoded(images) -> None:
    """A header alone is no image, which only the thread will find out."""
    content = png.SIGNATURE + png.chunk(b"IHDR", header(2048, 1024))
    assert images.extra([row(content)]) == 2**21 + len(content) - 96 - len(USUAL)
    assert images.unreadable([row(USUAL), row(content)]).reason.startswith("photo is a PNG image that is cut off; send")
    assert images.unreadable([row(USUAL), row(None)]) is None


def test_bytes_count_too(images) -> None:
    """Few pixels may come in very many small chunks."""
    content = USUAL[:33] + png.chunk(b"tEXt", b"") * 10_000 + USUAL[33:]
    assert images.extra([row(content)]) == 120_000


@pytest.mark.parametrize(
    ("size", "rows", "status"), [((2049, 2048), 1, 400), ((2048, 2048), 2, 413), ((2**13, 512), 1, None)]
)
def test_limits(images, size, rows, status) -> None:
    content = png.SIGNATURE + png.chunk(b"IHDR", header(*size))
    if status is None:
        assert images.extra([row(content)] * rows) > 0
    else:
        with pytest.raises(RefusalError) as refused:
            images.extra([row(content)] * rows)
        assert refused.value.status == status
        assert "4194304" in refused.value.message


def test_the_probe_is_larger_than_the_example(images) -> None:
    probe, pixels = images.probe()
    assert pixels == images.extra([probe]) > 60_000
    assert images.unreadable([probe]) is None
