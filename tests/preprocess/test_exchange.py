"""What the step and workers elsewhere hand each other, and that both run the same code."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import UserError


def test_a_shared_folder_hands_files_over_and_is_empty_in_the_end(tmp_path):
    from components.preprocess.exchange import exchange
    from components.preprocess.pieces import Piece, Shard

    for name in ("shared/seen", "data", "examples", "graph/variables"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("data/rows.parquet", "shared/seen/rows.parquet"):
        pq.write_table(pa.table({"serial": [1.0, 2.0]}), tmp_path / name)
    (tmp_path / "graph" / "variables" / "index").write_text("kept")
    here, there = (Piece(str(tmp_path / name / "rows.parquet"), 0, np.arange(2)) for name in ("data", "shared/seen"))
    with exchange(str(tmp_path / "shared"), tmp_path / "examples") as files:
        shown = files.show_pieces([here, here, there])
        assert shown[0].path == shown[1].path != here.path
        assert shown[0].path.startswith(str(tmp_path / "shared"))
        assert shown[0].read(["serial"]).equals(here.read(["serial"]))
        assert shown[2].path == there.path
        assert Path(files.show_graph(tmp_path / "graph"), "variables", "index").read_text() == "kept"
        Path(files.shards, "one").write_text("made")
        files.take([Shard("one", (here,), 0)])
    assert [path.name for path in (tmp_path / "examples").iterdir()] == ["one"]
    assert (tmp_path / "examples" / "one").read_text() == "made"
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["seen"]


def test_a_shared_folder_that_cannot_be_written_is_named(tmp_path):
    from components.preprocess.exchange import exchange

    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"preprocess.shared is .*/file/below, which cannot be written"),
        exchange(f"{tmp_path}/file/below", tmp_path),
    ):
        pass


def test_a_worker_with_other_code_refuses():
    from components.preprocess.same_code import check_code, code_digests

    check_code({**code_digests(), "features/only_of_the_step.py": "00"})
    with pytest.raises(RuntimeError, match=r"the worker's components/preprocess/write.py is not the step's"):
        check_code({**code_digests(), "preprocess/write.py": "00"})


def test_a_shard_that_no_worker_wrote_into_the_volume_is_named(tmp_path):
    from components.preprocess.exchange import exchange
    from components.preprocess.pieces import Shard

    (tmp_path / "examples").mkdir()
    with (
        exchange(str(tmp_path / "shared"), tmp_path / "examples") as files,
        pytest.raises(UserError, match=r"shards/one cannot be copied .* all workers mount the same volume"),
    ):
        files.take([Shard("one", (), 0)])
    assert not list((tmp_path / "examples").iterdir())
