"""The part of a network that sees an image: blocks of a convolution and a pooling."""

from components.learning.config import Convolutional
from components.learning.legacy_keras import tf, tf_keras

layers = tf_keras.layers


def seen(network: Convolutional, images: tf.Tensor) -> tf.Tensor:
    """What is seen in images, as a vector for each.

    Each block halves height and width: `conv_<n>` with ReLU, then `pool_<n>`, which keeps the largest of four.

    Args:
        network: how many blocks, and how large.
        images: (batch, height, width, channels) float32 in [0, 1].

    Returns:
        (batch, units).
    """
    penalty = tf_keras.regularizers.L2(network.l2) if network.l2 else None
    for index, filters in enumerate(network.filters):
        convolution = layers.Conv2D(
            filters, network.kernel, padding="same", activation="relu", kernel_regularizer=penalty, name=f"conv_{index}"
        )
        images = layers.MaxPooling2D(name=f"pool_{index}")(convolution(images))
    if network.pooling == "average":
        return layers.GlobalAveragePooling2D(name="pooled")(images)
    return layers.Flatten(name="flat")(images)
