"""Content addressing, arrival, the cap on bad rows, and what a crash leaves."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.artifacts import Snapshot
from components.digests import remembered
from components.digests.content import file_content
from components.errors import UserError
from components.features.arrow import arrow_schema
from components.ingest import ingest as ingest_module
from components.ingest import partition as partition_module
from tests.ingest.place import COLUMNS, Place, csv_text, make_data

ROOT = Path(__file__).parents[2]


def month(number: int, rows: int = 3, **changes: str) -> str:
    days = [f"2020-{number:02}-{row + 1:02}" for row in range(rows)]
    return csv_text(*({"id": day, "when": day, **changes} for day in days))


def test_a_repeated_ingest_writes_nothing(place: Place) -> None:
    place.put("a.csv", month(1))
    place.put("b.csv", month(2))
    first = place.ingest()
    before = place.files()
    assert place.details()["new_partitions"] == 2
    assert place.ingest().digest == first.digest
    assert place.files() == before
    assert place.details()["new_partitions"] == 0


def test_known_partitions_are_not_read_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put("a.csv", month(1))
    place.ingest()
    monkeypatch.setattr(partition_module, "check", None)
    place.ingest()


def test_a_renamed_or_redated_file_gives_the_same_snapshot(place: Place) -> None:
    path = place.put("a.csv", month(1))
    place.put("b.csv", month(2))
    first = place.ingest()
    os.utime(path, (1, 1))
    path.rename(path.with_name("z.csv"))
    assert place.ingest().digest == first.digest
    assert place.details()["new_partitions"] == 0
    assert [source["name"] for source in place.details()["sources"]] == ["z.csv", "b.csv"]


def test_one_changed_byte_gives_another_partition(place: Place) -> None:
    path = place.put("a.csv", month(1, price="1.5"))
    place.put("b.csv", month(2))
    first, times = place.ingest(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    place.put("a.csv", month(1, price="2.5"))
    os.utime(path, ns=times)
    second = place.ingest()
    assert second.digest != first.digest
    assert place.details()["new_partitions"] == 1
    assert second.partitions[1] == first.partitions[1]
    assert place.rows(second)["price"].to_pylist()[:3] == [2.5] * 3
    assert place.rows(first)["price"].to_pylist()[:3] == [1.5] * 3


class TestRemembered:
    """Digests are remembered of files that are a few seconds old."""

    @pytest.fixture(autouse=True)
    def an_hour_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = time.time_ns
        monkeypatch.setattr("components.digests.remembered.time.time_ns", lambda: clock() + 3_600 * 10**9)

    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """The files whose bytes were read for a digest, as often as they were."""
        paths: list[Path] = []
        monkeypatch.setattr(remembered, "file_content", lambda path: paths.append(path) or file_content(path))
        return paths

    def test_every_file_is_read_once_for_its_digest_and_then_not_even_that(
        self, place: Place, read: list[Path]
    ) -> None:
        files = [place.put(f"{number}.csv", month(number)) for number in range(1, 6)]
        first = place.ingest()
        assert sorted(read) == files
        assert place.details()["bytes_read"] == sum(path.stat().st_size for path in files)
        before = place.files()
        assert place.ingest().digest == first.digest
        assert sorted(read) == files and place.details()["bytes_read"] == 0
        assert place.files() == before

    def test_turned_off_every_run_reads_every_byte(self, place: Place, read: list[Path]) -> None:
        path = place.put("a.csv", month(1))
        first = place.ingest()
        del read[:]
        assert place.ingest(remember_digests=False).digest == first.digest
        assert read == [path] and place.details()["bytes_read"] == path.stat().st_size

    def test_one_changed_byte_gives_another_partition(self, place: Place) -> None:
        path = place.put("a.csv", month(1, price="1.5"))
        first, times = place.ingest(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        inode = path.stat().st_ino
        with path.open("r+") as file:
            file.write(month(1, price="2.5"))
        os.utime(path, ns=times)
        assert path.stat().st_ino == inode
        second = place.ingest()
        assert second.digest != first.digest
        assert place.rows(second)["price"].to_pylist() == [2.5] * 3

    def test_a_renamed_or_redated_file_gives_the_same_snapshot(self, place: Place, read: list[Path]) -> None:
        path = place.put("a.csv", month(1))
        first = place.ingest()
        os.utime(path.rename(path.with_name("z.csv")), (1, 1))
        assert place.ingest().digest == first.digest
        assert place.details()["new_partitions"] == 0 and len(read) == 2

    @pytest.mark.parametrize("name", ["rows.parquet", "rejected.parquet", "partition.json"])
    def test_a_partition_that_lacks_a_file_is_made_again(self, place: Place, name: str) -> None:
        place.put("a.csv", month(1) + csv_text({"size": "many"}).partition("\n")[2])
        first = place.ingest()
        rows, rejected = place.rows(first), place.rejected(first)
        (folder,) = (place.work / "data" / "model" / "partitions").iterdir()
        (folder / name).unlink()
        assert place.ingest() == first
        assert place.details()["new_partitions"] == 1
        assert (place.rows(first), place.rejected(first)) == (rows, rejected)
        assert list(folder.parent.iterdir()) == [folder], "nothing is left beside it"

    def test_a_deleted_partition_is_made_again(self, place: Place) -> None:
        place.put("a.csv", month(1))
        first = place.ingest()
        shutil.rmtree(place.work / "data" / "model" / "partitions")
        assert place.ingest() == first
        assert place.rows(first).num_rows == 3


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"columns": {**COLUMNS, "price": {"type": "float", "max": 9}}}, False),
        ({"columns": {**COLUMNS, "price": {"type": "float", "description": "in cents"}}}, True),
        ({"columns": {name: kind for name, kind in COLUMNS.items() if name != "price"}}, False),
        ({"key": ()}, True),
        ({"time": None}, False),
    ],
)
def test_the_digest_follows_what_rows_are_checked_against(place: Place, changes: dict, same: bool) -> None:
    place.put("a.csv", month(1))
    first = place.ingest()
    assert (place.ingest(data=make_data(**changes)).digest == first.digest) == same


def test_the_snapshot_is_ordered_by_time_not_by_name(place: Place) -> None:
    place.put("a.csv", month(3))
    place.put("b.csv", month(1))
    place.put("c.csv", month(2))
    assert [part.source for part in place.ingest().partitions] == ["b.csv", "c.csv", "a.csv"]


def test_equal_files_are_counted_once_and_reported(place: Place) -> None:
    place.put("a.csv", month(1))
    place.put("copy.csv", month(1))
    snapshot = place.ingest()
    assert snapshot.rows == place.details()["rows"] == 3
    assert place.details()["duplicates"] == [{"name": "copy.csv", "same_as": "a.csv"}]


def test_the_record_tells_what_was_read(place: Place) -> None:
    place.put("a.csv", csv_text({}, {"late": ""}, {"price": "cheap"}, header=(*COLUMNS, "note")))
    snapshot = place.ingest()
    details = place.details()
    assert details["snapshot"] == snapshot.digest
    assert details["rows"] == 2 and details["unlabelled"] == 1
    assert details["rejected"] == {"price is not a number": 1}
    assert details["rejected_examples"] == [{"source": "a.csv", "line": 4, "reason": "price is not a number"}]
    assert details["ignored_columns"] == ["note"]
    assert details["bytes_read"] == (place.source / "a.csv").stat().st_size
    digest = snapshot.partitions[0].digest
    assert details["sources"] == [{"name": "a.csv", "digest": digest, "rows": 2, "rejected": 1, "new": True}]


def test_rows_are_written_in_order_in_groups_of_16384(place: Place) -> None:
    place.put("a.csv", csv_text(*({"id": str(row), "size": "bad" if row % 7 == 3 else "1"} for row in range(50_000))))
    snapshot = place.ingest()
    file = pq.ParquetFile(snapshot.paths()[0])
    assert file.schema_arrow.equals(arrow_schema(make_data()))
    groups = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
    assert groups[:-1] == [16_384] * (len(groups) - 1) and sum(groups) == snapshot.rows
    assert file.read()["id"].to_pylist() == [str(row) for row in range(50_000) if row % 7 != 3]


class TestUntil:
    def test_a_file_arrives_with_its_newest_row(self, place: Place) -> None:
        place.put("a.csv", csv_text({"when": "2020-01-31T23:59:59.9"}))
        place.put("b.csv", csv_text({"when": "2020-02-01T00:00:00"}))
        assert [part.source for part in place.ingest(until="2020-01-31").partitions] == ["a.csv"]
        assert place.details()["later_files"] == 1
        assert len(place.ingest(until="2020-02-01").partitions) == 2
        assert len(place.ingest().partitions) == 2

    def test_the_same_day_gives_the_same_snapshot_when_more_has_arrived(self, place: Place) -> None:
        place.put("a.csv", month(1))
        first = place.ingest(until="2020-01-31")
        place.put("b.csv", month(2))
        assert place.ingest(until="2020-01-31").digest == first.digest

    def test_nothing_arrived(self, place: Place) -> None:
        place.put("a.csv", month(2))
        with pytest.raises(UserError, match="no file had arrived by 2020-01-01: the first one ends on 2020-02-03"):
            place.ingest(until="2020-01-01")

    @pytest.mark.parametrize("until", ["2020-13-01", "tomorrow", "2020-01-01T00:00"])
    def test_no_date(self, place: Place, until: str) -> None:
        with pytest.raises(UserError, match="which is no date; write it as YYYY-MM-DD"):
            place.ingest(until=until)

    def test_without_time_column(self, place: Place) -> None:
        place.put("a.csv", month(1))
        with pytest.raises(UserError, match=r"data\.time names no column"):
            place.ingest(until="2020-01-01", data=make_data(time=None))


class TestBadRows:
    def test_too_many_in_one_file_stop_the_run(self, place: Place) -> None:
        place.put("good.csv", month(1, rows=28))
        bad = [{"size": "x"}] * 3 + [{"price": "x"}] * 2 + [{"on": "x"}, {"on": "y"}, {"colour": "blue"}]
        place.put("bad.csv", csv_text(*bad, *[{}] * 12))
        with pytest.raises(UserError) as error:
            place.ingest(max_bad_rows=0.1)
        text = str(error.value)
        assert "8 of 20 rows of bad.csv are bad, more than ingest.max_bad_rows 0.1 allows" in text
        assert "size is not an integer of 64 bits (3); price is not a number (2); on is not true" in text
        assert "colour" not in text
        (rejected,) = [Path(word) for word in text.split() if word.endswith("rejected.parquet")]
        assert pq.read_table(rejected).num_rows == 8
        assert place.details()["rejected"]["size is not an integer of 64 bits"] == 3
        assert place.ingest(max_bad_rows=0.4).rows == 40

    def test_a_file_of_bad_rows_only_is_refused_whatever_the_share(self, place: Place) -> None:
        place.put("a.csv", csv_text({"size": "x"}))
        with pytest.raises(UserError, match=r"1 of 1 rows of a\.csv are bad"):
            place.ingest(max_bad_rows=1.0)


class TestCrash:
    def test_kill_leaves_a_usable_work_directory(self, place: Place) -> None:
        for number in range(1, 13):
            header, _, rows = month(number, rows=28).partition("\n")
            place.put(f"{number}.csv", f"{header}\n{rows * 300}")
        started = subprocess.Popen([sys.executable, "-c", KILLED, str(place.work)], cwd=ROOT)
        while started.poll() is None and not _partitions(place, "[!.]*"):
            time.sleep(0.001)
        started.send_signal(signal.SIGKILL)
        assert started.wait() == -signal.SIGKILL
        finished = {path.name for path in _partitions(place, "[!.]*")}
        assert 0 < len(finished) < 12
        snapshot = place.ingest()
        assert snapshot.rows == 12 * 28 * 300
        assert place.details()["new_partitions"] == 12 - len(finished)

    def test_a_failed_run_leaves_earlier_snapshots_alone(self, place: Place) -> None:
        place.put("a.csv", month(1))
        first = place.ingest()
        place.put("b.csv", "")
        with pytest.raises(UserError):
            place.ingest()
        assert Snapshot.read(first.path) == first
        assert place.rows(first).num_rows == 3
        assert not _partitions(place, ".*")

    def test_a_file_that_grows_while_it_is_read_is_refused(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        path = place.put("a.csv", month(1))
        check = partition_module.check

        def check_while_growing(*arguments):
            with path.open("a") as file:
                file.write("more")
            return check(*arguments)

        monkeypatch.setattr(partition_module, "check", check_while_growing)
        with pytest.raises(UserError, match=r"a\.csv changed while it was read; run again"):
            place.ingest()
        assert not _partitions(place, "*")

    def test_two_runs_at_once(self, place: Place) -> None:
        for number in range(1, 13):
            place.put(f"{number}.csv", month(number))
        digests = []
        runs = [threading.Thread(target=lambda: digests.append(place.ingest().digest)) for _ in range(4)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert len(digests) == 4 and len(set(digests)) == 1


KILLED = """
import sys
from pathlib import Path
from tests.ingest.place import Place
Place(Path(sys.argv[1])).ingest()
"""


def _partitions(place: Place, pattern: str) -> list[Path]:
    return list((place.work / "data" / "model" / "partitions").glob(pattern))


class TestSources:
    def test_no_file_matches(self, place: Place) -> None:
        with pytest.raises(UserError, match=r"no file matches ingest\.source .*source/\*\.csv; check the path"):
            place.ingest("*.csv")

    def test_missing_file(self, place: Place) -> None:
        with pytest.raises(UserError, match=r"no file matches ingest\.source .*source/a\.csv"):
            place.ingest("a.csv")

    def test_a_folder(self, place: Place) -> None:
        place.put("a.csv", month(1))
        with pytest.raises(UserError, match=r"is a folder; name its files, such as .*/\*\.parquet"):
            place.ingest("")

    def test_an_unknown_type(self, place: Place) -> None:
        place.put("a.xlsx", "x")
        with pytest.raises(UserError, match=r"a\.xlsx is of no type that can be read; its name must end in \.csv"):
            place.ingest()

    def test_empty_file(self, place: Place) -> None:
        place.put("a.csv", "")
        with pytest.raises(UserError, match=r"a\.csv is empty \(0 bytes\)"):
            place.ingest()

    def test_hidden_files_and_marks_are_left_out(self, place: Place) -> None:
        place.put("year=2020/part-0.csv", month(1))
        place.put("year=2021/part-0.csv", month(2))
        place.put("_SUCCESS", "")
        place.put(".part-0.csv.crc", "x")
        place.put("_temporary/part-1.csv", "x")
        assert place.ingest("**/*").rows == 6
        assert [one["name"] for one in place.details()["sources"]] == ["year=2020/part-0.csv", "year=2021/part-0.csv"]

    def test_a_work_directory_with_wildcards_in_its_name(self, tmp_path: Path) -> None:
        place = Place(tmp_path / "a[b]*")
        place.put("a.csv", month(1))
        assert place.ingest().rows == 3

    def test_an_unreadable_file(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_):
            raise PermissionError(13, "Permission denied")

        place.put("a.csv", month(1))
        monkeypatch.setattr("components.digests.remembered.file_content", refuse)
        with pytest.raises(UserError, match=r"a\.csv cannot be read .*Permission denied.*; check that it is there"):
            place.ingest()

    def test_a_url(self, place: Place) -> None:
        import fsspec

        memory = fsspec.filesystem("memory")
        memory.pipe("/bucket/flights/a.csv", month(1).encode())
        memory.pipe("/bucket/flights/b.csv", month(2).encode())
        place.put("a.csv", month(1))
        local = place.ingest("*")
        assert place.ingest("memory://bucket/flights/a.csv").digest == local.digest
        assert place.ingest("memory://bucket/flights/*.csv").rows == 6
        assert [source["name"] for source in place.details()["sources"]] == ["a.csv", "b.csv"]

    def test_a_url_of_an_unknown_protocol(self, place: Place) -> None:
        with pytest.raises(UserError, match=r"nowhere://a\.csv cannot be read \(Protocol not known: nowhere"):
            place.ingest("nowhere://a.csv")


class TestCode:
    """Partitions that other code made are not taken for those that this code would make."""

    @pytest.fixture
    def code(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """A copy of the code by which partitions are named."""
        for name in partition_module.READING:
            (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(partition_module.ROOT / name, tmp_path / "code" / name)
        monkeypatch.setattr(partition_module, "ROOT", tmp_path / "code")
        partition_module.reading_digest.cache_clear()
        yield tmp_path / "code"
        partition_module.reading_digest.cache_clear()

    @pytest.mark.parametrize("name", partition_module.READING)
    def test_changed_code_makes_new_partitions(self, place: Place, code: Path, name: str) -> None:
        place.put("a.csv", month(1))
        first = place.ingest()
        with (code / name).open("a") as file:
            file.write("# changed\n")
        partition_module.reading_digest.cache_clear()
        second = place.ingest()
        assert second.digest != first.digest and place.details()["new_partitions"] == 1
        assert place.rows(second).num_rows == place.rows(first).num_rows

    def test_every_module_that_reads_counts(self) -> None:
        folder = partition_module.ROOT / "components" / "ingest"
        others = {"__init__", "component", "config", "ingest", "sources", "partitions"}
        reading = {
            path.relative_to(partition_module.ROOT).as_posix()
            for path in folder.glob("*.py")
            if path.stem not in others
        }
        assert reading < set(partition_module.READING)


def test_no_thread_learns_digests_any_more_when_they_are_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = threading.Event()

    def slowly(path: Path):
        if path.name != "0.csv":
            at_work.set()
            time.sleep(0.5)
            at_work.clear()
        return file_content(path)

    def fail(*_: object) -> None:
        at_work.wait(10)
        raise UserError("0.csv cannot be read")

    monkeypatch.setattr(remembered, "file_content", slowly)
    monkeypatch.setattr(ingest_module, "add", fail)
    place.put("0.csv", month(1))
    place.put("1.csv", month(2))
    with pytest.raises(UserError, match=r"0\.csv") as raised:
        place.ingest()
    assert not at_work.is_set(), "while the error, which holds on to the reading, is there"
    assert raised.tb
