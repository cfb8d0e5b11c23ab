"""Makes one variant of a trained model: a complete serving artifact, raw features in, prediction out."""

import contextlib
import importlib
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from components import artifacts
from components.compress import litert
from components.compress.candidate import Candidate
from components.compress.config import Recipe
from components.compress.source import Source
from components.errors import UserError
from components.features.transform import Transform
from components.learning import networks, training_folder
from components.learning.fit import DivergedError
from components.learning.networks import NetworkSpec
from components.learning.termination import Termination
from components.schema import canonical_json
from components.storage.address import Address

if TYPE_CHECKING:
    from components.compress.tune import Trained

log = logging.getLogger(__name__)
TRIED_BATCHES = (1, 7, 256)
MESSAGE_CHARACTERS = 400
"""Characters of a converter's message that are told."""
SPARSE = ("float32", "float16")
"""Formats that are tried with zeros left out where the network is pruned; the others do not load then."""


class UnusableError(UserError):
    """A variant cannot be converted, loaded or run."""


def compress(model: Path, examples: Path, recipe: Recipe, work: Address, variant: Path) -> None:
    """Makes the artifact `variant` (artifacts.py): `serving/` and `variant.json`.

    `variant.json` holds {recipe, bytes, seconds, sparsity, parameters, made, history, notes}: the size of the LiteRT
    model; seconds of this process; the share of weights that are zero and their number, as `litert.count` tells them;
    what making it took, `made` {seconds, examples, cost}, in all processes that went on from each other; each training,
    as `course.Fitted` has it; and what the variant is not though its recipe says so, a sentence each.

    A recipe that does not suit the network is no reason to lose the other variants: `variant.json` then holds {recipe,
    seconds, error}, one sentence, and there is no `serving/`.

    What a training saves while it runs lies in `<work>/checkpoints/<digest of the recipe, model and examples>/`: the
    same recipe, run again after it was killed, goes on from there.

    Args:
        model: artifact of train.
        examples: artifact of preprocess; what trains trains on it, and calibration reads its training examples.
        recipe: which variant to make.
        work: the work directory.
        variant: folder to write.

    Raises:
        UserError: a changed network cannot be trained, or another process makes this very variant.
        PreemptedError: the process was told to end; the checkpoint is saved.
    """
    step = f"compress-{recipe.name}"
    with (
        artifacts.recorded(step, work, [model], variant) as details,
        _scratch(work, model, examples, recipe) as scratch,
        artifacts.atomic_folder(variant) as folder,
    ):
        started_s = time.perf_counter()
        try:
            made = _make(model, examples, recipe, scratch, folder / artifacts.SERVING)
        except (UnusableError, DivergedError) as error:
            log.error("variant %s cannot be made: %s", recipe.name, error)
            made = {"error": str(error)}
        details.update(recipe=recipe.name, seconds=time.perf_counter() - started_s, **made)
        artifacts.write_json(folder / artifacts.VARIANT, details)


def _scratch(
    work: Address, model: Path, examples: Path, recipe: Recipe
) -> contextlib.AbstractContextManager[Path | None]:
    """The folder of the recipe's trainings; None of one that trains nothing."""
    if recipe.fitting is None:
        return contextlib.nullcontext()
    return training_folder.kept_while_made(work, digest(model, examples, recipe))


def _make(model: Path, examples: Path, recipe: Recipe, scratch: Path | None, serving: Path) -> dict[str, Any]:
    """Writes the serving artifact; returns what there is to tell of it."""
    candidate, trained = _changed(Candidate.read(model), examples, recipe, scratch)
    changed_s = time.perf_counter()
    content = _converted(candidate, examples, recipe)
    _write(serving, content, candidate.spec, recipe, Transform.read(model))
    weights = litert.count(content)
    told = {"bytes": len(content), "sparsity": weights.sparsity, "parameters": weights.parameters}
    return told | _made(trained, time.perf_counter() - changed_s)


def digest(model: Path, examples: Path, recipe: Recipe) -> str:
    """The digest of all that the training of a variant depends on."""
    described = recipe.model_dump(mode="json", exclude={"fitting": set(training_folder.OF_NO_CONSEQUENCE)})
    return training_folder.digest("compress", canonical_json(described), model, examples)


def _changed(
    candidate: Candidate, examples: Path, recipe: Recipe, scratch: Path | None
) -> "tuple[Candidate, Trained | None]":
    """The candidate after all changes of the recipe, and what training it took."""
    if recipe.fitting is None or scratch is None:
        return candidate, None
    # TFMOT takes seconds to import, which recipes that train nothing do without.
    from components.compress.tune import Tuner

    with Termination() as told:
        tuner = Tuner(examples, recipe.fitting, scratch, told)
        for name in recipe.changes:
            candidate = importlib.import_module(f"components.compress.{name}").change(candidate, recipe, tuner)
    return candidate, tuner.trained


def _converted(candidate: Candidate, examples: Path, recipe: Recipe) -> bytes:
    """The LiteRT model; of a pruned network in the sparse format, where that runs and is smaller.

    Raises:
        UnusableError: it cannot be converted, or LiteRT cannot load and run it.
    """
    source = Source(candidate, examples)
    dense = _tried(source, candidate.spec, recipe)
    if not candidate.is_pruned or recipe.format not in SPARSE:
        return dense
    try:
        return min(dense, _tried(source, candidate.spec, recipe, is_sparse=True), key=len)
    except UnusableError as error:
        log.info("%s is not written in the sparse format: %s", recipe.name, error)
        return dense


def _tried(source: Source, spec: NetworkSpec, recipe: Recipe, **options: bool) -> bytes:
    convert = importlib.import_module(f"components.compress.{recipe.format}").convert
    try:
        content = litert.stripped(convert(source, **options))
    except (litert.ConverterError, ValueError, RuntimeError) as error:
        raise UnusableError(f"variant {recipe.name} cannot be converted ({_one_line(error)})") from error
    try_out(content, spec, recipe.name)
    return content


def _made(trained: "Trained | None", conversion_s: float) -> dict[str, Any]:
    """What the recipe cost to make, and how its trainings went."""
    if trained is None:
        return {"made": {"seconds": conversion_s, "examples": 0, "cost": None}, "history": [], "notes": []}
    seconds = trained.seconds + conversion_s
    made = {"seconds": seconds, "examples": trained.examples, "cost": trained.cost(seconds)}
    return {"made": made, "history": trained.history(), "notes": trained.notes}


def try_out(content: bytes, spec: NetworkSpec, recipe: str) -> None:
    """Runs a LiteRT model on batches of several sizes: some models convert but do not load, or not at every size.

    Args:
        content: the model.
        spec: the network that it was converted from.
        recipe: names the variant in the error.

    Raises:
        UnusableError: it does not load, does not run, or gives anything but finite numbers of the right shape.
    """
    try:
        interpreter = Interpreter(model_content=content)
        for batch in TRIED_BATCHES:
            output = _run(interpreter, batch)
            if output.shape != (batch, spec.outputs) or not np.isfinite(output).all():
                raise ValueError(f"{batch} rows give an output of shape {output.shape}, or one that is not finite")
    except (ValueError, RuntimeError) as error:
        reason = _one_line(error)
        raise UnusableError(f"variant {recipe} does not run ({reason}); remove it from compress.recipes") from None


def _one_line(error: Exception) -> str:
    """Converters tell pages of what they saw; the beginning and the end tell what it was."""
    text, half = " ".join(str(error).split()), MESSAGE_CHARACTERS // 2
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:half]} … {text[-half:]}"


def _run(interpreter: Interpreter, batch: int) -> np.ndarray:
    """The output for a batch of zeros."""
    for tensor in interpreter.get_input_details():
        interpreter.resize_tensor_input(tensor["index"], (batch, *tensor["shape"][1:]))
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
            "inputs": list(networks.input_signature(spec)),
        },
    )
