"""What each process of a training reads."""

from pathlib import Path

import numpy as np
import pytest

from components.artifacts import Examples
from components.learning.fitting import Fitting
from components.learning.input import BEGINNING, Reader, Share
from components.learning.legacy_keras import tf
from components.learning.material import Materials
from components.learning.place import Place
from tests.learning.small import make_transform, write_examples

BATCH = 60


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("material")
    write_examples(root / "examples", make_transform(), rows=(900, 300), shards=3)
    return root


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_processes_do_not_take_neighbouring_records_in_the_same_step(root, cache):
    """Records are dealt out in turn where shards do not divide: neighbours are alike, and teach less side by side."""
    first, second = (taken_first(root, cache, Share(index, 2)) for index in range(2))
    assert min(len(first), len(second)) > BATCH * 0.9  # a few rows are equal
    assert len(first & second) < BATCH / 2


def taken_first(root: Path, cache: str, share: Share) -> set[int]:
    """The places, among the process's records, of those in its first batch."""
    folder = root / "examples"
    examples = Examples.read(folder)
    here = Place("multi_worker", tf.distribute.get_strategy(), share=share)
    fitting = Fitting(batch_size=BATCH, cache=cache)
    feed = Materials(folder, examples, fitting, here, root / "cache").of("train").feed
    inputs, _ = next(iter(feed(share, np.full(7, BATCH), BEGINNING)))
    own = Reader(folder, examples, ("train",), share).columns()["floats"]
    return {int(np.argmin(np.abs(own - row).sum(axis=1))) for row in inputs["floats"].numpy()}
