"""Which folders the containers of a run see; needs no engine."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.config import ModelConfig
from components.errors import UserError
from components.orchestration.mounts import Folders, mounts

MODEL = {
    "name": "small",
    "data": {"columns": {"x": "float", "late": "integer"}, "label": "late", "task": "binary"},
    "features": [{"name": "x", "kind": "numeric", "column": "x"}],
}


def folders(pattern: str, **predict: Any) -> Folders:
    described = {**MODEL, "ingest": {"source": pattern}, "predict": predict}
    return Folders.of(ModelConfig.model_validate_json(json.dumps(described)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/data/rows.csv", "/data"),
        ("/data/2013/*.csv", "/data/2013"),
        ("/data/20*/**/*.csv", "/data"),
        ("/data/[[]a]/[*]/*.csv", "/data/[a]/*"),  # as glob.escape gives the names [a] and *
        ("/data/[ab]/x.csv", "/data"),
    ],
)
def test_a_source_s_folder_is_read(source: str, expected: str) -> None:
    assert folders(source) == Folders(read=(Path(expected),))


@pytest.mark.parametrize("source", ["s3://bucket/rows/*.csv", "{work}/source/*.csv"])
def test_what_is_no_folder_beside_the_work_directory_is_not_mounted(source: str) -> None:
    assert folders(source) == Folders()


def test_rows_to_predict_are_read_and_predictions_written() -> None:
    predict = {"source": "/rows/*.csv", "output": "/predictions/{name}", "columns": ["x"]}
    assert folders("/data/*.csv", **predict) == Folders((Path("/data"), Path("/rows")), (Path("/predictions/small"),))


def test_only_the_run_s_folders_are_writable_and_no_folder_is_mounted_twice(tmp_path: Path) -> None:
    own, data = tmp_path / "work", tmp_path / "data"
    (data / "2013").mkdir(parents=True)
    read = (data / "2013", data, own / "source", tmp_path / "nowhere")
    found = mounts(own, Folders(read, (tmp_path / "predictions",)))
    assert {mount["Source"]: mount["ReadOnly"] for mount in found} == {
        str(own): False,
        str(tmp_path / "predictions"): False,
        str(data): True,
    }
    assert len(found) == 3
    assert all(mount["Source"] == mount["Target"] for mount in found)
    assert (tmp_path / "predictions").is_dir(), "an engine would make it as root"


@pytest.mark.parametrize(("source", "folder"), [("/tmp/*.csv", "/tmp"), ("/rows.csv", "/"), ("/*/x.csv", "/")])
def test_what_would_hide_a_containers_own_folders_is_refused(tmp_path: Path, source: str, folder: str) -> None:
    with pytest.raises(UserError, match=f"^the run reads or writes files in {folder} itself, .*; move them"):
        mounts(tmp_path / "work", folders(source))
    assert not (tmp_path / "work").exists()
