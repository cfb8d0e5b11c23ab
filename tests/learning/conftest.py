"""Two logical processors, so that a mirrored strategy has two replicas."""

from components.learning.legacy_keras import tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
