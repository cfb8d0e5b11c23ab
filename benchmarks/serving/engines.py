"""From rows of JSON values to probabilities inside one process: with LiteRT, and with TensorFlow.

Both take what a JSON parser gives of `{"instances": [...]}`. The benchmark measures them in process, and puts the same
two behind the `kserve` SDK server.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

Rows = Sequence[dict[str, Any]]
Engine = Callable[[Rows], list[float]]
EPOCH = datetime(1970, 1, 1)


def seconds(text: str | None) -> int | None:
    """Seconds since 1970 of ISO 8601 text."""
    if text is None:
        return None
    since = datetime.fromisoformat(text) - EPOCH
    return since.days * 86_400 + since.seconds


def litert(version: Path) -> Engine:
    """The project's predictor, without TensorFlow; rows are checked as the server checks them.

    Args:
        version: a version of the model store.
    """
    from components.artifacts import SERVING
    from components.features.reader import InstanceReader
    from components.predictor.predictor import Predictor

    predictor = Predictor.load(version / SERVING)
    reader = InstanceReader(predictor.transform.data, predictor.source_columns)
    kind = list[reader.row_type]  # type: ignore[name-defined]

    def predict(rows: Rows) -> list[float]:
        predictions: list[float] = predictor.predict_rows(reader.rows(msgspec.convert(rows, kind))).tolist()
        return predictions

    return predict


def tensorflow(version: Path) -> Engine:
    """The signature `serving_default` of the exported SavedModel, on one thread, as TensorFlow Serving runs it.

    Args:
        version: a version of the model store.
    """
    import tensorflow as tf

    from components.artifacts import SAVED_MODEL
    from components.features.columns import MISSING_INTEGER
    from components.features.transform import Transform
    from components.features.transform_tf import input_names

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.saved_model.load(str(version / SAVED_MODEL))
    inputs = model.signatures["serving_default"].structured_input_signature[1]
    transform = Transform.read(version)
    types, names = transform.data.columns, input_names(transform.source_columns)
    missing = {"string": "", "float": float("nan")}
    columns = [(name, names[name], types[name].type == "timestamp",
                missing.get(types[name].type, MISSING_INTEGER),
                inputs[names[name]].dtype) for name in names]  # fmt: skip

    def tensor(rows: Rows, name: str, is_time: bool, absent: Any, dtype: tf.DType) -> tf.Tensor:
        values = [seconds(row.get(name)) if is_time else row.get(name) for row in rows]
        return tf.constant([absent if value is None else value for value in values], dtype)

    def predict(rows: Rows) -> list[float]:
        raw = {given: tensor(rows, name, *rest) for name, given, *rest in columns}
        # By the model each time: a signature alone does not keep the model's tables alive.
        predictions: list[float] = model.signatures["serving_default"](**raw)["output"].numpy()[:, 0].tolist()
        return predictions

    return predict


ENGINES: dict[str, Callable[[Path], Engine]] = {"litert": litert, "tensorflow": tensorflow}
