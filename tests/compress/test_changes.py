"""What recipes that change the network make of it, as it is served."""

import dataclasses

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from components import artifacts
from components.compress import float32
from components.compress.candidate import Candidate
from components.compress.compress import compress
from components.compress.litert import flatbuffer_utils
from components.compress.low_rank import factored, rank_of
from components.compress.pruned import LEAST_WEIGHTS
from components.errors import UserError
from components.learning.config import Dcn, Linear, Mlp, WideDeep
from components.learning.fitting import Budget
from components.learning.legacy_keras import tf_keras
from components.learning.networks import NetworkSpec
from components.learning.training_folder import held
from tests.compress.trained import FITTING, Trained, described, predicted, recipe, right
from tests.learning.small import raw_rows

CHANGES = ("distilled", "low_rank", "pruned", "quantization_aware")
NEW = raw_rows(600, seed=7)
CASES = {
    "dcn": ("multiclass", "both", Dcn(hidden=(32,), embedding_dropout=0.1)),
    "only ids": ("binary", "ids", Mlp(hidden=(16,))),
    "only floats": ("regression", "floats", Mlp(hidden=(16,))),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return Trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    made = {}

    def of(case):
        if case not in made:
            made[case] = Trained(tmp_path_factory.mktemp(case.replace(" ", "-")), *CASES[case])
        return made[case]

    return of


def zeros(folder) -> list[float]:
    """The share of zeros in each matrix of a variant's LiteRT model that is large enough to be pruned."""
    content = bytearray((folder / "serving" / "model.tflite").read_bytes())
    model = flatbuffer_utils.read_model_from_bytearray(content)
    found = []
    for tensor in model.subgraphs[0].tensors:
        data, size = model.buffers[tensor.buffer].data, int(np.prod(tensor.shape))
        if data is not None and len(tensor.shape) > 1 and size >= LEAST_WEIGHTS:
            points = tensor.quantization.zeroPoint if tensor.quantization else None
            values = np.frombuffer(bytes(data), {0: np.float32, 9: np.int8}[tensor.type])
            nonzero = np.count_nonzero(values != (0 if points is None else points[0]))
            found.append(1 - nonzero / size)
    return found


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_network_predicts_nearly_as_well(trained, change):
    folder = trained.variant(change)
    assert right(predicted(folder, NEW), NEW, "binary") > right(trained.expected(NEW), NEW, "binary") - 0.03
    details = described(folder)
    (course,) = details["history"]
    assert course["change"] == change and course["refit"]["epochs"] == course["best_epoch"]
    assert details["made"]["examples"] == course["examples"] > 0
    assert details["made"]["seconds"] >= course["seconds"] > 0
    assert details["made"]["cost"] is None
    assert not any((trained.work / "checkpoints").glob("*"))


@pytest.mark.nightly
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_takes_every_network(others, case, change):
    folder = others(case).variant(change, "int8")
    before = right(others(case).expected(NEW), NEW, others(case).task)
    assert right(predicted(folder, NEW), NEW, others(case).task) > before - 0.06


@pytest.mark.nightly
def test_all_changes_follow_each_other(trained):
    names = (*CHANGES, "int8")
    folder = trained.variant(*names)
    details = described(folder)
    assert [course["change"] for course in details["history"]] == list(CHANGES)
    assert min(zeros(folder)) > 0.77
    assert details["parameters"] < Candidate.read(trained.model).network.count_params() / 2
    assert right(predicted(folder, NEW), NEW, "binary") > 0.8


def test_a_network_without_anything_to_change_stays_as_it_is(tmp_path):
    small = Trained(tmp_path, use="ids", network=Linear(), epochs=1)
    folder = small.variant("low_rank", "quantization_aware", "int8_float_io")
    assert described(folder)["history"] == [] and described(folder)["made"]["cost"] is None
    assert np.abs(predicted(folder, NEW) - small.expected(NEW)).mean() < 0.01


def test_a_price_gives_a_cost(trained, tmp_path):
    fitting = FITTING.model_copy(update={"budget": FITTING.budget.model_copy(update={"core_hour": 3600.0})})
    small = Trained(tmp_path, network=Mlp(hidden=(8,)), epochs=1)
    made = described(small.variant("low_rank", "float16", fitting=fitting))["made"]
    assert made["cost"] > made["seconds"] * 0.5  # a core at least, at 1 a second


def test_the_wide_part_of_a_network_is_not_factored(tmp_path):
    case = Trained(tmp_path, "multiclass", network=WideDeep(hidden=(16,)), epochs=1)
    start = Candidate.read(case.model)
    wide = [layer for layer in start.network.layers if layer.name.startswith("wide_")]
    assert wide
    for layer in wide:
        layer.set_weights([np.ones_like(weight) for weight in layer.get_weights()])  # of rank 1
    small = factored(start, 0.5)
    assert small.spec.ranks and not any(name.startswith("wide_") for name in small.spec.ranks)
    assert {f"{name}_in" for name in small.spec.ranks} <= {layer.name for layer in small.network.layers}


def test_a_network_without_large_layers_is_not_pruned_and_says_so(tmp_path):
    small = Trained(tmp_path, use="floats", network=Mlp(hidden=(4,)), epochs=1)
    described_ = described(small.variant("pruned"))
    assert described_["history"] == [] and described_["sparsity"] == 0
    assert described_["notes"] == ["pruned: no layer of the network has 256 weights; it stays as it is"]


def test_a_small_budget_of_examples_still_gives_the_wanted_sparsity(trained, tmp_path):
    folder = made_with(trained, tmp_path, {"max_examples": 600}, "pruned")  # two thirds of an epoch
    assert described(folder)["history"][0]["budget_stopped"] and described(folder)["notes"] == []
    assert min(zeros(folder)) > 0.77


def test_a_budget_that_is_too_small_is_told(trained, tmp_path):
    folder = made_with(trained, tmp_path, {"max_minutes": 1e-6}, "pruned")  # half of the steps in which masks change
    (note,) = described(folder)["notes"]
    assert note.startswith("pruned: a layer has a sparsity of 0.") and "not 0.8: the budget of 1e-06 minutes" in note


def test_the_budget_is_of_all_changes_together(trained, tmp_path):
    folder = made_with(trained, tmp_path, {"max_examples": 1200}, "low_rank", "pruned")
    first, second = described(folder)["history"]
    assert first["examples"] <= 1230 and second["examples"] <= max(30, 1200 - first["examples"]) + 30
    assert described(folder)["made"]["examples"] == first["examples"] + second["examples"]


def test_a_fine_tuning_that_diverges_loses_only_its_own_variant(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("components.learning.loop.Loop.take", lambda *_: float("nan"))
    folder = made_with(trained, tmp_path, {}, "low_rank")
    assert described(folder)["error"].startswith("the training loss became nan")
    assert not (folder / "serving").exists() and not any((tmp_path / "work" / "checkpoints").iterdir())


def made_with(trained, root, budget, *names):
    """A variant made with a budget."""
    fitting = FITTING.model_copy(update={"budget": Budget(**budget)})
    compress(trained.model, trained.examples, recipe(*names, fitting=fitting), root / "work", root / "variant")
    return root / "variant"


def test_a_training_is_held_until_its_variant_is_whole(trained, tmp_path, monkeypatch):
    """Another process would begin anew what is done, or lose its checkpoints to the first one's tidying up."""
    said = []
    write = artifacts.write_json

    def watched(path, value):
        if path.name == artifacts.VARIANT:
            (scratch,) = (tmp_path / "work" / "checkpoints").iterdir()
            with pytest.raises(UserError, match="another run is at this very training"), held(scratch):
                pass
            said.append(path)
        write(path, value)

    monkeypatch.setattr(artifacts, "write_json", watched)
    made_with(trained, tmp_path, {}, "low_rank")
    assert said


@pytest.mark.parametrize("last", ["float32", "float16"])
def test_what_is_pruned_is_smaller_in_the_sparse_format(trained, last):
    folder, whole = trained.variant("pruned", last), trained.variant(last)
    assert described(folder)["bytes"] < described(whole)["bytes"] * 0.7
    assert described(folder)["parameters"] == described(whole)["parameters"]
    assert right(predicted(folder, NEW), NEW, "binary") > right(trained.expected(NEW), NEW, "binary") - 0.03
    one = {name: values[:1] for name, values in NEW.items()}
    assert predicted(folder, one) == pytest.approx(predicted(folder, NEW)[:1], abs=1e-4)


def test_a_pruned_model_is_dense_where_the_sparse_one_does_not_run(trained, tmp_path, monkeypatch):
    dense = float32.convert

    def convert(source, is_sparse=False):
        if is_sparse:
            raise RuntimeError("failed to delegate FULLY_CONNECTED")
        return dense(source)

    monkeypatch.setattr(float32, "convert", convert)
    folder = made_with(trained, tmp_path, {}, "pruned")
    assert described(folder)["bytes"] > described(trained.variant("float32"))["bytes"] * 0.95
    assert min(zeros(folder)) > 0.77


@pytest.mark.parametrize("last", ["float32", "int8"])
def test_pruning_reaches_its_sparsity_and_formats_keep_it(trained, last):
    folder = trained.variant("pruned", last)
    assert described(folder)["sparsity"] == pytest.approx(0.7, abs=0.08)  # biases and small layers are not pruned
    assert len(zeros(folder)) > 2 and min(zeros(folder)) > 0.77


def test_quantization_aware_training_keeps_the_zeros_of_pruning(trained):
    folder = trained.variant("pruned", "quantization_aware", "int8")
    assert [course["change"] for course in described(folder)["history"]] == ["pruned", "quantization_aware"]
    assert described(folder)["sparsity"] == pytest.approx(described(trained.variant("pruned"))["sparsity"], abs=0.01)
    assert len(zeros(folder)) > 2 and min(zeros(folder)) > 0.77
    assert right(predicted(folder, NEW), NEW, "binary") > right(trained.expected(NEW), NEW, "binary") - 0.03


def test_quantization_aware_training_ends_in_integers(trained):
    model = trained.variant("quantization_aware") / "serving" / "model.tflite"
    interpreter = Interpreter(model_path=str(model))
    borders = interpreter.get_input_details() + interpreter.get_output_details()
    assert {tensor["dtype"] for tensor in borders} == {np.float32, np.int32}
    borders_of = {tensor["index"] for tensor in borders}
    inside = [tensor for tensor in interpreter.get_tensor_details() if tensor["index"] not in borders_of]
    assert np.float32 not in {tensor["dtype"] for tensor in inside}


def test_the_ranges_of_simulated_integers_are_those_of_the_activations(trained):
    from components.compress.quantization_aware import quantized

    inputs = trained.inputs(raw_rows(900))
    batches = ({name: part[start : start + 300] for name, part in inputs.items()} for start in (0, 300, 600))
    network = quantized(Candidate.read(trained.model), batches)
    values = {variable.name: variable.numpy() for variable in network.variables}
    hidden = tf_keras.Model(trained.network.input, trained.network.get_layer("hidden_0").output)(inputs).numpy()
    assert values["quant_hidden_0/post_activation_max:0"] == pytest.approx(hidden.max(), rel=1e-5)
    assert np.abs(network(inputs).numpy() - trained.network(inputs).numpy()).mean() < 0.01


def test_the_rank_is_the_smallest_that_keeps_the_energy():
    values = np.array([3.0, 2.0, 1.0, 0.0])  # squares: 9, 4, 1
    assert [rank_of(values, energy) for energy in (0.5, 9 / 14, 0.65, 13 / 14, 0.95, 1.0)] == [1, 1, 2, 2, 3, 3]
    assert rank_of(np.zeros(3), 0.9) == 1


def test_a_matrix_of_low_rank_is_factored_without_loss_and_one_of_high_rank_stays(trained):
    candidate = Candidate.read(trained.model)
    random = np.random.default_rng(0)
    network = candidate.copy()
    layer = network.get_layer("hidden_1")
    low = random.normal(size=(64, 3)) @ random.normal(size=(3, 32))
    layer.set_weights([low.astype(np.float32), layer.get_weights()[1]])
    network.get_layer("hidden_0").set_weights(
        [
            np.eye(*weight.shape) if weight.ndim == 2 else weight
            for weight in network.get_layer("hidden_0").get_weights()
        ]
    )
    start = Candidate(candidate.spec, network)
    small = factored(start, 1 - 1e-9)
    assert small.spec.ranks["hidden_1"] == 3 and "hidden_0" not in small.spec.ranks
    assert small.network.count_params() < start.network.count_params()
    inputs = trained.inputs(NEW)
    assert np.allclose(small.network(inputs), network(inputs), atol=1e-4)


def test_a_factored_network_is_smaller_and_is_told(trained):
    folder = trained.variant("low_rank", low_rank={"energy": 0.7})
    assert described(folder)["parameters"] < Candidate.read(trained.model).network.count_params()


def test_a_student_is_smaller_and_learns_from_its_teacher_where_labels_are_noise(tmp_path):
    taught = Trained(tmp_path)
    examples = artifacts.Examples.read(taught.examples)
    assert examples.rows["train"] == 900
    shuffle_labels(taught.examples, examples)
    fitting = FITTING.model_copy(update={"refit": False})  # it would see validation examples, whose labels are true
    folder = taught.variant("distilled", fitting=fitting, distilled={"alpha": 1.0, "hidden": (8,)})
    assert right(predicted(folder, NEW), NEW, "binary") > 0.9
    assert described(folder)["parameters"] < Candidate.read(taught.model).network.count_params() / 2
    noise = taught.variant("distilled", "float16", fitting=fitting, distilled={"alpha": 0.0, "hidden": (8,)})
    assert right(predicted(noise, NEW), NEW, "binary") < 0.75


def shuffle_labels(folder, examples) -> None:
    """Gives all training examples random labels; validation examples keep theirs, so that the best epoch is found."""
    from components.learning.legacy_keras import tf

    random = np.random.default_rng(0)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    for path in examples.paths(folder, "train"):
        records = [bytes(record.numpy()) for record in tf.data.TFRecordDataset(str(path), "GZIP")]
        with tf.io.TFRecordWriter(str(path), options) as writer:
            for record in records:
                example = tf.train.Example.FromString(record)
                example.features.feature["label"].float_list.value[0] = float(random.integers(0, 2))
                writer.write(example.SerializeToString())


def test_a_factored_specification_is_written_and_one_without_ranks_is_read(trained, tmp_path):
    spec = dataclasses.replace(trained.spec, ranks={"hidden_0": 3})
    spec.write(tmp_path)
    assert NetworkSpec.read(tmp_path) == spec
    raw = artifacts.read_json(tmp_path / "network.json")
    del raw["ranks"]
    artifacts.write_json(tmp_path / "network.json", raw)
    assert NetworkSpec.read(tmp_path).ranks == {}
