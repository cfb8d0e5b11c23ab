"""Ways to compute a network's predictions on one thread, each a function of the network's inputs or of raw rows."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from components.learning import networks
from components.learning.legacy_keras import tf, tf_keras
from components.learning.networks import NetworkSpec

Inputs = Mapping[str, np.ndarray]
"""The network's inputs by name, of one batch."""
Engine = Callable[[Inputs], np.ndarray]
CALIBRATION_ROWS = 512


def litert(path: Path) -> Engine:
    """LiteRT, whose tensors are allocated once for each size of batch."""
    interpreters: dict[int, Any] = {}

    def predict(inputs: Inputs) -> np.ndarray:
        rows = len(next(iter(inputs.values())))
        if rows not in interpreters:
            interpreters[rows] = _allocated(path, inputs)
        interpreter, places, output, decode = interpreters[rows]
        for index, name, encode in places:
            interpreter.set_tensor(index, encode(inputs[name]))
        interpreter.invoke()
        found: np.ndarray = decode(interpreter.get_tensor(output))
        return found

    return predict


def _allocated(path: Path, inputs: Inputs) -> tuple[Any, ...]:
    interpreter = Interpreter(str(path), num_threads=1)
    for tensor in interpreter.get_input_details():
        interpreter.resize_tensor_input(tensor["index"], inputs[_name(tensor, inputs)].shape)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    places = [(tensor["index"], _name(tensor, inputs), _encoder(tensor)) for tensor in details]
    (output,) = interpreter.get_output_details()
    return interpreter, places, output["index"], _decoder(output)


def _name(tensor: Mapping[str, Any], inputs: Inputs) -> str:
    return next(name for name in inputs if name in tensor["name"])


def _encoder(tensor: Mapping[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    scale, zero_point = tensor["quantization"]
    if not scale:
        return lambda values: values.astype(tensor["dtype"], copy=False)
    limits = np.iinfo(tensor["dtype"])
    return lambda values: np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(tensor["dtype"])


def _decoder(tensor: Mapping[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    scale, zero_point = tensor["quantization"]
    if not scale:
        return lambda values: values
    return lambda values: (values.astype(np.float32) - zero_point) * np.float32(scale)


class _Calibration:
    """Rows one after the other, as onnxruntime's calibration asks for them."""

    def __init__(self, inputs: Inputs) -> None:
        self._rows: Iterator[dict[str, np.ndarray]] = (
            {name: values[row : row + 1] for name, values in inputs.items()} for row in range(CALIBRATION_ROWS)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rows, None)


def onnx(network: tf_keras.Model, spec: NetworkSpec, inputs: Inputs, folder: Path) -> dict[str, Path]:
    """The network as ONNX models: `float32`, and as onnxruntime quantizes it, `static` and `dynamic` int8.

    Args:
        network: with its weights.
        spec: the network.
        inputs: rows to calibrate on.
        folder: an existing folder to write to.
    """
    import tf2onnx
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    signature = list(networks.input_signature(spec).values())
    paths = {name: folder / f"{name}.onnx" for name in ("float32", "prepared", "static", "dynamic")}
    tf2onnx.convert.from_keras(network, signature, opset=17, output_path=str(paths["float32"]))
    shape_inference.quant_pre_process(str(paths["float32"]), str(paths["prepared"]), skip_symbolic_shape=True)
    quantization.quantize_dynamic(paths["prepared"], paths["dynamic"], per_channel=True)
    quantization.quantize_static(paths["prepared"], paths["static"], _Calibration(inputs), per_channel=True)
    return {name: path for name, path in paths.items() if name != "prepared"}


def onnxruntime(path: Path) -> Engine:
    """A session of onnxruntime."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def predict(inputs: Inputs) -> np.ndarray:
        found: np.ndarray = session.run(None, dict(inputs))[0]
        return found

    return predict


def tensorflow(network: tf_keras.Model) -> Engine:
    """The network as a TensorFlow function, which is what a SavedModel's signature runs after the transform."""
    call = tf.function(lambda inputs: network(inputs, training=False))

    def predict(inputs: Inputs) -> np.ndarray:
        found: np.ndarray = call({name: tf.constant(values) for name, values in inputs.items()}).numpy()
        return found

    return predict
