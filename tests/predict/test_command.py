"""`python -m components.predict`."""

from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from components.predict.__main__ import main
from tests.predict.conftest import rows


@pytest.fixture
def source(work) -> Path:
    work.mkdir(exist_ok=True)
    pq.write_table(rows(200), work / "rows.parquet")
    return work / "rows.parquet"


def arguments(work, source, output, *more, model="binary") -> list[str]:
    return [model, "--work", str(work), "--input", str(source), "--output", str(output), *more]


def test_it_predicts_with_the_version_in_service_and_says_how_much_and_where(deployed, work, source, tmp_path, capsys):
    deployed()
    assert main(arguments(work, source, tmp_path / "o")) == 0
    printed = capsys.readouterr().out
    assert "Predictions of binary version 1" in printed
    assert "200" in printed
    assert pq.read_table(tmp_path / "o").num_rows == 200
    deployed()
    assert main(arguments(work, source, tmp_path / "o")) == 1
    assert "holds predictions of version 1, not of 2" in capsys.readouterr().err.replace("\n", " ")
    assert main(arguments(work, source, tmp_path / "o", "--version", "1")) == 0


def test_a_models_folder_brings_its_section(deployed, work, source, tmp_path):
    deployed()
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.yaml").write_text("name: binary\npredict: {columns: [town, id]}\n")
    assert main(arguments(work, source, tmp_path / "o", model=str(folder))) == 0
    assert pq.read_table(tmp_path / "o").column_names == ["town", "id", "prediction"]
    assert main(arguments(work, source, tmp_path / "p", "--columns", "hour", model=str(folder))) == 0
    assert pq.read_table(tmp_path / "p").column_names == ["hour", "prediction"]


@pytest.mark.parametrize("place", ["folder", "version"])
@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{max_bad_rows: 2e+0}", "max_bad_rows is 2.0"),
        ("{columns: [id], columns: [town]}", "the key columns stands twice"),
        ("[id]", "predict is ['id']; it must be a mapping"),
        ("{columns: [", "is not valid YAML"),
    ],
)
def test_a_description_is_read_as_the_pipeline_reads_it(deployed, work, source, tmp_path, capsys, place, section, told):
    version = deployed()
    folder = {"folder": tmp_path, "version": version.path}[place]
    (folder / "model.yaml").write_text(f"name: binary\npredict: {section}\n")
    model = {"folder": str(tmp_path), "version": "binary"}[place]
    assert main(arguments(work, source, tmp_path / "o", model=model)) == 1
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_share_may_be_written_as_people_write_it(deployed, work, source, tmp_path):
    deployed()
    (tmp_path / "model.yaml").write_text("name: binary\npredict: {max_bad_rows: 1e-3, columns: [id]}\n")
    assert main(arguments(work, source, tmp_path / "o", model=str(tmp_path))) == 0


def no_space(*_, **__):
    raise OSError(28, "No space left on device")


def refusal(capsys) -> str:
    error = capsys.readouterr().err
    assert "Traceback" not in error and error.count("error:") == 1
    return " ".join(error.split())


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_done(
    deployed, work, source, tmp_path, capsys, monkeypatch
):
    deployed()
    with monkeypatch.context() as patched:
        patched.setattr(pq.ParquetWriter, "write_table", no_space)
        assert main(arguments(work, source, tmp_path / "o")) == 1
    assert "No space left on device); make room there" in refusal(capsys)
    assert not list((tmp_path / "o").rglob(".*.tmp")) and not list((tmp_path / "o").glob("part-*"))
    with monkeypatch.context() as patched:
        patched.setattr(pq.ParquetWriter, "write_table", no_space)
        patched.setattr("components.predict.beam_run.artifacts.write_json", no_space)
        assert main(arguments(work, source, tmp_path / "o")) == 1
    assert "part-00000-of-00001.parquet was not written, nor why; make sure that" in refusal(capsys)
    assert main(arguments(work, source, tmp_path / "o")) == 0


def test_whatever_else_goes_wrong_is_one_sentence(deployed, work, source, tmp_path, capsys, monkeypatch):
    deployed()

    def broken(*_):
        raise IndexError("7 of 5")

    monkeypatch.setattr("components.predict.score.Predictor.predict_transformed", broken)
    assert main(arguments(work, source, tmp_path / "o")) == 1
    assert f"rows of {source} could not be predicted (IndexError: 7 of 5)" in refusal(capsys)


def test_a_runner_that_is_not_is_one_sentence(deployed, work, source, tmp_path, capsys):
    deployed()
    assert main(arguments(work, source, tmp_path / "o", "--beam=--runner=Nobody")) == 1
    told = refusal(capsys)
    assert "Unexpected pipeline runner: Nobody" in told and "check predict.beam" in told


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("s3://bucket/predictions", "s3://bucket/predictions is a URL, which is not supported yet; name a folder"),
        ("{tmp}/file/o", "predictions cannot be written into"),
    ],
)
def test_an_output_that_cannot_be_is_one_sentence(deployed, work, source, tmp_path, capsys, monkeypatch, output, told):
    deployed()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(arguments(work, source, output.replace("{tmp}", str(tmp_path)))) == 1
    assert told in refusal(capsys)
    assert not (tmp_path / "s3:").exists()


def test_a_store_that_cannot_be_read_is_one_sentence(deployed, work, source, tmp_path, capsys, monkeypatch):
    deployed()

    def denied(*_):
        raise PermissionError(13, "Permission denied", str(work))

    monkeypatch.setattr("components.predict.__main__.ModelStore.pointed", denied)
    assert main(arguments(work, source, tmp_path / "o")) == 1
    told = refusal(capsys)
    assert str(work) in told and "check that the path is right" in told


def test_unreadable_rows_and_missing_columns_are_told(deployed, work, tmp_path, capsys):
    deployed()
    pyarrow.csv.write_csv(rows(100).drop_columns(["sunny"]), work / "rows.csv")
    with (work / "rows.csv").open("a") as file:
        file.write("7,Ulm,3,hot,,\n")
    call = arguments(work, work / "rows.csv", tmp_path / "o", "--max-bad-rows")
    assert main([*call, "0"]) == 1
    assert "more than predict.max_bad_rows 0 allows" in " ".join(capsys.readouterr().err.split())
    assert main([*call, "0.1"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "unreadable rows" in printed and "columns missing" in printed


@pytest.mark.parametrize(
    ("more", "model", "told"),
    [
        ((), "nobody", "no version of nobody is in service"),
        ((), "no/folder", "does not exist"),
        (("--version", "9"), "binary", "version 9 is not in"),
        (("--max-bad-rows", "2"), "binary", "max_bad_rows"),
        (("--workers", "0"), "binary", "workers"),
    ],
)
def test_mistakes_are_one_sentence(deployed, work, source, tmp_path, capsys, more, model, told):
    deployed()
    assert main(arguments(work, source, tmp_path / "o", *more, model=model)) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert told in error and "Traceback" not in error
    assert not (tmp_path / "o").exists()
