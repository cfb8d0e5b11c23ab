import numpy as np
import pytest

from components.compress.candidate import Candidate, built
from components.compress.low_rank import factored
from components.learning import networks, variables
from components.learning.config import Dcn, Linear, Mlp, WideDeep
from components.learning.lookups import Joined
from components.learning.networks import NetworkSpec
from tests.learning.small import make_transform, write_examples
from tests.learning.test_networks import inputs

KINDS = [
    Linear(l2=0.1),
    Mlp(hidden=(8,), max_embedding_width=2),
    WideDeep(hidden=(8, 4), dropout=0.1, embedding_dropout=0.2, max_embedding_width=3),
    Dcn(hidden=(8,), cross_layers=2, max_embedding_width=50),
]


def candidate(folder, network, task="binary", use="both") -> Candidate:
    """One with random weights."""
    spec = NetworkSpec.of(network, write_examples(folder, make_transform(task, use), rows=(4, 2), shards=1))
    random = np.random.default_rng(0)
    fresh = variables.read(networks.build(spec).variables)
    return Candidate(spec, built(spec, {name: random.normal(size=value.shape) for name, value in fresh.items()}))


def tables(network) -> dict[str, tuple[str, ...]]:
    return {layer.name: layer.names for layer in network.layers if isinstance(layer, Joined)}


@pytest.mark.parametrize("use", ["both", "floats", "ids"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("network", KINDS, ids=lambda network: network.kind)
def test_a_network_serves_what_it_learned_with_fewer_tables(tmp_path, network, task, use):
    learned = candidate(tmp_path, network, task, use)
    rows = inputs(learned.spec, 40)
    assert learned.served()(rows).numpy() == pytest.approx(learned.network(rows).numpy(), abs=1e-5)


def test_ids_of_one_width_share_a_table_and_all_weights_of_the_wide_part_do(tmp_path):
    learned = candidate(tmp_path, WideDeep(hidden=(8,), max_embedding_width=3))
    assert learned.spec.embedding_widths == (3, 3, 3)
    assert tables(learned.served()) == {
        "embedding_of_3": ("embedding_city", "embedding_day", "embedding_day.1"),
        "wide_of_all": ("wide_city", "wide_day", "wide_day.1"),
    }


def test_an_id_alone_in_its_width_keeps_its_table(tmp_path):
    learned = candidate(tmp_path, Mlp(hidden=(8,), max_embedding_width=50))
    assert len(set(learned.spec.embedding_widths)) == 3
    assert tables(learned.served()) == {}


def test_a_factored_embedding_keeps_its_table(tmp_path):
    learned = candidate(tmp_path, Mlp(hidden=(8,), max_embedding_width=4))
    state = learned.state()
    state["embedding_day.1/embeddings:0"] = np.outer(np.arange(len(state["embedding_day.1/embeddings:0"])), np.ones(4))
    small = factored(Candidate(learned.spec, built(learned.spec, state)), 1 - 1e-9)
    assert "embedding_day.1" in small.spec.ranks
    rows = inputs(small.spec, 40)
    assert tables(small.served()) == {}
    assert small.served()(rows).numpy() == pytest.approx(small.network(rows).numpy(), abs=1e-5)
