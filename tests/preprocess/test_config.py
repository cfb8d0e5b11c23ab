import pytest

from components.errors import UserError
from tests.preprocess.parcels import section


@pytest.mark.parametrize(
    ("time", "keys", "words"),
    [
        (False, {"validation_days": 3}, "preprocess.validation_days needs data.time"),
        (False, {"heldout_days": 0}, "preprocess.heldout_days needs data.time"),
        (False, {"window_days": 100}, "preprocess.window_days needs data.time"),
        (True, {"heldout_share": 0.2}, "use preprocess.heldout_days"),
        (True, {"validation_share": 0.0}, "use preprocess.validation_days"),
        (False, {"validation_share": 0.5, "heldout_share": 0.5}, "leave nothing to train on"),
        (True, {"replay_share": 1.5}, "preprocess.replay_share is 1.5"),
        (True, {"rows_per_shard": 0}, "preprocess.rows_per_shard is 0"),
    ],
)
def test_refuses_by_name(time, keys, words):
    with pytest.raises(UserError, match=words):
        section(time, **keys)


def test_defaults():
    assert section().preprocess.days == (14, 28)
    assert section(time=False).preprocess.shares == (0.1, 0.1)


def test_zero_is_not_the_default():
    assert section(validation_days=0, heldout_days=0).preprocess.days == (0, 0)
