"""By what a training that was killed is known again."""

import shutil
from pathlib import Path

import pytest

from components.artifacts import FRESH_VARIABLE
from components.learning import training_folder
from components.learning.training_folder import COMPONENTS, digest, kept_while_made


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    folder = tmp_path / "examples"
    (folder / "train").mkdir(parents=True)
    (folder / "records").mkdir()
    (folder / "train" / "0.tfrecord").write_bytes(b"A" * 100)
    (folder / "examples.json").write_text("{}")
    (folder / "records" / "preprocess.json").write_text("{}")
    return folder


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code."""
    copy = tmp_path / "components"
    shutil.copytree(COMPONENTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(training_folder, "COMPONENTS", copy)
    return copy


@pytest.mark.parametrize(
    ("name", "is_another"),
    [
        ("train/train.py", True),
        ("learning/fit.py", True),
        ("features/transform.py", True),
        ("compress/tune.py", False),
        ("report/html.py", False),
    ],
)
def test_other_code_is_another_training(code: Path, examples: Path, name: str, is_another: bool) -> None:
    before = digest("train", "{}", examples)
    with (code / name).open("a") as file:
        file.write("# changed\n")
    assert (digest("train", "{}", examples) != before) == is_another


@pytest.mark.parametrize(
    ("name", "is_another"), [("train/0.tfrecord", True), ("examples.json", True), ("records/preprocess.json", False)]
)
def test_other_content_of_the_same_size_is_another_training(examples: Path, name: str, is_another: bool) -> None:
    before = digest("train", "{}", examples)
    path = examples / name
    path.write_bytes(b"B" + path.read_bytes()[1:])
    assert (digest("train", "{}", examples) != before) == is_another


def test_another_step_configuration_or_name_is_another_training(examples: Path) -> None:
    found = {digest("train", "{}", examples), digest("compress", "{}", examples), digest("train", "[]", examples)}
    (examples / "train" / "0.tfrecord").rename(examples / "train" / "1.tfrecord")
    assert len(found | {digest("train", "{}", examples)}) == 4


@pytest.mark.parametrize(("fresh", "left"), [("", {"lock", "checkpoint", "result"}), ("1", {"lock"})])
def test_a_run_without_cache_uses_nothing_that_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: str, left: set[str]
) -> None:
    scratch = tmp_path / "checkpoints" / "a"
    (scratch / "result").mkdir(parents=True)
    (scratch / "result" / "weights.h5").write_text("old")
    (scratch / "checkpoint").write_text("old")
    monkeypatch.setenv(FRESH_VARIABLE, fresh)
    with kept_while_made(tmp_path, "a") as folder:
        assert folder == scratch
        assert {path.name for path in scratch.iterdir()} == left
    assert not scratch.exists()
