"""How a training process ends. From 128 on, a TFJob tries again."""

PREEMPTED = 128 + 15
"""It was told to end, and has saved its checkpoint."""
LOST = PREEMPTED + 1
"""It lost the other processes."""
