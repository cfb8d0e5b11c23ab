import dataclasses
import fcntl
import json

import numpy as np
import pytest
from pydantic import ValidationError

from components import artifacts
from components.errors import UserError
from components.features.transform import Transform
from components.learning import networks, weights
from components.learning.config import Mlp, WideDeep
from components.learning.fitting import Budget
from components.learning.legacy_keras import tf
from components.learning.material import batch_size
from components.train.config import Train, TrainConfig
from components.train.train import digest, train
from tests.learning.small import CITIES, make_transform, write_examples

NETWORK = WideDeep(hidden=(8,), max_embedding_width=4)
CONFIG = TrainConfig(network=NETWORK, train=Train(epochs=4, learning_rate=0.01, batch_size=32))


class Place:
    """A work directory with examples to train on."""

    def __init__(self, root, **how):
        self.root = root
        self.examples, self.model, self.work = root / "examples", root / "model", root / "work"
        self.base = how.pop("base", root / "empty")
        self.transform = make_transform(how.pop("task", "binary"), cities=how.pop("vocabulary", CITIES))
        write_examples(self.examples, self.transform, **how)

    def train(self, config: TrainConfig = CONFIG) -> dict:
        train(self.examples, self.base, config, self.work, self.model)
        return artifacts.read_records(self.model)["train"].details


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A cold training, and its record."""
    place = Place(tmp_path_factory.mktemp("first"))
    return place, place.train()


def test_a_cold_start_learns_and_reports(first):
    _, details = first
    assert (details["start"], details["start_reason"]) == ("cold", "there is no model yet")
    assert details["metric"] == "auc"
    assert details["history"][details["best_epoch"] - 1]["validation_metric"] > 0.9
    assert [epoch["examples"] for epoch in details["history"]] == [900] * len(details["history"])
    assert details["layers"]["reused"] == [] and "embedding_city" in details["layers"]["new"]
    assert details["examples"] == 900 and details["examples_per_s"] > 0
    assert details["refit"]["epochs"] == details["best_epoch"]
    json.dumps(details, allow_nan=False)


def test_the_model_is_complete(first):
    place, details = first
    names = {path.name for path in place.model.iterdir()}
    kept = {"weights.h5", "optimizer.npz", "network.json", "training.json", "examples.json", "saved_model", "records"}
    assert kept | {"features.json", "constants.json", "vocabulary"} == names
    spec = networks.NetworkSpec.read(place.model)
    network = networks.build(spec)
    weights.load(network, place.model)
    assert network.count_params() == details["parameters"]
    assert Transform.read(place.model) == place.transform
    assert artifacts.Examples.read(place.model) == artifacts.Examples.read(place.examples)
    assert "serving_default" in tf.saved_model.load(str(place.model / "saved_model")).signatures


def test_a_base_is_the_start_of_the_next_training(first, tmp_path):
    base = first[0].model
    grown = (*CITIES, "Bonn")
    place = Place(tmp_path, base=base, base_version=1, vocabulary=grown, rows=(200, 300), seed=7)
    details = place.train()
    assert (details["start"], details["start_reason"]) == ("warm", "version 1 has the same features")
    assert details["layers"]["remapped"] == ["embedding_city", "wide_city"]
    assert details["layers"]["new"] == []
    cold = first[1]["history"][0]["validation_metric"]
    assert details["history"][0]["validation_metric"] > cold


@pytest.mark.parametrize("rows", [(0, 30), (30, 0)])
def test_nothing_to_learn_from_is_refused(tmp_path, rows):
    place = Place(tmp_path, rows=rows, shards=1)
    with pytest.raises(UserError, match=r"there are no (train|validation) examples"):
        place.train()
    assert not place.model.exists()
    assert artifacts.read_records(artifacts.run_folder(place.work, artifacts.run_name()))["train"].status == "failed"


def test_a_failed_training_leaves_no_model(tmp_path):
    place = Place(tmp_path, rows=(60, 30))
    described = artifacts.Examples.read(place.examples)
    (place.examples / described.shards["train"][-1]).write_bytes(b"not a TFRecord")
    with pytest.raises(tf.errors.OpError):
        place.train()
    assert not place.model.exists()


def test_the_same_seed_gives_the_same_model(first, tmp_path):
    again = Place(tmp_path)
    again.train()
    with np.load(first[0].model / "optimizer.npz") as one, np.load(again.model / "optimizer.npz") as other:
        assert set(one) == set(other)
        assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("cache", ["none", "disk"])
def test_examples_may_be_streamed_or_kept_on_disk(first, tmp_path, caplog, cache):
    config = TrainConfig(network=NETWORK, train=CONFIG.train.model_copy(update={"cache": cache}))
    with caplog.at_level("INFO"):
        details = Place(tmp_path).train(config)
    assert f"cache {cache} (as configured)" in caplog.text
    best = first[1]["history"][first[1]["best_epoch"] - 1]["validation_metric"]
    assert details["history"][details["best_epoch"] - 1]["validation_metric"] == pytest.approx(best, abs=0.03)


def test_a_budget_ends_training_and_its_best_weights_are_the_model(tmp_path):
    budget = Budget(max_examples=1000)
    config = TrainConfig(network=NETWORK, train=CONFIG.train.model_copy(update={"budget": budget}))
    details = Place(tmp_path).train(config)
    assert details["budget_stopped"] and details["stopped"] == "the budget of 1,000 examples is used up"
    assert details["refit"] is None and details["examples_seen"] <= 1000 + 32


def test_a_cost_that_nothing_has_is_refused(tmp_path):
    budget = Budget(max_cost=1, accelerator_hour=2)
    config = TrainConfig(network=NETWORK, train=CONFIG.train.model_copy(update={"budget": budget}))
    with pytest.raises(UserError, match="what trains here has no price; set core_hour"):
        Place(tmp_path).train(config)


def test_two_runs_of_one_training_do_not_mix(tmp_path):
    place = Place(tmp_path)
    scratch = place.work / "checkpoints" / digest(place.examples, place.base, CONFIG)
    scratch.mkdir(parents=True)
    with (scratch / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another run is at this very training"):
            place.train()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"workers": 2, "strategy": "single"}, "has one process"),
        ({"launch": "tfjob"}, "one process trains"),
        ({"deterministic": True, "precision": "auto"}, "which is measured"),
        ({"deterministic": True, "workers": 2}, "several processes train"),
        ({"strategy": "parameter_server", "cache": "disk"}, "workers of parameter servers stream"),
        ({"strategy": "parameter_server", "precision": "float16"}, "use bfloat16"),
        ({"parameter_servers": 2}, "use parameter_server"),
        ({"budget": {"max_cost": 1.0}}, "nothing has a price"),
        ({"batch_size": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        Train.model_validate_json(json.dumps(settings))


@pytest.mark.parametrize(
    ("configured", "examples", "size"), [(None, 100, 16), (None, 20_000, 64), (None, 10**7, 1024), (7, 10**7, 7)]
)
def test_the_batch_grows_with_the_data(configured, examples, size):
    assert batch_size(Train(batch_size=configured), examples) == size


def test_the_specification_of_a_constant_label_can_be_trained(tmp_path):
    described = write_examples(tmp_path, make_transform("regression"), rows=(4, 2), shards=1)
    constant = dataclasses.replace(described, label_std=0.0)
    assert networks.NetworkSpec.of(Mlp(), constant).label_std == 1
