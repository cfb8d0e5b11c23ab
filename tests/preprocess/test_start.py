import shutil

import pytest

from components import artifacts
from components.features.declaration import Moments
from components.learning.config import Mlp, WideDeep
from components.preprocess.drift import Drift
from components.preprocess.start import Base, Start, find_start
from tests.preprocess.parcels import section, version


@pytest.fixture
def base(cold, tmp_path):
    return version(tmp_path / "base", 7, cold.folder, cold.examples.trained_until, ("aa",))


def test_cold_without_a_model(tmp_path):
    assert find_start(tmp_path, section()).base is None


def test_warm_from_the_same_features(base, cold):
    start = find_start(base, section(validation_days=1, seed=3))
    assert start.kind == "warm"
    assert (start.base.version, start.base.trained_until) == (7, cold.examples.trained_until)
    assert start.base.constants == cold.transform.constants


def test_cold_when_a_feature_changed(base):
    config = section()
    start = find_start(base, config.model_copy(update={"features": config.features[1:]}))
    assert start.kind == "cold"
    assert "features" in start.reason
    assert "version 7" in start.reason


@pytest.mark.parametrize("change", [{"label": "fragile"}, {"classes": (1, 0)}, {"time": None}])
def test_cold_when_the_label_changed(base, change):
    config = section()
    start = find_start(base, config.model_copy(update={"data": config.data.model_copy(update=change)}))
    assert start.kind == "cold"
    assert "the label, the task, the classes or the time column" in start.reason


def test_cold_when_trained_rows_may_be_held_out_now(base):
    description = artifacts.read_json(base / artifacts.EXAMPLES)
    artifacts.write_json(base / artifacts.EXAMPLES, {**description, "split": "0.1 held out"})
    assert "may have trained on what is held out now" in find_start(base, section()).reason


def test_a_version_that_lost_its_transform_is_not_taken_for_none(base):
    shutil.rmtree(base / artifacts.VOCABULARY)
    with pytest.raises(FileNotFoundError):
        find_start(base, section())


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Mlp(), "network.kind is mlp and was wide_deep in version 7"),
        (
            WideDeep(hidden=(9,), max_embedding_width=8),
            "network.hidden is [9] and was [128, 64], network.max_embedding_width is 8 and was 32 in version 7",
        ),
    ],
)
def test_cold_with_another_network(base, network, reason):
    start = find_start(base, section().model_copy(update={"network": network}))
    assert (start.kind, start.reason) == ("cold", reason)


def test_warm_with_another_regularisation(base):
    network = WideDeep(dropout=0.3, embedding_dropout=0.2, l2=0.1)
    assert find_start(base, section().model_copy(update={"network": network})).kind == "warm"


def test_the_largest_drift_decides_and_is_told():
    warm = Start(Base(7, {}, None, frozenset(), Moments(0, 1, 0, 0)), "the same features")
    drifts = [Drift("a", 0.25, "a moved"), Drift("b", 1.5, "b moved")]
    assert warm.judged(drifts, 2).reason == (
        "the same features; its constants are kept: b moved, a drift of 1.50, limit 2"
    )
    cold = warm.judged(drifts, 1)
    assert cold.kind == "cold"
    assert cold.reason == "since version 7 b moved, a drift of 1.50, above preprocess.max_constant_drift 1"
    assert warm.judged([], 1) == warm
