"""A disk that is full to its last byte is no obstacle to the cleanup that mends that."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.cleanup.cleanup import clean_up
from components.cleanup.config import Retention
from components.cleanup.sweep import BALLAST
from tests.cleanup.house import DAYS_LATER_S, RETENTION, build, check, files, staying


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here ({error}); run this as root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filling").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def test_a_full_disk_is_cleaned_up(disk):
    work = disk / "work"
    build(work)
    clean_up(work, {"flights": Retention()}, time.time())
    left = staying(files(work))
    fill(disk)
    with pytest.raises(OSError, match="No space left"):
        (disk / "more").write_bytes(b"x" * 100)
    outcome = clean_up(work, {"flights": RETENTION}, time.time() + DAYS_LATER_S)["flights"]
    assert not outcome.failed
    assert files(work) == left
    check(work)
    assert (work / BALLAST).exists(), "the next full disk is cleaned up too"
