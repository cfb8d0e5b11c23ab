"""What is shown of a run while it is at work."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from components.artifacts import Record
from components.orchestration import progress


def test_a_look_that_fails_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "POLL_S", 0.001)
    looks = 0

    def away_at_first(folder: Path) -> dict[str, Record]:
        nonlocal looks
        looks += 1
        if looks < 3:
            raise ConnectionError("away")
        return {"ingest": Record("ingest", "run", 0.0, status="failed", error="no rows")}

    monkeypatch.setattr(progress, "read_records", away_at_first)
    console = Console(file=io.StringIO())
    with progress.Progress(tmp_path, "run", console) as shown:
        while looks < 3 and shown._thread.is_alive():
            time.sleep(0.001)
    assert console.file.getvalue().count("ingest") == 1
    looks = 0
    with pytest.raises(KeyboardInterrupt), progress.Progress(tmp_path, "run", console) as shown:
        shown._stop.set()
        raise KeyboardInterrupt  # what the end of the block cannot see must not take its place
