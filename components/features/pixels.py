"""`image` in numpy and Pillow: PNG files to pixels. The twin in TensorFlow is `image_tf.py`.

All arithmetic is on whole numbers, so that both forms give the same bytes whatever the order of a sum. Pillow only
undoes the compression and the filters of the rows; what its samples mean is decided here.
"""

import functools
from collections.abc import Sequence

import numpy as np

from components.features import png
from components.features.image import Image
from components.features.png import GREY, PALETTE, RGB, Png

PIXEL_SCALE = np.float32(1 / 255)
"""Times a pixel's byte, the number that the network sees."""
MAX_PIXELS = 2**18
"""Pixels, once resized, that are held at a time: what a network computes of an image takes up to a hundred times its
size. 334 images of 28 by 28."""
KEPT_WEIGHTS = 2**14
"""Weights of a resizing that are kept for the next image; the size of an image is the client's choice."""
OPAQUE = 255
LUMA, LUMA_SUM = (299, 587, 114), 1000
"""Shares of red, green and blue in grey (ITU-R BT.601)."""
_MODES = {GREY: "P", RGB: "RGB", PALETTE: "P", png.GREY_ALPHA: "LA", png.RGBA: "RGBA"}
"""Colour type → Pillow's mode; P leaves samples of any depth as they are."""


class Pixels:
    """Images of one feature."""

    def __init__(self, feature: Image) -> None:
        """Takes the declaration."""
        self.column, self.shape = feature.column, feature.shape

    def __call__(self, contents: Sequence[bytes | None] | np.ndarray) -> np.ndarray:
        """Decodes and resizes images.

        Args:
            contents: PNG files; None or empty where missing.

        Returns:
            (batch, height, width, channels) uint8; zeros where missing.

        Raises:
            ImageError: a file is none that can be read.
        """
        height, width, channels = self.shape
        pixels = np.zeros((len(contents), *self.shape), np.uint8)
        for row, content in enumerate(contents):
            if content:
                pixels[row] = resized(decoded(png.read(content), channels), height, width)
        return pixels


def decoded(image: Png, channels: int) -> np.ndarray:
    """The pixels of an image in its own size, (height, width, channels) uint8."""
    samples = _samples(image)
    if image.colour in (GREY, PALETTE):
        return _table(image.colour, image.depth, image.palette, image.transparency, channels)[samples]
    return _flat(_rgba(samples, image.transparency), channels)


def resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation with antialiasing: as each pixel is a weighted mean, two products of matrices.

    Args:
        pixels: (rows, columns, channels) uint8.
        height: wanted.
        width: wanted.

    Returns:
        (height, width, channels) uint8, rounded after each product; the same pixels where the size is right already.
    """
    rows, columns, channels = pixels.shape
    if (rows, columns) == (height, width):
        return pixels
    vertical = _means(weights(rows, height), pixels.reshape(rows, columns * channels))
    return _means(weights(columns, width), vertical.reshape(height, columns, channels)).astype(np.uint8)


def weights(size: int, wanted: int) -> np.ndarray:
    """How much each of `size` pixels counts in each of `wanted` ones, (wanted, size) float64 whole numbers.

    A triangle around each wanted pixel's centre, as wide as two pixels of the coarser grid, times twice the finer
    grid's size, which makes its heights whole numbers.
    """
    return (_kept_weights if size * wanted <= KEPT_WEIGHTS else _weights)(size, wanted)


def _weights(size: int, wanted: int) -> np.ndarray:
    centres = (2 * np.arange(wanted) + 1) * size
    distances = np.abs(centres[:, None] - (2 * np.arange(size) + 1) * wanted)
    return np.maximum(0, 2 * max(size, wanted) - distances).astype(np.float64)


_kept_weights = functools.lru_cache(maxsize=32)(_weights)


def _means(shares: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted means, rounded half up: exact, since float64 holds whole numbers up to 2**53."""
    total = shares.sum(axis=1, keepdims=True).astype(np.int64)
    sums = (shares @ values.astype(np.float64)).astype(np.int64)
    return (2 * sums + total) // (2 * total)


def _samples(image: Png) -> np.ndarray:
    """(height, width) or (height, width, samples) uint8, as the file has them."""
    import PIL.Image  # costs 0.05 s that models without images need not pay

    mode = _MODES[image.colour]
    layout = mode if image.depth == 8 else f"{mode};{image.depth}"
    size = image.width, image.height
    return np.asarray(PIL.Image.frombytes(mode, size, image.data, "zip", layout, int(image.interlaced)))


@functools.lru_cache(maxsize=64)
def _table(colour: int, depth: int, palette: bytes, transparency: bytes, channels: int) -> np.ndarray:
    """What each sample of a grey image or of one with a palette means, (256, channels) uint8."""
    rgba = np.zeros((256, 4), np.uint8)
    rgba[:, 3] = OPAQUE
    if colour == PALETTE:
        rgba[: len(palette) // 3, :3] = np.frombuffer(palette, np.uint8).reshape(-1, 3)
        rgba[: len(transparency), 3] = np.frombuffer(transparency, np.uint8)
    else:
        levels = 2**depth
        rgba[:levels, :3] = (np.arange(levels) * (255 // (levels - 1)))[:, None]
        if transparency:
            rgba[transparency[-1] % levels, 3] = 0
    return _flat(rgba, channels)


def _rgba(samples: np.ndarray, transparency: bytes) -> np.ndarray:
    """(height, width, 4) uint8 of samples of red, green and blue, of these with alpha, or of grey with alpha."""
    if samples.shape[-1] == 4:
        return samples
    if samples.shape[-1] == 2:
        return samples[..., [0, 0, 0, 1]]
    alpha = np.full((*samples.shape[:-1], 1), OPAQUE, np.uint8)
    if transparency:
        alpha[(samples == np.frombuffer(transparency, np.uint8)[1::2]).all(axis=-1)] = 0
    return np.concatenate([samples, alpha], axis=-1)


def _flat(rgba: np.ndarray, channels: int) -> np.ndarray:
    """(…, 4) to (…, channels) uint8, on black."""
    wide = rgba.astype(np.int32)
    seen = (wide[..., :3] * wide[..., 3:] + OPAQUE // 2) // OPAQUE
    if channels == 1:
        seen = ((seen * LUMA).sum(axis=-1, keepdims=True) + LUMA_SUM // 2) // LUMA_SUM
    return seen.astype(np.uint8)
