"""The step: what it writes, that it is what the predictor says, and what it refuses."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from components.artifacts import read_json, read_records
from components.errors import UserError
from components.features.arrow import dense
from components.predict import cores
from components.predict.config import Predict, PredictConfig, check_predict
from components.predict.predict import predict
from components.predictor.predictor import Predictor
from components.schema import parse
from tests.predict.conftest import ODD, data_of, rows

KEYS = "id"


def config(**section) -> PredictConfig:
    return parse(PredictConfig, json.dumps({"predict": section}))


def run(version, work, name="binary", **section):
    """Runs the step; returns what its record says."""
    try:
        predict(version.path, config(**section), name, work)
    finally:
        record = read_records(work / "runs" / "unnamed")["predict"]
    return record.details


def expected(version, table: pa.Table) -> np.ndarray:
    predictor = Predictor.load(version.path / "serving")
    return predictor.predict(dense(table, predictor.transform.data, predictor.source_columns))


def output(details) -> pa.Table:
    return pq.read_table(details["output"])


def write(table: pa.Table, path: Path, **options) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return str(path)


def shards(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("part-*"))}


def test_without_a_source_it_says_what_to_do(deployed, work):
    with pytest.raises(UserError, match=r"predict\.source is null; name the files"):
        run(deployed(), work)
    assert not (work / "predictions").exists()


def test_predictions_equal_the_predictors_and_stand_beside_their_keys(deployed, work):
    version, table = deployed(), rows(5000)
    write(table.slice(0, 3000), work / "in" / "1.parquet", row_group_size=500)
    write(table.slice(3000), work / "in" / "2.parquet", row_group_size=700)
    details = run(version, work, source="{work}/in/*.parquet", rows_per_shard=1000)
    found = output(details)
    assert found.column_names == ["id", "prediction"]
    assert found.schema.field("prediction").type == pa.float32()
    assert found.column("id").to_pylist() == list(range(5000))
    np.testing.assert_array_equal(np.asarray(found.column("prediction")), expected(version, table))
    assert (details["rows"], details["bad"], details["shards"], details["skipped_shards"]) == (5000, {}, 6, 0)
    assert details["version"] == 1 and details["rows_per_s"] > 0
    assert details["bytes"] == sum(len(content) for content in shards(details["output"]).values())
    assert (work / "predictions" / "binary") in Path(details["output"]).parents
    latest = read_json(work / "predictions" / "binary" / "latest.json")
    assert latest == {"folder": Path(details["output"]).name, "version": 1, "rows": 5000}


def test_multiclass_has_a_column_for_each_class_and_the_likeliest(deployed, work):
    version, table = deployed("multiclass"), rows(300)
    details = run(version, work, "multiclass", source=write(table, work / "rows.parquet"))
    found = output(details)
    assert found.column_names == ["id", "probability_a", "probability_b b", "probability_ç", "predicted"]
    wanted = expected(version, table)
    for index, name in enumerate(found.column_names[1:-1]):
        np.testing.assert_array_equal(np.asarray(found.column(name)), wanted[:, index])
    assert found.column("predicted").to_pylist() == [["a", "b b", "ç"][best] for best in wanted.argmax(axis=1)]


def test_regression_predicts_numbers(deployed, work):
    version, table = deployed("regression"), rows(300)
    details = run(version, work, "regression", source=write(table, work / "rows.parquet"))
    np.testing.assert_array_equal(np.asarray(output(details).column("prediction")), expected(version, table))


@pytest.mark.parametrize("quoting", ["needed", "all"])
def test_csv_gives_the_same_as_parquet(deployed, work, quoting):
    version, table = deployed(), rows(400)
    path = work / "rows ä.csv"
    style = pa.csv.WriteOptions(quoting_style="needed" if quoting == "needed" else "all_valid")
    pa.csv.write_csv(table, path, style)
    details = run(version, work, source=str(path))
    found = output(details)
    assert found.column("id").to_pylist() == list(range(400))
    np.testing.assert_array_equal(np.asarray(found.column("prediction")), expected(version, table))


def test_a_csv_is_divided_where_rows_end(deployed, work, monkeypatch):
    """Also where cells hold line breaks, blank lines stand between rows, and the last line has no end."""
    monkeypatch.setattr("components.predict.job.read_csv.units.__defaults__", (200,))
    version = deployed()
    lines = ['id,town,"delay, ""felt""",sunny,moment,hour,note']
    for number in range(100):
        lines.append(f'{number},"Ulm",1.5,true,2013-01-01T10:00:00,3,"two\nlines, ""quoted"""')
        if number % 9 == 0:
            lines.append("")
    path = work / "rows.csv"
    path.write_bytes("\r\n".join(lines).encode())
    details = run(version, work, source=str(path), columns=["id", "note"])
    assert details["shards"] > 10
    found = output(details)
    assert found.column("id").to_pylist() == list(range(100))
    assert set(found.column("note").to_pylist()) == {'two\nlines, "quoted"'}


def test_bad_rows_are_kept_aside_counted_and_never_dropped(deployed, work):
    version = deployed()
    path = work / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "town", ODD, "moment", "sunny"])
        for number in range(100):
            felt = {3: "warm", 7: "1.5"}.get(number, "2")
            moment = "yesterday" if number == 50 else "2013-01-01 10:00:00"
            writer.writerow([number, "Ulm", felt, moment, "true", *(["more"] if number == 60 else [])])
    details = run(version, work, source=str(path), max_bad_rows=0.03)
    reasons = {
        f"{ODD} is not a number": 1,
        "moment is not an ISO 8601 time": 1,
        "the row has another number of cells than the header": 1,
    }
    assert details["bad"] == reasons
    assert details["rows"] == 97
    found = output(details)
    assert found.column("id").to_pylist() == [number for number in range(100) if number not in (3, 50, 60)]
    (kept,) = (Path(details["output"]) / "_bad").glob("*.parquet")
    bad = pq.read_table(kept).to_pylist()
    assert [(row["line"], row["reason"]) for row in bad] == list(zip([5, 52, 62], reasons))
    assert bad[0]["source"] == str(path)
    assert json.loads(bad[0]["row"])[ODD] == "warm"


def test_bad_rows_are_written_as_they_are_found(deployed, work, monkeypatch):
    monkeypatch.setattr("components.predict.rows.BAD_ROWS", 4)
    path = work / "rows.csv"
    version = deployed()
    cells = [f"{number},Ulm,{['2', 'warm', '2,more'][number % 3]}" for number in range(30)]
    path.write_text("\n".join(['id,town,"delay, ""felt"""', *cells]))
    details = run(version, work, source=str(path), max_bad_rows=0.7)
    (kept,) = (Path(details["output"]) / "_bad").glob("*.parquet")
    bad = pq.read_table(kept)
    assert bad.column("line").to_pylist() == [number + 2 for number in range(30) if number % 3]
    assert [json.loads(row) for row in bad.column("row").to_pylist()[:2]] == [
        {"id": "1", "town": "Ulm", ODD: "warm"},
        {"text": cells[2]},
    ]
    assert pq.ParquetFile(kept).num_row_groups == 5


def test_a_unit_with_too_many_bad_rows_is_given_up_early(deployed, work, monkeypatch):
    monkeypatch.setattr("components.predict.rows.BAD_ROWS", 10)
    path = write(rows(1000).set_column(3, ODD, pa.array(["warm"] * 1000)), work / "rows.parquet")
    with pytest.raises(UserError, match=r"at least 30 rows of .* the 20 that .* is not a number") as refused:
        run(deployed(), work, source=path, max_bad_rows=0.02)
    (folder,) = (work / "predictions" / "binary").glob("version-*")
    (kept,) = (folder / "_bad").iterdir()
    assert str(kept) in str(refused.value) and pq.read_metadata(kept).num_rows == 30
    assert not shards(folder) and not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("column", "told"), [("town", "town is not UTF-8 text"), ("note", f"{ODD} is not a number")], ids=["read", "unread"]
)
def test_text_that_is_not_utf_8_makes_a_bad_row(deployed, work, column, told):
    """Text of a column that is not declared is repeated unread; it must not hinder telling what else is wrong."""
    texts = pa.array([b"M\xfcnchen" if number == 7 else b"Ulm" for number in range(50)])
    raw = pa.Array.from_buffers(pa.string(), 50, texts.buffers())
    table = rows(50).drop_columns(["town"] if column == "town" else []).append_column(column, raw)
    if column == "note":
        table = table.set_column(3, ODD, pa.array(["warm" if number == 7 else "1" for number in range(50)]))
    path = write(table, work / "rows.parquet")
    details = run(deployed(), work, source=path, max_bad_rows=0.02, columns=["id", column])
    (kept,) = (Path(details["output"]) / "_bad").iterdir()
    (bad,) = pq.read_table(kept).to_pylist()
    assert (bad["line"], bad["reason"], json.loads(bad["row"])[column]) == (8, told, "M\ufffdnchen")
    assert details["rows"] == 49


def test_a_shard_tells_what_it_is(deployed, work):
    deployed()
    table = rows(100).set_column(3, ODD, pa.array(["warm"] + ["1"] * 99))
    details = run(deployed(), work, source=write(table, work / "rows.parquet"))
    (shard,) = Path(details["output"]).glob("part-*")
    metadata = pq.read_metadata(shard).metadata
    assert metadata[b"evergreen.version"] == b"2"
    assert json.loads(metadata[b"evergreen.bad"]) == {f"{ODD} is not a number": 1}


def test_a_file_that_a_pattern_names_twice_is_read_once(deployed, work):
    write(rows(100), work / "in" / "2013" / "01" / "rows.parquet")
    assert run(deployed(), work, source="{work}/in/**/**/*.parquet")["rows"] == 100


def test_too_many_bad_rows_are_an_error_that_keeps_them(deployed, work):
    version, table = deployed(), rows(100)
    texts = pa.array(["warm" if number < 5 else "1" for number in range(100)])
    path = write(table.set_column(3, ODD, texts), work / "rows.parquet")
    with pytest.raises(UserError, match=r"5 of 100 rows of .* 0\.04 allows: .* is not a number \(5\)"):
        run(version, work, source=path, max_bad_rows=0.04)
    (folder,) = (work / "predictions" / "binary").glob("version-*")
    assert not (folder / "_summary.json").exists()
    assert not (work / "predictions" / "binary" / "latest.json").exists()
    assert pq.read_table(next((folder / "_bad").glob("*"))).num_rows == 5
    details = run(version, work, source=path, max_bad_rows=0.05)
    assert details["skipped_shards"] == details["shards"] == 1


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1])
def test_an_integer_that_stands_for_missing_is_bad(deployed, work, value):
    table = pa.table({"id": pa.array([1, value]), "town": pa.array(["Ulm", "Ulm"])})
    details = run(deployed(), work, source=write(table, work / "rows.parquet"), max_bad_rows=0.5)
    assert details["rows"] == (1 if value < 0 else 2)


def test_a_missing_column_counts_as_unknown_and_is_told(deployed, work):
    version, table = deployed(), rows(200)
    path = write(table.drop_columns(["sunny", ODD]), work / "rows.parquet")
    details = run(version, work, source=path)
    assert details["absent"] == {path: [ODD, "sunny"]}
    empty = table.set_column(3, ODD, pa.nulls(200, pa.float64())).set_column(5, "sunny", pa.nulls(200, pa.bool_()))
    np.testing.assert_array_equal(np.asarray(output(details).column("prediction")), expected(version, empty))


def test_rows_without_any_of_the_models_columns_are_refused(deployed, work):
    path = write(pa.table({"id": [1, 2], "city": ["Ulm", "Oz"]}), work / "rows.parquet")
    with pytest.raises(UserError, match=r"lacks .*town.* which the model reads"):
        run(deployed(), work, source=path)


def test_without_the_key_column_rows_are_refused(deployed, work):
    path = write(rows(10).drop_columns(["id"]), work / "rows.parquet")
    with pytest.raises(UserError, match="lacks id, by which predictions are known"):
        run(deployed(), work, source=path)


def test_keys_may_be_any_columns_also_undeclared_ones_and_those_the_model_reads(deployed, work):
    table = rows(50)
    table = table.append_column("a.b", pa.array([f"x{number}" for number in range(50)]))
    table = table.append_column("day", pa.array([None] * 50, pa.date32()))
    path = write(table, work / "rows.parquet")
    found = output(run(deployed(), work, source=path, columns=["town", "a.b", "day", ODD]))
    assert found.column_names == ["town", "a.b", "day", ODD, "prediction"]
    assert found.column("a.b").to_pylist() == table.column("a.b").to_pylist()
    assert found.schema.field("day").type == pa.date32()
    assert [value or "" for value in found.column("town").to_pylist()] == [
        value or "" for value in table.column("town").to_pylist()
    ]


@pytest.mark.parametrize(
    ("columns", "told"), [(["prediction"], "prediction"), (["nothing"], "lacks nothing")], ids=["taken", "absent"]
)
def test_keys_that_cannot_be_are_refused(deployed, work, columns, told):
    table = rows(5).append_column("prediction", pa.array(range(5)))
    with pytest.raises(UserError, match=told):
        run(deployed(), work, source=write(table, work / "rows.parquet"), columns=columns)


def test_files_without_rows_give_a_file_without_rows(deployed, work):
    write(rows(0), work / "in" / "empty.parquet")
    (work / "in" / "empty.csv").write_text("id,town\n")
    details = run(deployed(), work, source="{work}/in/empty.*")
    assert (details["rows"], details["shards"]) == (0, 2)
    assert output(details).column_names == ["id", "prediction"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n\n", "does not start with a header"),
        ("a.csv", b'id,town\n1,"Ulm\n', "a double quote at or after line 1 that nothing closes"),
        ("a.csv", b"id,town\n1,M\xfcnchen\n", "is not UTF-8"),
        ("a.csv", b"id,town\r1,Ulm\r2,Oz\r", "end in a carriage return alone"),
        ("a.csv", b"id,town\n1,Ulm\r2,Oz\r3,Oz\n", "line ends near line 2 that can be read in two ways"),
        ("a.csv", b'id,town\n1,5" Ulm\n2,Oz\n3,6" Oz\n', "quotes or line ends near line 2"),
        ("a.csv", b"id,id,town\n1,2,Ulm\n", "has the columns id more than once"),
        ("a.parquet", b"PAR1 and no more", "cut off or no valid Parquet"),
        ("a.json", b"{}", "its name must end in .csv or .parquet"),
    ],
)
def test_files_that_cannot_be_read_are_refused_by_name(deployed, work, name, content, told):
    version = deployed()
    (work / name).write_bytes(content)
    with pytest.raises(UserError, match=told) as refused:
        run(version, work, source=f"{{work}}/{name}")
    assert name in str(refused.value)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('1,"Ulm', "a double quote at or after line 2 that nothing closes"),
        ("1,Ulm", "a row at line 2 of more than 1,000 bytes"),
    ],
)
def test_a_row_without_end_is_refused_before_the_rest_is_read(deployed, work, monkeypatch, row, told):
    monkeypatch.setattr("components.predict.job.read_csv.units.__defaults__", (100,))
    monkeypatch.setattr("components.predict.read_csv.ROW_BYTES", 1000)
    monkeypatch.setattr("components.predict.read_csv.HEADER_BYTES", 100)
    version, read = deployed(), []

    class Counted(io.FileIO):
        def read(self, size=-1):
            read.append(size)
            return super().read(size)

    monkeypatch.setattr("components.predict.read_csv.open_input", Counted)
    path = work / "rows.csv"
    end = "\n" if '"' in row else ""
    path.write_text(f"id,town\n{row}{end}" + f"2,Oz{end}" * 20_000)
    with pytest.raises(UserError, match=told):
        run(version, work, source=str(path))
    assert sum(read) < 2000


def test_a_cell_longer_than_what_is_read_at_once_is_read(deployed, work, monkeypatch):
    monkeypatch.setattr("components.predict.job.read_csv.units.__defaults__", (100,))
    path, note = work / "rows.csv", 'a "word"\n' * 500
    version = deployed()
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "town", "note"], [1, "Ulm", note], [2, "Oz", "short"]])
    found = output(run(version, work, source=str(path), columns=["id", "note"]))
    assert found.column("note").to_pylist() == [note, "short"]


def test_a_column_of_an_unreadable_type_is_refused(deployed, work):
    table = rows(3).set_column(1, "town", pa.array([["Ulm"], [], None]))
    with pytest.raises(UserError, match="column town is declared string but has type list"):
        run(deployed(), work, source=write(table, work / "rows.parquet"))


def test_a_page_that_is_corrupt_is_told_in_one_sentence(deployed, work):
    version = deployed()
    path = Path(write(rows(20_000), work / "rows.parquet", use_dictionary=False, compression="zstd"))
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 4 + 4000] = b"\0" * 4000
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="cut off or no valid Parquet"):
        run(version, work, source=str(path))


def test_no_file_is_an_error(deployed, work):
    with pytest.raises(UserError, match="no file matches"):
        run(deployed(), work, source="{work}/none/*.csv")


def test_a_second_call_finds_the_shards_and_other_rows_or_versions_get_their_own_folder(deployed, work):
    version, table = deployed(), rows(300)
    path = write(table, work / "in" / "1.parquet", row_group_size=100)
    section = {"source": "{work}/in/*.parquet", "rows_per_shard": 100}
    first = run(version, work, **section)
    again = run(version, work, **section)
    assert (again["output"], again["skipped_shards"], again["rows_per_s"]) == (first["output"], 3, None)
    write(table, work / "in" / "2.parquet")
    more = run(version, work, **section)
    assert more["rows"] == 600 and more["output"] != first["output"]
    Path(path).write_bytes(Path(path).read_bytes())  # another time, the same content
    assert run(version, work, **section)["output"] == more["output"]
    other = deployed()
    assert run(other, work, **section)["output"] not in (first["output"], more["output"])
    assert read_json(work / "predictions" / "binary" / "latest.json")["version"] == 2
    assert shards(first["output"])


def test_a_shard_that_is_gone_is_made_again_with_the_same_bytes(deployed, work):
    version = deployed()
    path = write(rows(400), work / "rows.parquet", row_group_size=100)
    first = run(version, work, source=path, rows_per_shard=100)
    before = shards(first["output"])
    shutil.rmtree(Path(first["output"]) / "_bad", ignore_errors=True)
    (Path(first["output"]) / sorted(before)[1]).unlink()
    again = run(version, work, source=path, rows_per_shard=100)
    assert again["skipped_shards"] == 3
    assert shards(first["output"]) == before


@pytest.mark.parametrize(
    ("task", "section", "told"),
    [
        ("binary", {"columns": ["prediction"]}, "names prediction, which the predictions are called"),
        ("multiclass", {"columns": ["id", "probability_b b"]}, "names probability_b b"),
        ("multiclass", {"columns": ["predicted"]}, "names predicted"),
        ("binary", {"output": "s3://bucket/predictions"}, "output s3://bucket/predictions is a URL.*not supported yet"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_before_any_work(task, section, told):
    with pytest.raises(ValueError, match=told):
        check_predict(parse(Predict, json.dumps(section)), data_of(task))


def test_names_that_are_taken_in_other_tasks_only_are_free():
    check_predict(parse(Predict, '{"columns": ["predicted", "probability_a"]}'), data_of("binary"))
    check_predict(parse(Predict, '{"columns": ["prediction", "probability_x"]}'), data_of("multiclass"))


@pytest.mark.parametrize(
    ("limit", "count"), [("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("9000000 100000", 8), ("", 8)]
)
def test_a_containers_limit_counts(tmp_path, monkeypatch, limit, count):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(cores, "CPU_MAX", tmp_path / "cpu.max")
    assert cores.cores() == 8
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert cores.cores() == count


def test_a_damaged_version_predicts_nothing(deployed, work):
    version = deployed()
    (version.path / "serving" / "model.tflite").write_bytes(b"other")
    with pytest.raises(UserError, match=r"model\.tflite is changed"):
        run(version, work, source=write(rows(10), work / "rows.parquet"))


def test_a_url_is_read_like_a_path(deployed, work):
    import fsspec

    version, table = deployed(), rows(120)
    write(table, work / "rows.parquet")
    memory = fsspec.filesystem("memory")
    memory.pipe("/bulk/rows.parquet", (work / "rows.parquet").read_bytes())
    pa.csv.write_csv(table, work / "rows.csv")
    memory.pipe("/bulk/rows.csv", (work / "rows.csv").read_bytes())
    details = run(version, work, source="memory://bulk/rows.*")
    both = np.concatenate([expected(version, table)] * 2)
    np.testing.assert_array_equal(np.asarray(output(details).column("prediction")), both)
