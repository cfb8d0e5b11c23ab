"""The folder beside a work directory in a bucket."""

import os
import time
from pathlib import Path

from components.orchestration.beside import send_missing
from components.storage.open import open_storage


def test_built_in_data_is_sent_once_and_again_when_it_changed(s3_root: str, tmp_path: Path) -> None:
    storage = open_storage(s3_root)
    (tmp_path / "a.csv").write_text("1")
    os.utime(tmp_path / "a.csv", (1000, 1000))
    send_missing(tmp_path, s3_root, "source/m")
    assert storage.read("source/m/a.csv") == b"1"
    storage.write("source/m/a.csv", b"x")
    send_missing(tmp_path, s3_root, "source/m")
    assert storage.read("source/m/a.csv") == b"x", "it is there already"
    (tmp_path / "a.csv").write_text("2")  # as long as before
    os.utime(tmp_path / "a.csv", (time.time() + 60, time.time() + 60))
    send_missing(tmp_path, s3_root, "source/m")
    assert storage.read("source/m/a.csv") == b"2"
