"""The digest itself, and reading ahead."""

import io
import threading
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from components.digests.ahead import ahead
from components.digests.content import CHUNK_BYTES, file_content, file_digest, read_content


@given(st.binary(max_size=200), st.integers(min_value=1, max_value=3))
def test_the_digest_is_xxh3_128_of_all_bytes(end: bytes, chunks: int) -> None:
    whole = b"x" * (chunks * CHUNK_BYTES - 100) + end
    content = read_content(io.BytesIO(whole))
    assert content == (xxhash.xxh3_128_hexdigest(whole), len(whole), True)


def test_a_file_and_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"")
    assert file_digest(tmp_path / "a") == xxhash.xxh3_128_hexdigest(b"abc")
    assert file_content(tmp_path / "b").bytes == 0


def test_results_come_in_order_and_only_a_little_ahead() -> None:
    begun: list[int] = []
    results = ahead(lambda item: begun.append(item) or item * 2, range(100), threads=2)
    assert next(results) == 0
    assert len(begun) <= 4
    assert list(results) == [item * 2 for item in range(1, 100)]


def test_files_are_read_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)
    assert len(list(ahead(lambda _: together.wait(), range(3), threads=3))) == 3


def test_an_error_comes_at_its_turn_and_ends_the_reading() -> None:
    begun: list[int] = []

    def read(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise OSError("gone")
        return item

    results = ahead(read, range(1000), threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="gone"):
        next(results)
    assert len(begun) < 20
