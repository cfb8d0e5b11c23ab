"""The candidate on its way into service on a cluster."""

import json
import time
from pathlib import Path

import pytest

from components import artifacts
from components.errors import UserError
from components.store.__main__ import main
from components.store.pointers import Rollout
from components.store.rollouts import Rollouts
from components.store.version import Version

LATER_S = time.time() + 3600
PAST_S = 1.0


@pytest.fixture
def store(work: Path | str) -> Rollouts:
    return Rollouts(work, "m")


def _add(store: Rollouts) -> Version:
    return store.add(lambda folder, number: artifacts.write_json(folder / artifacts.LINEAGE, {"version": number}))


def test_a_rollout_names_its_version_and_what_was_before_until_it_ends(store: Rollouts) -> None:
    version = _add(store)
    assert store.begin_rollout(None, version, "a", LATER_S) == Rollout("a", LATER_S)
    assert store.note_before(version, "a", "{}").before == "{}"
    assert store.note_before(version, "a", "what is there now").before == "{}", "what was noted first"
    assert store.named() == {1: "candidate"}
    store.replace(None, version)
    store.end_rollout(version, "a")
    assert (store.number("candidate"), store.withdrawal()) == (None, "")


def test_a_version_that_failed_is_withdrawn_with_the_reason_and_may_come_again(store: Rollouts) -> None:
    version = _add(store)
    store.begin_rollout(None, version, "a", LATER_S)
    store.end_rollout(version, "a", "version 1 was withdrawn: no pod came up")
    assert (store.number("candidate"), store.withdrawal()) == (None, "version 1 was withdrawn: no pod came up")
    store.begin_rollout(None, version, "b", LATER_S)
    assert (store.number("candidate"), store.withdrawal()) == (1, "")


def test_the_list_of_versions_tells_why_the_candidate_was_withdrawn(
    store: Rollouts, work: Path | str, capsys: pytest.CaptureFixture[str]
) -> None:
    version = _add(store)
    store.begin_rollout(None, version, "a", LATER_S)
    store.end_rollout(version, "a", "version 1 was withdrawn: no pod [x] came up")
    assert main(["--work", str(work), "--model", "m", "list"]) == 0
    assert "version 1 was withdrawn: no pod [x] came up" in capsys.readouterr().out


def test_one_run_at_a_time_and_the_next_when_it_is_dead(store: Rollouts) -> None:
    first, second = _add(store), _add(store)
    store.begin_rollout(None, first, "a", LATER_S)
    store.note_before(first, "a", "old")
    with pytest.raises(UserError, match=r"run a is putting version 1 into service; run again when it has ended, or"):
        store.begin_rollout(None, second, "b", LATER_S)
    store.begin_rollout(None, first, "a", PAST_S)  # the same run goes on with it
    assert store.begin_rollout(None, second, "b", LATER_S) == Rollout("b", LATER_S, "old")
    with pytest.raises(UserError, match="another run or command changed the candidate of m while version 1"):
        store.note_before(first, "a", "x")
    store.end_rollout(first, "a", "too late")
    assert store.number("candidate") == 2, "another's stays"


def test_a_dead_run_that_had_come_to_its_end_leaves_nothing_to_put_back(store: Rollouts) -> None:
    first, second = _add(store), _add(store)
    store.begin_rollout(None, first, "a", PAST_S)
    store.note_before(first, "a", "old")
    store.replace(None, first)
    assert store.begin_rollout(1, second, "b", LATER_S).before is None


def test_what_may_not_go_into_service_becomes_no_candidate(store: Rollouts) -> None:
    first, second = _add(store), _add(store)
    store.point("serving", first)
    with pytest.raises(UserError, match="version 1 went into service while this run compared its model with none"):
        store.begin_rollout(None, second, "a", LATER_S)
    store.point("serving", second)
    store.rollback()
    with pytest.raises(UserError, match="version 2 was withdrawn from service"):
        store.begin_rollout(1, second, "a", LATER_S)
    assert store.number("candidate") is None


def test_a_candidate_by_hand_ends_a_rollout(store: Rollouts) -> None:
    first, second = _add(store), _add(store)
    store.begin_rollout(None, first, "a", LATER_S)
    store.point("candidate", second)
    with pytest.raises(UserError, match="another run or command changed the candidate"):
        store.note_before(first, "a", "x")
    store.end_rollout(first, "a", "withdrawn")
    assert store.number("candidate") == 2


def test_a_rollout_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    store = Rollouts(tmp_path, "m")
    version = _add(store)
    path = tmp_path / "models/m/pointers/candidate.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1, "rollout": {"who": "a"}}))
    with pytest.raises(UserError, match=r"candidate\.json is damaged"):
        store.begin_rollout(None, version, "a", LATER_S)
