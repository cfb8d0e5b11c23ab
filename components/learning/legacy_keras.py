"""Makes every TensorFlow import use tf_keras, quietly. Import this module before TensorFlow.

TensorFlow Transform and the model optimization toolkit set the variable when they are imported; without this module the
order of imports would decide what `tf.keras` is.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
