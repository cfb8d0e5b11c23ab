"""Where training starts: warm, cold aloud, or refused; and what a warm start reports."""

import logging

import numpy as np
import pytest

from components import artifacts
from components.errors import UserError
from components.learning import networks
from components.learning.config import Mlp, WideDeep
from components.train.config import Train, TrainConfig
from components.train.process import choose_start
from components.train.train import train
from tests.learning.small import CITIES, make_transform, write_examples

NETWORK = WideDeep(hidden=(8,), max_embedding_width=4)
TRAIN = Train(epochs=1, learning_rate=0.01, batch_size=32, refit=False)


def start(tmp_path, base_network=NETWORK, network=NETWORK, vocabulary=CITIES, base_version=1, **settings):
    """Where training starts beside a base of a network."""
    described = write_examples(tmp_path / "base", make_transform(), rows=(4, 2), shards=1)
    networks.NetworkSpec.of(base_network, described).write(tmp_path / "base")
    transform = make_transform(cities=vocabulary)
    examples = write_examples(tmp_path / "next", transform, rows=(4, 2), shards=1, base_version=base_version)
    return choose_start(TrainConfig(network=network, train=Train(**settings)), examples, tmp_path / "base")


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_warm_start_keeps_the_widths_of_embeddings(tmp_path, caplog):
    wide = WideDeep(hidden=(8,))
    vocabulary = (*CITIES, *(f"city {number}" for number in range(50)))
    warm = start(tmp_path, wide, wide, vocabulary)
    assert warm.spec.embedding_widths == warm.base_spec.embedding_widths
    assert warm.spec.id_sizes[0] == warm.base_spec.id_sizes[0] + 50
    assert warnings(caplog) == []
    assert start(tmp_path, wide, wide, vocabulary, None).spec.embedding_widths != warm.spec.embedding_widths


@pytest.mark.parametrize(
    ("network", "changed"),
    [
        (Mlp(hidden=(8,)), "network.kind is mlp and was wide_deep"),
        (WideDeep(hidden=(9,), max_embedding_width=4), "network.hidden is [9] and was [8]"),
    ],
)
def test_another_network_starts_cold_aloud_or_is_refused(tmp_path, caplog, network, changed):
    cold = start(tmp_path, network=network)
    assert (cold.kind, cold.reason) == ("cold", f"{changed} in version 1")
    assert warnings(caplog) == [f"cold start, although there is a version to start from: {changed} in version 1"]
    for base_version in (1, None):  # preprocess has noticed the change too, and kept nothing of the base
        with pytest.raises(UserError) as refused:
            start(tmp_path, network=network, base_version=base_version, changed_network="refuse")
        assert str(refused.value).startswith(changed)


def test_another_regularisation_starts_warm(tmp_path):
    network = WideDeep(hidden=(8,), max_embedding_width=4, dropout=0.5, l2=0.1)
    warm = start(tmp_path, network=network, changed_network="refuse")
    assert (warm.kind, warm.spec.network) == ("warm", network)


def test_what_preprocess_began_anew_is_cold_aloud(tmp_path, caplog):
    cold = start(tmp_path, base_version=None)
    assert (cold.kind, cold.reason) == ("cold", "there is no model yet")
    assert len(warnings(caplog)) == 1


def test_without_a_version_a_cold_start_is_no_warning(tmp_path, caplog):
    examples = write_examples(tmp_path / "next", make_transform(), rows=(4, 2), shards=1)
    assert choose_start(TrainConfig(network=NETWORK, train=TRAIN), examples, tmp_path / "empty").kind == "cold"
    assert warnings(caplog) == []


def trained(folder, base, settings, **how):
    write_examples(folder / "examples", make_transform(cities=how.pop("cities", CITIES)), **how)
    config = TrainConfig(network=NETWORK, train=settings)
    train(folder / "examples", base, config, folder / "work", folder / "model")
    return artifacts.read_records(folder / "model")["train"].details


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    trained(folder, folder / "empty", TRAIN, rows=(300, 100))
    return folder / "model"


def iterations(model) -> int:
    with np.load(model / artifacts.OPTIMIZER) as file:
        return int(next(file[name] for name in file if name.startswith("iteration")))


def test_the_record_tells_what_became_of_each_layer(base, tmp_path):
    details = trained(tmp_path, base, TRAIN, rows=(300, 100), base_version=1, cities=(*CITIES, "Bonn"))
    layers = details["layers"]
    assert layers["remapped"] == ["embedding_city", "wide_city"]
    assert layers["rows"] == {"city": {"kept": 6, "new": 1}}
    assert layers["optimizer"] == "restored"
    assert {"hidden_0", "logits", "embedding_day", "wide_day"} <= set(layers["reused"])
    assert iterations(tmp_path / "model") == 2 * iterations(base)


def test_shrink_and_perturb_starts_the_optimizer_fresh_and_says_so(base, tmp_path):
    settings = TRAIN.model_copy(update={"shrink": 0.5, "perturb": 0.1})
    details = trained(tmp_path, base, settings, rows=(300, 100), base_version=1)
    assert details["start"] == "warm"
    assert details["layers"]["optimizer"] == "fresh, because the weights are shrunk by 0.5 and perturbed by 0.1"
    assert iterations(tmp_path / "model") == iterations(base)
