import numpy as np
import pytest

from components.learning import networks, saved_model
from components.learning.config import WideDeep
from components.learning.legacy_keras import tf
from components.learning.networks import NetworkSpec
from tests.learning.small import make_transform, raw_rows, write_examples


@pytest.mark.parametrize(("task", "use"), [("binary", "both"), ("multiclass", "ids"), ("regression", "floats")])
def test_a_saved_model_takes_raw_columns(tmp_path, task, use):
    transform = make_transform(task, use)
    spec = NetworkSpec.of(WideDeep(hidden=(8,)), write_examples(tmp_path, transform, rows=(4, 2), shards=1))
    network = networks.build(spec)
    saved_model.export(network, transform, tmp_path)
    raw = {name: values for name, values in raw_rows(20).items() if name in transform.source_columns}
    floats, ids = transform(raw)
    expected = network({name: value for name, value in (("floats", floats), ("ids", ids)) if value.shape[1]})
    serve = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    given = {name: tf.constant(values.tolist() if values.dtype == object else values) for name, values in raw.items()}
    assert serve(**given)["output"].numpy() == pytest.approx(np.asarray(expected), abs=1e-5)
    assert not list((tmp_path / "saved_model" / "assets").glob("*"))
