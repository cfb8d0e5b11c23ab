"""When a digest may be remembered, when the bytes must be read, and what becomes of a damaged memory."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.digests import remembered as module
from components.digests.content import file_content, file_digest
from components.digests.remembered import Remembered
from components.digests.state import RACY_NS, State


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Moves the clock that tells how old a file is, in nanoseconds from now."""

    def move(by_ns: int) -> None:
        monkeypatch.setattr(module.time, "time_ns", lambda: clock() + by_ns)

    clock = time.time_ns
    return move


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b\n1,2\n")
    return path


def _digest_again(memory: Path, file: Path) -> tuple[str, bool]:
    """The digest as a new process would find it, and whether the bytes were read."""
    with Remembered.kept_in(memory) as remembered:
        content = remembered.of_file(file)
    return content.digest, content.is_read


class TestFiles:
    def test_a_settled_file_is_read_once(self, file: Path, tmp_path: Path, later: Callable[[int], None]) -> None:
        later(2 * RACY_NS)
        memory = tmp_path / "digests.json"
        assert _digest_again(memory, file) == (file_digest(file), True)
        assert _digest_again(memory, file) == (file_digest(file), False)

    def test_a_file_changed_just_now_is_never_remembered(self, file: Path, tmp_path: Path) -> None:
        memory = tmp_path / "digests.json"
        _digest_again(memory, file)
        assert _digest_again(memory, file)[1]
        assert not memory.exists()

    def test_a_file_of_the_future_is_never_remembered(
        self, file: Path, tmp_path: Path, later: Callable[[int], None]
    ) -> None:
        later(2 * RACY_NS)
        os.utime(file, (2**33, 2**33))
        assert [_digest_again(tmp_path / "digests.json", file)[1] for _ in range(2)] == [True, True]

    def test_one_byte_changed_with_time_and_size_kept_is_read(
        self, file: Path, tmp_path: Path, later: Callable[[int], None]
    ) -> None:
        later(2 * RACY_NS)
        memory = tmp_path / "digests.json"
        before, _ = _digest_again(memory, file)
        was = file.stat()
        with file.open("r+b") as opened:
            opened.seek(4)
            opened.write(b"7")
        os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
        now = file.stat()
        same = ("st_ino", "st_size", "st_mtime_ns")
        assert [getattr(now, name) for name in same] == [getattr(was, name) for name in same]
        digest, is_read = _digest_again(memory, file)
        assert is_read and digest == file_digest(file) != before

    def test_a_file_put_in_its_place_is_read(self, file: Path, tmp_path: Path, later: Callable[[int], None]) -> None:
        later(2 * RACY_NS)
        memory = tmp_path / "digests.json"
        _digest_again(memory, file)
        other = tmp_path / "other.csv"
        other.write_bytes(b"a,b\n1,9\n")
        os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
        other.replace(file)
        assert _digest_again(memory, file) == (file_digest(file), True)

    def test_a_file_that_changes_while_it_is_read_is_not_remembered(
        self, file: Path, tmp_path: Path, later: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def read_slowly(path: Path):
            content = file_content(path)
            path.write_bytes(b"a,b\n3,4\n")
            return content

        later(2 * RACY_NS)
        memory = tmp_path / "digests.json"
        with monkeypatch.context() as patched:
            patched.setattr(module, "file_content", read_slowly)
            _digest_again(memory, file)
        assert _digest_again(memory, file) == (file_digest(file), True)

    def test_the_last_change_of_any_kind_counts(self) -> None:
        changed_ns = 10 * RACY_NS
        state = State(1, 2, modified_ns=0, changed_ns=changed_ns)
        assert not state.is_settled(changed_ns + RACY_NS)
        assert state.is_settled(changed_ns + RACY_NS + 1)

    def test_a_file_system_that_was_mounted_anew_is_known(
        self, file: Path, tmp_path: Path, later: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later(2 * RACY_NS)
        memory = tmp_path / "digests.json"
        _digest_again(memory, file)

        def with_another_device(status: os.stat_result) -> State:
            parts = list(status)
            parts[2] += 1
            times = {name: getattr(status, name) for name in ("st_mtime_ns", "st_ctime_ns")}
            return from_status(os.stat_result(parts, times))

        from_status = State.from_status
        monkeypatch.setattr(State, "from_status", with_another_device)
        assert _digest_again(memory, file) == (file_digest(file), False)

    def test_what_is_off_remembers_nothing(self, file: Path, later: Callable[[int], None]) -> None:
        later(2 * RACY_NS)
        with Remembered.kept_in(None) as remembered:
            assert [remembered.of_file(file).is_read for _ in range(2)] == [True, True]


class TestMemory:
    @pytest.fixture
    def memory(self, file: Path, tmp_path: Path, later: Callable[[int], None]) -> Path:
        later(2 * RACY_NS)
        path = tmp_path / "memory" / "digests.json"
        _digest_again(path, file)
        return path

    def test_any_flipped_bit_is_noticed(self, memory: Path, file: Path) -> None:
        whole, digest = memory.read_bytes(), file_digest(file)
        for place in range(len(whole)):
            damaged = bytearray(whole)
            damaged[place] ^= 1
            memory.write_bytes(damaged)
            assert _digest_again(memory, file)[0] == digest, f"byte {place}"

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', '{"format": 1, "digests": []}', "\udcff"])
    def test_a_damaged_memory_is_left_out_and_mended(self, memory: Path, file: Path, text: str) -> None:
        memory.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert _digest_again(memory, file) == (file_digest(file), True)
        assert _digest_again(memory, file) == (file_digest(file), False)

    def test_a_memory_of_another_format_is_left_out(self, memory: Path, file: Path) -> None:
        memory.write_text(json.dumps({**json.loads(memory.read_text()), "format": 2}))
        assert _digest_again(memory, file)[1]

    def test_a_memory_that_cannot_be_written_costs_only_time(
        self, file: Path, tmp_path: Path, later: Callable[[int], None]
    ) -> None:
        later(2 * RACY_NS)
        (tmp_path / "memory").write_text("a file where a folder is needed")
        for _ in range(2):
            assert _digest_again(tmp_path / "memory" / "digests.json", file) == (file_digest(file), True)

    def test_a_memory_that_is_nested_too_deep_is_left_out(self, memory: Path, file: Path) -> None:
        memory.write_text("[" * 200_000)
        assert _digest_again(memory, file) == (file_digest(file), True)
        assert _digest_again(memory, file) == (file_digest(file), False)

    def test_what_is_no_longer_read_is_forgotten(self, memory: Path, file: Path) -> None:
        moved = file.rename(file.with_name("moved.csv"))
        _digest_again(memory, moved)
        assert list(json.loads(memory.read_text())["digests"]) == [State.of(moved).key(moved)]

    def test_nothing_is_written_when_nothing_changed(self, memory: Path, file: Path) -> None:
        before = memory.stat()
        _digest_again(memory, file)
        assert memory.stat() == before

    def test_a_failed_reading_forgets_nothing(self, memory: Path, file: Path) -> None:
        with pytest.raises(FileNotFoundError), Remembered.kept_in(memory) as remembered:
            remembered.of_file(file.with_name("gone.csv"))
        assert not _digest_again(memory, file)[1]

    def test_names_of_any_bytes(self, tmp_path: Path, later: Callable[[int], None]) -> None:
        later(2 * RACY_NS)
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b'/r\xff\n".csv'))
        path.write_bytes(b"x")
        memory = tmp_path / "digests.json"
        assert [_digest_again(memory, path)[1] for _ in range(2)] == [True, False]
