"""Writes what a training gave, epoch by epoch, for TensorBoard.

Events are written by TensorFlow's own means: `tf.summary.scalar` needs the package tensorboard, which belongs to the
machine of whoever looks, not into the image of the step.
"""

import time
from pathlib import Path
from types import TracebackType
from typing import Any

from components.learning.course import Epoch
from components.learning.legacy_keras import tf

FILE_VERSION = "brain.Event:2"
Event = tf.compat.v1.Event
Summary = tf.compat.v1.Summary


class Watcher:
    """Writes the curves of one training; to be told of all its epochs in turn, of those before a restart too.

    Each curve is written by epoch and by examples seen. What an earlier process of the same training left in the folder
    is replaced, so that no epoch is drawn twice.
    """

    def __init__(self, folder: Path, metric: str, config: str) -> None:
        """Begins the file of events.

        Args:
            folder: of this training alone; need not exist.
            metric: name of the validation metric.
            config: JSON of what is trained how.
        """
        self._metric = metric
        self._examples = 0
        folder.mkdir(parents=True, exist_ok=True)
        earlier = list(folder.glob("events.out.tfevents.*"))
        # TensorBoard reads the files in the order of their names.
        self._file = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{time.time():.6f}"))
        self._write(file_version=FILE_VERSION)
        # A TensorBoard that has read the earlier files already forgets their steps from this one on.
        self._write(step=0, session_log=tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START))
        self._write(step=0, summary=Summary(value=[_text("config", f"```json\n{config}\n```")]))
        self._file.flush()
        for path in earlier:
            path.unlink(missing_ok=True)

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def __call__(self, epoch: Epoch) -> None:
        """Writes one epoch; who looks sees it at once."""
        self._examples += epoch.examples
        scalars = {
            "loss": epoch.loss,
            "validation loss": epoch.validation_loss,
            f"validation {self._metric}": epoch.validation_metric,
            "examples per second": epoch.examples / epoch.seconds if epoch.seconds else 0.0,
        }
        for axis, step in (("by epoch", epoch.epoch), ("by examples", self._examples)):
            values = [Summary.Value(tag=f"{axis}/{name}", simple_value=value) for name, value in scalars.items()]
            self._write(step=step, summary=Summary(value=values))
        self._file.flush()

    def _write(self, **what: object) -> None:
        self._file.write(Event(wall_time=time.time(), **what).SerializeToString())


def _text(tag: str, markdown: str) -> Any:
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="text")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin)
    return Summary.Value(tag=tag, tensor=tf.make_tensor_proto([markdown]), metadata=metadata)
