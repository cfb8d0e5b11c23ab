"""How fast the bytes of files are hashed from page cache."""

import os
import tempfile
import time
from pathlib import Path

from rich.table import Table

from benchmarks.claims import Claim, at_least
from components.digests.ahead import ahead
from components.digests.content import CHUNK_BYTES, file_content

FILES, FILE_BYTES = 8, 256 << 20
ROUNDS = 5
LIMIT_GB_S = 1.0


def measure(work: Path) -> tuple[list[Table], list[Claim]]:
    """Hashes 2 GiB in 8 files that were just written.

    Args:
        work: where the files are; they are removed in the end.
    """
    with tempfile.TemporaryDirectory(dir=_made(work)) as folder:
        files = [_written(Path(folder, str(number))) for number in range(FILES)]
        speeds = {threads: _gb_s(files, threads) for threads in (1, 2, 8)}
    table = Table("threads", "GB/s", title=f"XXH3-128 of {FILES} files of {FILE_BYTES >> 20} MiB from page cache")
    for threads, speed in speeds.items():
        table.add_row(str(threads), f"{speed:.1f}")
    return [table], [at_least("digests from page cache as ingest takes them, GB/s", speeds[8], LIMIT_GB_S)]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _written(path: Path) -> Path:
    block = os.urandom(CHUNK_BYTES)
    with path.open("wb") as file:
        for _ in range(FILE_BYTES // CHUNK_BYTES):
            file.write(block)
    return path


def _gb_s(files: list[Path], threads: int) -> float:
    """The best of the rounds."""
    best_s = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        total = sum(content.bytes for content in ahead(file_content, files, threads))
        best_s = min(best_s, time.perf_counter() - start)
    return total / best_s / 1e9
