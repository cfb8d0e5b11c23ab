"""Chooses how steps are computed: as configured, or what was measured to be fastest."""

import itertools
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from components import artifacts
from components.learning.input import BEGINNING, Position, Share
from components.learning.legacy_keras import tf
from components.learning.loop import Arithmetic, Loop, Material, Rate

log = logging.getLogger(__name__)
ALL: tuple[tuple[str, ...], tuple[bool, ...]] = ("float32", "bfloat16", "float16"), (False, True)
"""Precisions, and whether XLA compiles, that are tried."""
ON_PROCESSOR: tuple[tuple[str, ...], tuple[bool, ...]] = ("float32", "bfloat16"), (False,)
"""Without what never helps there: float16 took seconds a step, and XLA longer to compile than all the measuring may."""
WORTH = 1.1
"""How many times as fast an alternative must be: less is not worth the bits, and within the noise of the measure."""
ROUND_S = 0.7
MEASURE_S = 2.0
BEGIN_NO_MORE_S = 60.0
"""After so many seconds no further candidate is measured; tracing and compiling one cannot be cut short."""
Measure = Callable[[Arithmetic], float]
"""Steps a second."""


def choose(
    precision: Literal["float32", "bfloat16", "float16", "auto"],
    xla: Literal["off", "on", "auto"],
    measure: Measure | None,
    has_accelerator: bool,
) -> tuple[Arithmetic, str]:
    """How steps are computed, and why.

    Args:
        precision: as configured; auto: measured, without float16 on a processor.
        xla: as configured; auto: measured where there is an accelerator.
        measure: of a candidate; may raise what TensorFlow raises for what it cannot compute. None where it cannot be
            told, as with several processes, which must all compute alike.
        has_accelerator: whether steps are computed by a GPU or TPU.
    """
    precisions, switches = ALL if has_accelerator else ON_PROCESSOR
    notes = []
    if precision != "auto":
        precisions = (precision,)
    elif not has_accelerator:
        notes.append("float16 is not tried on a processor")
    if xla != "auto":
        switches = (xla == "on",)
    elif not has_accelerator:
        notes.append("XLA is off on a processor")
    candidates = [Arithmetic(*each) for each in itertools.product(precisions, switches)]
    if len(candidates) == 1:
        return candidates[0], "; ".join(notes) or "as configured"
    if measure is None:
        return candidates[0], "; ".join([*notes, "nothing is measured with several processes"])
    rates = _measure_all(candidates, measure)
    chosen = _fastest(rates)
    figures = ", ".join(f"{_words(each)} {rate:.4g}" for each, rate in rates.items())
    rule = f"another than {_words(candidates[0])} must be {WORTH:g} times as fast"
    return chosen, "; ".join([f"steps a second: {figures}", rule, *notes])


def remembered(path: Path, chosen: Callable[[], tuple[Arithmetic, str]]) -> tuple[Arithmetic, str]:
    """The choice that the file holds, or that is made now and kept there; logged.

    A training that goes on from its checkpoint must compute as it began, however a measure turns out this time.

    Args:
        path: JSON file of this training; need not exist.
        chosen: chooses.
    """
    if path.exists():
        kept = artifacts.read_json(path)
        arithmetic, reason = Arithmetic(kept["precision"], kept["xla"]), kept["reason"]
    else:
        arithmetic, reason = chosen()
        kept = {"precision": arithmetic.precision, "xla": arithmetic.xla, "reason": reason}
        artifacts.write_json(path, kept)
    log.info("computing in %s: %s", _words(arithmetic), reason)
    return arithmetic, reason


def speed_of(make_loop: Callable[[Arithmetic], Loop], inputs: dict[str, tf.Tensor], label: tf.Tensor) -> Measure:
    """Measures the steps of a loop on one batch, again and again, so that no input is counted.

    Args:
        make_loop: with fresh weights.
        inputs: a real batch of one replica.
        label: its labels.
    """

    def feed(_share: Share, _sizes: np.ndarray, _position: Position) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors((inputs, label)).repeat().prefetch(1)

    def measure(arithmetic: Arithmetic) -> float:
        loop = make_loop(arithmetic)
        batches = loop.batches(Material(feed, len(label) * loop.place.replicas, 1), BEGINNING)
        _take(loop, batches, 1)  # traces, and compiles
        began_s, best = time.monotonic(), 0.0
        while time.monotonic() - began_s < MEASURE_S:
            best = max(best, _round(loop, batches))
        return best

    return measure


def _measure_all(candidates: list[Arithmetic], measure: Measure) -> dict[Arithmetic, float]:
    """Steps a second by candidate; 0 for one that fails. Those that the time does not allow are left out."""
    began_s = time.monotonic()
    rates: dict[Arithmetic, float] = {}
    for candidate in candidates:
        if rates and time.monotonic() - began_s > BEGIN_NO_MORE_S:
            log.warning("%s is not measured: %g seconds are over", _words(candidate), BEGIN_NO_MORE_S)
            continue
        try:
            rates[candidate] = measure(candidate)
        except (tf.errors.OpError, ArithmeticError, NotImplementedError, TypeError, ValueError) as error:
            log.warning("%s cannot be used here: %s", _words(candidate), str(error).partition("\n")[0])
            rates[candidate] = 0.0
    return rates


def _fastest(rates: dict[Arithmetic, float]) -> Arithmetic:
    """The first candidate, unless another is faster by what makes it worth while."""
    first = next(iter(rates))
    best = max(rates, key=lambda each: rates[each])
    return best if rates[best] >= WORTH * rates[first] else first


def _round(loop: Loop, batches: Any) -> float:
    """Steps a second, in about ROUND_S."""
    began_s, taken, steps = time.monotonic(), 0, 1
    while (seconds := time.monotonic() - began_s) < ROUND_S:
        _take(loop, batches, steps)
        taken, steps = taken + steps, min(50, 2 * steps)
    return taken / seconds


def _take(loop: Loop, batches: Any, steps: int) -> None:
    loss = loop.take(batches, steps, Rate(1e-4))
    if not math.isfinite(loss):
        raise ArithmeticError(f"the loss became {loss}")


def _words(arithmetic: Arithmetic) -> str:
    mixed = arithmetic.precision if arithmetic.precision == "float32" else f"mixed {arithmetic.precision}"
    return f"{mixed} with XLA" if arithmetic.xla else mixed
