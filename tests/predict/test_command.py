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
