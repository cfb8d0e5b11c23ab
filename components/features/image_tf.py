"""`image` in TensorFlow: the twin of the plain form in `pixels.py`."""

import tensorflow as tf

from components.features.columns_tf import RawTensors
from components.features.image import Image
from components.features.pixels import LUMA, LUMA_SUM, OPAQUE
from components.features.png import MOST_BYTES, MOST_PIXELS, MOST_SIDE, SIGNATURE, SIZES_END


class ImageGraph(tf.Module):
    """An `image` feature as TensorFlow ops."""

    def __init__(self, feature: Image) -> None:
        super().__init__()
        self._feature = feature

    def __call__(self, raw: RawTensors) -> tf.Tensor:
        """Raw columns (batch,) to pixels (batch, height, width, channels) uint8; zeros where the image is missing.

        Raises:
            tf.errors.InvalidArgumentError: an image is no PNG, damaged or too large.
        """
        pixels = tf.TensorSpec(self._feature.shape, tf.uint8)
        contents = raw[self._feature.column]
        # Each image that is decoded at the same time may need some hundred MiB.
        return tf.map_fn(self._pixels, contents, parallel_iterations=2, fn_output_signature=pixels)

    def _pixels(self, content: tf.Tensor) -> tf.Tensor:
        missing = tf.zeros(self._feature.shape, tf.uint8)
        pixels = tf.cond(tf.equal(content, ""), lambda: missing, lambda: self._fitted(_decoded(content)))
        return tf.ensure_shape(pixels, self._feature.shape)

    def _fitted(self, rgba: tf.Tensor) -> tf.Tensor:
        height, width, channels = self._feature.shape
        pixels = _flat(rgba, channels)
        fits = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], [height, width]))
        return tf.cond(fits, lambda: pixels, lambda: _resized(pixels, height, width))


def _decoded(content: tf.Tensor) -> tf.Tensor:
    """A PNG file as (height, width, 4) uint8."""
    # TensorFlow would also read a JPEG or GIF here, and an image of any size. The messages hold no values: the bytes of
    # an image are no text, and TensorFlow then fails over its error; as over that of a substring beyond the end.
    length = tf.strings.length(content)
    is_png = (length > SIZES_END) & tf.equal(tf.strings.substr(content, 0, 8), SIGNATURE)
    with tf.control_dependencies(_asserted((is_png, "an image is no PNG"))):
        sides = tf.io.decode_raw(tf.strings.substr(content, SIZES_END - 8, 8), tf.int32, little_endian=False)
    checks = _asserted(
        (length <= MOST_BYTES, f"an image has more than {MOST_BYTES} bytes"),
        (tf.reduce_max(sides) <= MOST_SIDE, f"an image has more than {MOST_SIDE} pixels on a side"),
        (tf.reduce_prod(tf.cast(sides, tf.int64)) <= MOST_PIXELS, f"an image has more than {MOST_PIXELS} pixels"),
    )
    with tf.control_dependencies(checks):
        rgba = tf.io.decode_png(content, channels=4)
        depth = tf.io.decode_raw(tf.strings.substr(content, 24, 1), tf.uint8)[0]
    return tf.cond(depth < 8, lambda: _with_opaque(rgba, content, depth), lambda: rgba)


def _asserted(*conditions: tuple[tf.Tensor, str]) -> list[tf.Operation]:
    """What to wait for; nothing outside of a graph, where a condition that does not hold is raised at once."""
    checks = [tf.debugging.Assert(holds, [message]) for holds, message in conditions]
    return [check for check in checks if check is not None]


def _with_opaque(rgba: tf.Tensor, content: tf.Tensor, depth: tf.Tensor) -> tf.Tensor:
    """Undoes a mistake of TensorFlow's: to images of few bits without transparency it adds an alpha of few bits too."""
    # A palette with transparency is read as four channels; grey with transparency has no alpha but 0 and 255.
    has_alpha = tf.equal(tf.shape(tf.io.decode_png(content))[-1], 4)
    wrong = tf.cast(tf.bitwise.left_shift(1, tf.cast(depth, tf.int32)) - 1, tf.uint8)
    alpha = rgba[..., 3:]
    opaque = tf.where(tf.equal(alpha, wrong), tf.constant(OPAQUE, tf.uint8), alpha)
    return tf.concat([rgba[..., :3], tf.where(has_alpha, alpha, opaque)], axis=-1)


def _flat(rgba: tf.Tensor, channels: int) -> tf.Tensor:
    """(height, width, 4) to (height, width, channels) uint8, on black."""
    wide = tf.cast(rgba, tf.int32)
    seen = (wide[..., :3] * wide[..., 3:] + OPAQUE // 2) // OPAQUE
    if channels == 1:
        seen = (tf.reduce_sum(seen * LUMA, axis=-1, keepdims=True) + LUMA_SUM // 2) // LUMA_SUM
    return tf.cast(seen, tf.uint8)


def _resized(pixels: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """(rows, columns, channels) uint8 to (height, width, channels) uint8."""
    rows, columns, channels = tf.unstack(tf.shape(pixels))
    vertical = _means(_weights(rows, height), tf.reshape(pixels, [rows, columns * channels]))
    means = _means(_weights(columns, width), tf.reshape(vertical, [height, columns, channels]))
    return tf.cast(means, tf.uint8)


def _weights(size: tf.Tensor, wanted: int) -> tf.Tensor:
    """(wanted, size) float64 whole numbers."""
    centres = (2 * tf.range(wanted) + 1) * size
    distances = tf.abs(centres[:, tf.newaxis] - (2 * tf.range(size) + 1) * wanted)
    return tf.cast(tf.maximum(0, 2 * tf.maximum(size, wanted) - distances), tf.float64)


def _means(shares: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Weighted means as int64, rounded half up."""
    total = tf.cast(tf.reduce_sum(shares, axis=1, keepdims=True), tf.int64)
    sums = tf.cast(tf.matmul(shares, tf.cast(values, tf.float64)), tf.int64)
    return (2 * sums + total) // (2 * total)
