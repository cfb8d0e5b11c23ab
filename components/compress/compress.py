"""Makes one variant of a trained model: a complete serving artifact, raw features in, prediction out."""

import importlib
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from components import artifacts
from components.compress.config import Recipe
from components.compress.source import Source
from components.errors import UserError
from components.features.transform import Transform
from components.learning.networks import FLOATS, IDS, NetworkSpec

TRIED_BATCHES = (1, 7, 256)


def compress(model: Path, examples: Path, recipe: Recipe, work: Path, variant: Path) -> None:
    """Makes the artifact `variant` (artifacts.py): `serving/` and `variant.json`.

    Args:
        model: artifact of train.
        examples: artifact of preprocess; calibration reads its training examples.
        recipe: which variant to make.
        work: the work directory.
        variant: folder to write.

    Raises:
        UserError: the converted model cannot be loaded and run by LiteRT.
    """
    step = f"compress-{recipe.name}"
    with artifacts.recorded(step, work, [model], variant) as details, artifacts.atomic_folder(variant) as folder:
        started_s = time.perf_counter()
        source = Source(model, examples)
        content = importlib.import_module(f"components.compress.{recipe.name}").convert(source)
        try_out(content, source.spec, recipe.name)
        _write(folder / artifacts.SERVING, content, source.spec, recipe, Transform.read(model))
        details.update(recipe=recipe.name, bytes=len(content), seconds=time.perf_counter() - started_s)
        artifacts.write_json(folder / artifacts.VARIANT, details)


def try_out(content: bytes, spec: NetworkSpec, recipe: str) -> None:
    """Runs a LiteRT model on batches of several sizes: some models convert but do not load, or not at every size.

    Args:
        content: the model.
        spec: the network that it was converted from.
        recipe: names the variant in the error.

    Raises:
        UserError: it does not load, does not run, or gives anything but finite numbers of the right shape.
    """
    try:
        interpreter = Interpreter(model_content=content)
        for batch in TRIED_BATCHES:
            output = _run(interpreter, batch)
            if output.shape != (batch, spec.outputs) or not np.isfinite(output).all():
                raise ValueError(f"{batch} rows give an output of shape {output.shape}, or one that is not finite")
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"variant {recipe} does not run ({reason}); remove it from compress.recipes") from None


def _run(interpreter: Interpreter, batch: int) -> np.ndarray:
    """The output for a batch of zeros."""
    for tensor in interpreter.get_input_details():
        interpreter.resize_tensor_input(tensor["index"], (batch, tensor["shape"][1]))
    interpreter.allocate_tensors()
    for tensor in interpreter.get_input_details():
        interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _write(folder: Path, content: bytes, spec: NetworkSpec, recipe: Recipe, transform: Transform) -> None:
    artifacts.write_bytes(folder / artifacts.LITERT_MODEL, content)
    transform.write(folder)
    artifacts.write_json(
        folder / artifacts.SERVING_SPEC,
        {
            "task": spec.task,
            "classes": spec.classes,
            "float_width": spec.floats,
            "id_count": len(spec.id_sizes),
            "recipe": recipe.name,
            "inputs": [name for name, width in ((FLOATS, spec.floats), (IDS, len(spec.id_sizes))) if width],
        },
    )
