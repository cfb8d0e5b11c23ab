"""The copy of a training's checkpoint in a bucket: of a pod that is gone nothing else is left."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.artifacts import FRESH_VARIABLE
from components.errors import PreemptedError
from components.learning.checkpoint import Checkpoint
from components.learning.mirror import Mirror
from components.learning.training_folder import kept_while_made
from components.storage.bucket import BucketStorage
from components.storage.fetched import SCRATCH_VARIABLE
from components.storage.open import open_storage


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Moves on to a new pod: what the last one had on its disk is gone."""
    pods = iter(range(100))

    def start() -> None:
        monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path / str(next(pods))))

    start()
    return start


def _save(folder: Path, step: int, **changed: float) -> None:
    checkpoint = Checkpoint(folder / "checkpoint")
    checkpoint.load()
    checkpoint.save({"step": step}, {name: {"x": np.full(3, value)} for name, value in changed.items()})


def _saved(folder: Path) -> tuple[int, dict[str, float]] | None:
    found = Checkpoint(folder / "checkpoint").load()
    return found and (found[0]["step"], {name: float(state["x"][0]) for name, state in found[1].items()})


def _preempted(work: str, step: int, **changed: float) -> None:
    with pytest.raises(PreemptedError), kept_while_made(work, "t") as folder:
        _save(folder, step, **changed)
        raise PreemptedError


def test_another_pod_goes_on_and_nothing_is_left_at_the_end(s3_root: str, pod) -> None:
    _preempted(s3_root, 1, beginning=0.0, weights=1.0)
    pod()
    with pytest.raises(PreemptedError), kept_while_made(s3_root, "t") as folder:
        assert _saved(folder) == (1, {"beginning": 0.0, "weights": 1.0})
        _save(folder, 2, weights=2.0)
        raise PreemptedError
    files = [entry.key for entry in open_storage(s3_root).entries("checkpoints/t/files")]
    assert len(files) == 3, "the progress and two states: what was replaced is gone"
    pod()
    with kept_while_made(s3_root, "t") as folder:
        assert _saved(folder) == (2, {"beginning": 0.0, "weights": 2.0})
    assert not folder.exists() and not list(open_storage(s3_root).entries("checkpoints"))


def test_what_was_just_brought_is_not_sent_back(s3_root: str, pod, tmp_path: Path, monkeypatch) -> None:
    _preempted(s3_root, 1, beginning=0.0, weights=1.0)
    folder = tmp_path / "new"
    folder.mkdir()
    mirror = Mirror(folder, f"{s3_root}/checkpoints/t")
    mirror.fetch()
    sent = []
    monkeypatch.setattr(BucketStorage, "upload", lambda _, stage, key: sent.extend(stage.iterdir()))
    mirror.send()
    assert sent == [] and _saved(folder) == (1, {"beginning": 0.0, "weights": 1.0})
    _save(folder, 2, weights=2.0)
    mirror.send()
    assert len(sent) == 2, "the progress and what changed"


def test_a_run_without_cache_goes_on_with_nothing(s3_root: str, pod, monkeypatch: pytest.MonkeyPatch) -> None:
    _preempted(s3_root, 1, weights=1.0)
    pod()
    monkeypatch.setenv(FRESH_VARIABLE, "1")
    with kept_while_made(s3_root, "t") as folder:
        assert _saved(folder) is None


@pytest.mark.parametrize("nth", range(5))
def test_a_kill_while_it_is_sent_leaves_the_state_before_or_after(
    s3_root: str, pod, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _preempted(s3_root, 1, weights=1.0)
    pod()
    done = 0

    def counted(method):
        def call(storage, *arguments):
            nonlocal done
            done += 1
            if done > nth:
                raise OSError("killed")
            return method(storage, *arguments)

        return call

    with monkeypatch.context() as patch, pytest.raises(PreemptedError), kept_while_made(s3_root, "t") as folder:
        for name in ("upload", "write", "delete"):
            patch.setattr(BucketStorage, name, counted(getattr(BucketStorage, name)))
        _save(folder, 2, weights=2.0)
        raise PreemptedError
    pod()
    with kept_while_made(s3_root, "t") as folder:
        assert _saved(folder) in ((1, {"weights": 1.0}), (2, {"weights": 2.0}))
    assert nth < 3 or done <= nth, "all of it was tried"


def test_of_a_damaged_copy_nothing_is_taken(s3_root: str, pod, caplog: pytest.LogCaptureFixture) -> None:
    _preempted(s3_root, 1, weights=1.0)
    storage = open_storage(f"{s3_root}/checkpoints/t")
    files = json.loads(storage.read("manifest.json"))["files"]
    storage.write(f"files/{next(digest for name, digest in files.items() if name.endswith('.npz'))}", b"other")
    pod()
    with kept_while_made(s3_root, "t") as folder:
        assert _saved(folder) is None
    assert "is damaged" in caplog.text


def test_what_is_here_already_is_not_replaced(s3_root: str, tmp_path: Path) -> None:
    for name, step in (("a", 1), ("b", 2)):
        _save(tmp_path / name, step, weights=float(step))
    Mirror(tmp_path / "a", s3_root).send()
    Mirror(tmp_path / "b", s3_root).fetch()
    assert _saved(tmp_path / "b") == (2, {"weights": 2.0})


def test_a_step_that_only_waits_for_pods_loads_no_tensorflow() -> None:
    code = "import sys, components.train.train; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
