"""What a training saves while it runs, to go on after it was killed at any moment.

A folder with one array file for each thing that is kept, and `progress.json`, which names them and is replaced last:
until then a reader sees the earlier state whole. Files that it does not name are left over, and removed.
"""

import logging
import os
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components import artifacts
from components.learning.mirror import PROGRESS
from components.learning.variables import State

log = logging.getLogger(__name__)
FORMAT = 1
"""Of what a progress holds; another one is not read."""


class Checkpoint:
    """The saved state of one training."""

    def __init__(self, folder: Path) -> None:
        """Takes the folder, which need not exist."""
        self._folder = folder
        self._files: dict[str, str] = {}

    def save(self, progress: Mapping[str, Any], changed: Mapping[str, State]) -> None:
        """Saves how far the training is.

        Args:
            progress: as JSON can hold it.
            changed: what is to be saved anew, by its name; what was saved under other names stays.

        Raises:
            OSError: there is no room, for example; what was saved before stays.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._remove_others()  # what a process that was killed left half written: it may be all the room there is
        files = self._files | {name: self._write(name, state) for name, state in changed.items()}
        artifacts.write_json(self._folder / PROGRESS, {"format": FORMAT, "files": files, "progress": progress})
        self._files = files
        self._remove_others()

    def load(self) -> tuple[dict[str, Any], dict[str, State]] | None:
        """What was saved last: the progress, and the states by name; None where there is nothing, or it is damaged."""
        if not (self._folder / PROGRESS).exists():
            return None
        try:
            saved = artifacts.read_json(self._folder / PROGRESS)
            if saved["format"] != FORMAT:
                raise ValueError(f"it is of format {saved['format']}, and this is {FORMAT}")
            progress: dict[str, Any] = saved["progress"]
            states = {name: _read(self._folder / file) for name, file in saved["files"].items()}
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            log.warning("the checkpoint in %s is damaged (%s); training starts over", self._folder, error)
            return None
        self._files = saved["files"]
        return progress, states

    def _write(self, name: str, state: State) -> str:
        path = self._folder / f"{name}-{uuid.uuid4().hex}.npz"
        try:
            with path.open("wb") as target:
                np.savez(target, **state)  # type: ignore[arg-type]  # of numpy: names are no options
                target.flush()
                os.fsync(target.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path.name

    def _remove_others(self) -> None:
        for path in self._folder.glob("*.npz"):
            if path.name not in self._files.values():
                path.unlink(missing_ok=True)


def _read(path: Path) -> State:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
