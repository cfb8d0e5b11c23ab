"""A machine that has only stand-ins for container engines, and code of which a test may change a copy."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.orchestration import images
from components.orchestration.build_images import main

ENGINE = Path(__file__).with_name("engine.py")


@dataclass(frozen=True)
class Machine:
    """Where stand-in engines keep what they have."""

    folder: Path

    def calls(self, of: str) -> list[str]:
        """What was built or pushed, in order."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.removeprefix(f"{of} ") for line in lines if line.startswith(f"{of} ")]

    def make(self, *words: str) -> int:
        """Runs `make images`; returns its exit code."""
        return main([*words, "--lock", str(self.folder / "images.lock")])


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Makes images of a copy of the code, in which it changes a file."""

    def forget() -> None:
        images.content_hash.cache_clear()
        images.imported_files.cache_clear()

    def changed(file: str) -> None:
        path = root / file
        path.write_text(path.read_text() + "\n# changed\n")
        forget()

    root = tmp_path / "code"
    for folder in ("components", "containers"):
        shutil.copytree(images.ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    forget()
    monkeypatch.setattr(images, "ROOT", root)
    yield changed
    forget()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Machine]:
    """A machine with the engines that are named."""

    def make(*programs: str) -> Machine:
        bin_folder, folder = tmp_path / "bin", tmp_path / "engine"
        bin_folder.mkdir()
        folder.mkdir()
        for program in programs:
            command = bin_folder / program
            command.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {ENGINE} {program} {folder} "$@"\n')
            command.chmod(0o755)
        monkeypatch.setenv("PATH", str(bin_folder))
        return Machine(folder)

    return make
