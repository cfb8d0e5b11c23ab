import logging

import numpy as np
import pytest

from components.learning import arithmetic, loop, networks, place
from components.learning.arithmetic import choose, remembered, speed_of
from components.learning.config import Dcn, Linear, Mlp, WideDeep
from components.learning.input import BEGINNING, Reader, from_columns
from components.learning.legacy_keras import tf
from components.learning.loop import Arithmetic, Material, Rate
from components.learning.networks import NetworkSpec
from tests.learning.small import make_transform, write_examples

FLOAT32, BFLOAT16, FLOAT16 = (Arithmetic(name) for name in ("float32", "bfloat16", "float16"))
SINGLE = place.take("single")


def measured(rates):
    """A measure that knows the rates, and raises those that are errors."""

    def measure(candidate):
        rate = rates[candidate]
        if isinstance(rate, Exception):
            raise rate
        return rate

    return measure


def unmeasured(candidate):
    raise AssertionError(f"{candidate} is measured")


@pytest.mark.parametrize("has_accelerator", [False, True])
def test_what_is_configured_is_taken_unmeasured(has_accelerator):
    assert choose("bfloat16", "on", unmeasured, has_accelerator) == (Arithmetic("bfloat16", True), "as configured")
    assert choose("float32", "off", unmeasured, has_accelerator) == (FLOAT32, "as configured")


@pytest.mark.parametrize(
    ("bfloat16", "float16", "chosen"),
    [(109, 109, FLOAT32), (111, 50, BFLOAT16), (111, 120, FLOAT16), (10, 10, FLOAT32)],
)
def test_the_fastest_is_taken_where_it_is_a_tenth_faster_than_float32(bfloat16, float16, chosen):
    measure = measured({FLOAT32: 100, BFLOAT16: bfloat16, FLOAT16: float16})
    found, reason = choose("auto", "off", measure, True)
    assert found == chosen
    assert f"float32 100, mixed bfloat16 {bfloat16}, mixed float16 {float16}" in reason


def test_xla_is_measured_with_an_accelerator():
    measure = measured({FLOAT32: 100, Arithmetic("float32", True): 150})
    found, reason = choose("float32", "auto", measure, True)
    assert found == Arithmetic("float32", True)
    assert "float32 100, float32 with XLA 150" in reason


def test_on_a_processor_xla_is_off_and_it_is_said():
    assert choose("float32", "auto", unmeasured, False) == (FLOAT32, "XLA is off on a processor")


def test_on_a_processor_float16_is_not_tried_and_it_is_said():
    found, reason = choose("auto", "off", measured({FLOAT32: 100, BFLOAT16: 150}), False)
    assert found == BFLOAT16
    assert reason.endswith("; float16 is not tried on a processor")


def test_with_several_processes_nothing_is_measured_and_it_is_said():
    assert choose("auto", "auto", None, True) == (FLOAT32, "nothing is measured with several processes")


def test_a_candidate_that_fails_is_skipped_aloud(caplog):
    failure = tf.errors.UnimplementedError(None, None, "no such kernel\nand a long trace")
    measure = measured({FLOAT32: 100, BFLOAT16: failure, FLOAT16: ArithmeticError("the loss became nan")})
    assert choose("auto", "off", measure, True)[0] == FLOAT32
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.WARNING, "mixed bfloat16 cannot be used here: no such kernel"),
        (logging.WARNING, "mixed float16 cannot be used here: the loss became nan"),
    ]


def test_where_all_fail_the_training_says_why():
    measure = measured(dict.fromkeys((FLOAT32, BFLOAT16, FLOAT16), ValueError("no")))
    assert choose("auto", "off", measure, True)[0] == FLOAT32


def test_no_candidate_is_begun_when_the_time_is_over(monkeypatch, caplog):
    monkeypatch.setattr(arithmetic, "BEGIN_NO_MORE_S", -1.0)
    assert choose("auto", "off", measured({FLOAT32: 1}), True)[0] == FLOAT32
    assert caplog.messages == [f"mixed {name} is not measured: -1 seconds are over" for name in ("bfloat16", "float16")]


def test_a_training_that_goes_on_computes_as_it_began(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / "scratch" / "arithmetic.json"
    first = remembered(path, lambda: (Arithmetic("bfloat16", True), "it was faster"))
    assert first == (Arithmetic("bfloat16", True), "it was faster")
    assert remembered(path, lambda: pytest.fail("measured again")) == first
    assert caplog.messages == ["computing in mixed bfloat16 with XLA: it was faster"] * 2


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    described = write_examples(folder, make_transform())
    return described, Reader(folder, described, ("train",)).columns()


def test_the_loop_is_measured_on_one_batch(examples, monkeypatch):
    monkeypatch.setattr(arithmetic, "MEASURE_S", 0.05)
    described, columns = examples
    spec = NetworkSpec.of(Linear(kind="linear"), described)
    batch = {name: tf.constant(values[:64]) for name, values in columns.items()}
    label = batch.pop("label")
    measure = speed_of(lambda candidate: loop.loop(spec, SINGLE, 0, candidate), batch, label)
    assert choose("auto", "off", measure, True)[0].precision in ("float32", "bfloat16", "float16")
    assert all(measure(Arithmetic(precision)) > 0 for precision in ("float32", "bfloat16", "float16"))


def test_a_loss_that_is_no_number_disqualifies(examples, monkeypatch):
    monkeypatch.setattr(arithmetic, "MEASURE_S", 0.05)
    described, columns = examples
    spec = NetworkSpec.of(Linear(kind="linear"), described)
    batch = {name: tf.constant(values[:64]) for name, values in columns.items()}
    label = batch.pop("label") * np.nan
    with pytest.raises(ArithmeticError, match="the loss became nan"):
        speed_of(lambda candidate: loop.loop(spec, SINGLE, 0, candidate), batch, label)(FLOAT32)


def trained(examples, network, computed) -> tuple[float, float, loop.Loop, NetworkSpec]:
    """The mean loss of the first and the last of 200 steps, and what was trained."""
    described, columns = examples
    spec = NetworkSpec.of(network, described)
    tf.keras.utils.set_random_seed(1)
    trains = loop.loop(spec, SINGLE, 3, computed)
    material = Material(lambda _, sizes, begin: from_columns(columns, sizes, 3, begin), len(columns["label"]), 10)
    batches = trains.batches(material, BEGINNING)
    first = trains.take(batches, 10, Rate(3e-3)) / 10
    trains.take(batches, 180, Rate(3e-3))
    return first, trains.take(batches, 10, Rate(3e-3)) / 10, trains, spec


NETWORKS = (
    Mlp(kind="mlp", hidden=(32,), dropout=0.1, embedding_dropout=0.1, l2=1e-4),
    WideDeep(kind="wide_deep", hidden=(32,)),
    Dcn(kind="dcn", hidden=(32,)),
    Linear(kind="linear", l2=1e-4),
)


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda network: network.kind)
def plain(request, examples):
    """A network, and the loss that it reaches in float32."""
    return request.param, trained(examples, request.param, FLOAT32)[1]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_what_float32_learns_and_leaves_float32(examples, plain, precision):
    network, expected = plain
    first, last, trains, spec = trained(examples, network, Arithmetic(precision))
    assert last < 0.8 * first
    assert last == pytest.approx(expected, abs=0.05)
    assert {values.dtype.name for values in trains.weights().values()} == {"float32"}
    assert trains.weights().keys() == {variable.name for variable in networks.build(spec).variables}


def test_compiled_steps_learn_what_the_others_learn(examples, plain):
    network, expected = plain
    assert trained(examples, network, Arithmetic("float32", xla=True))[1] == pytest.approx(expected, abs=0.05)
