import numpy as np
import pytest

from components.learning import fit, networks
from components.learning.config import Mlp
from components.learning.fit import Schedule
from components.learning.input import in_memory
from components.learning.legacy_keras import tf_keras
from components.learning.networks import NetworkSpec
from tests.learning.small import labels, make_transform, raw_rows, write_examples


@pytest.fixture
def prepared(tmp_path):
    def make(task="binary", flipped=False):
        """A compiled network, and training and validation columns; flipped: what is learned is wrong in validation."""
        transform = make_transform(task)
        spec = NetworkSpec.of(Mlp(hidden=(8,)), write_examples(tmp_path, transform, rows=(4, 2), shards=1))
        tf_keras.utils.set_random_seed(0)
        network = networks.build(spec)
        fit.compile_model(network, spec, 0.01)
        columns = []
        for rows, seed in ((600, 0), (200, 1)):
            raw = raw_rows(rows, seed)
            floats, ids = transform(raw)
            label = labels(raw, task, seed)
            if flipped and seed:
                label = 1 - label
            columns.append({"floats": floats, "ids": ids, "label": label[:, None]})
        return network, spec, *columns

    return make


def run(prepared, schedule):
    network, spec, training, validation = prepared
    return fit.fit(network, in_memory(training, 50, 0), in_memory(validation, 64, None), spec, schedule)


@pytest.mark.parametrize(("task", "enough"), [("binary", 0.95), ("multiclass", 0.75), ("regression", 12.0)])
def test_training_learns_what_can_be_learned(prepared, task, enough):
    fitted = run(prepared(task), Schedule(epochs=12, learning_rate=0.01, patience=3))
    metric = fitted.history[fitted.best_epoch - 1].validation_metric
    assert metric < enough if task == "regression" else metric > enough


def test_the_best_epoch_is_kept_and_training_stops(prepared):
    made = prepared(flipped=True)
    fitted = run(made, Schedule(epochs=40, learning_rate=0.003, patience=2))
    metrics = [epoch.validation_metric for epoch in fitted.history]
    assert fitted.best_epoch == int(np.argmax(metrics)) + 1 < len(metrics) < 40
    assert "auc did not improve for 2 epochs" in fitted.stopped
    network, _, _, validation = made
    kept = network.evaluate(in_memory(validation, 64, None), return_dict=True, verbose=0)
    assert kept["auc"] == pytest.approx(max(metrics), abs=1e-6)
    assert metrics[-1] < max(metrics)


def test_epochs_are_limited(prepared):
    fitted = run(prepared(), Schedule(epochs=2, learning_rate=0.001, patience=5))
    assert [epoch.epoch for epoch in fitted.history] == [1, 2]
    assert fitted.stopped == "all 2 epochs are done"


def test_the_same_seed_gives_the_same_weights(prepared):
    results = []
    for _ in range(2):
        made = prepared()
        run(made, Schedule(epochs=2, learning_rate=0.01, patience=2))
        results.append(made[0].get_weights())
    for first, second in zip(*results):
        assert np.array_equal(first, second)


def test_a_refit_forgets_what_was_trained_before(prepared):
    network, _, training, _ = prepared()
    beginning = fit.Beginning(network)
    results = []
    for _ in range(2):
        refitted = fit.refit(network, beginning, in_memory(training, 50, 0), 3, 0.01)
        results.append(network.get_weights())
        assert refitted.epochs == 3 and refitted.loss < 0.5
    for first, second in zip(*results):
        assert np.array_equal(first, second)
    assert int(network.optimizer.iterations) == 3 * 12
    assert 0 < float(network.optimizer.learning_rate) < 0.01
