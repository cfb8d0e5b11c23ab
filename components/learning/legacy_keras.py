"""TensorFlow and tf_keras, made to fit each other: take both from here.

`tf.keras` is tf_keras only where TF_USE_LEGACY_KERAS is set before TensorFlow is imported. TensorFlow Transform sets it
when it is imported; without this module the order of imports would decide which Keras a model is made of.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
import tf_keras

__all__ = ["tf", "tf_keras"]
