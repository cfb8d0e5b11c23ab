"""Images in compress: large ones are calibrated on in small batches, but on enough of them."""

import numpy as np
import pytest

from components.compress.source import calibration
from components.learning import input as learning_input
from tests.learning.photos import SHAPE, make_transform, write_examples


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    write_examples(folder, make_transform(), 300)
    return folder


@pytest.mark.parametrize(("at_once", "sizes"), [(1000, [300]), (40, [40] * 7), (7, [7] * 37), (290, [290])])
def test_calibration_batches_are_small_and_enough(examples, monkeypatch, at_once, sizes) -> None:
    monkeypatch.setattr(learning_input, "READ_PIXELS", at_once * SHAPE[0] * SHAPE[1])
    batches = list(calibration(examples))
    assert [len(batch["images"]) for batch in batches] == sizes
    assert set(batches[0]) == {"floats", "ids", "images"}
    assert batches[0]["images"].dtype == np.float32
    np.testing.assert_array_equal(next(calibration(examples))["images"], batches[0]["images"])
