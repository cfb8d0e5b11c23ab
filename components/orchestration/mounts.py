"""The folders of this machine that the containers of a local run see, each at its own path."""

import glob
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from docker.types import Mount

from components.config import ModelConfig
from components.errors import UserError

ESCAPED = re.compile(r"\[([*?[])\]")
"""What `glob.escape` makes of a wildcard that is part of a name."""
OWN = (Path("/tmp"), Path("/dev"), Path("/proc"))
"""What a container has for itself, besides its root."""


@dataclass(frozen=True)
class Folders:
    """Folders that a run reads or writes beside its work directory."""

    read: tuple[Path, ...] = ()
    written: tuple[Path, ...] = ()

    @classmethod
    def of(cls, config: ModelConfig) -> "Folders":
        """Where a model's sources lie, and where its predictions go; what is behind a URL is no folder."""
        sources = [config.ingest.source, config.predict.source or ""]
        outputs = [config.predict.output] if config.predict.source else []
        return cls(
            tuple(_without_wildcards(source) for source in sources if source.startswith("/")),
            tuple(Path(output.replace("{name}", config.name)) for output in outputs if output.startswith("/")),
        )


def mounts(own: Path, folders: Folders) -> list[Mount]:
    """What to mount: makes the folders that are written; what is read and not there is left to the step to refuse.

    Args:
        own: the run's own folder, with what KFP writes.
        folders: what it reads and writes beside.

    Raises:
        UserError: a folder cannot be made, or would hide what a container has for itself.
    """
    written = _outermost([own, *folders.written])
    read = [folder for folder in _outermost(folders.read) if folder.is_dir() and not _is_within(folder, written)]
    _check([*written, *read])
    for folder in written:
        _make(folder)
    return [_mount(folder, False) for folder in written] + [_mount(folder, True) for folder in read]


def _without_wildcards(source: str) -> Path:
    """The folder that all files of a source lie in."""
    fixed = Path("/")
    for part in Path(source).parts[1:-1]:
        if glob.has_magic(ESCAPED.sub("", part)):
            break
        fixed /= ESCAPED.sub(r"\1", part)
    return fixed


def _outermost(folders: Iterable[Path]) -> list[Path]:
    chosen: list[Path] = []
    for folder in sorted(set(folders), key=lambda folder: len(folder.parts)):
        if not _is_within(folder, chosen):
            chosen.append(folder)
    return chosen


def _is_within(folder: Path, others: Iterable[Path]) -> bool:
    return any(folder.is_relative_to(other) for other in others)


def _check(folders: Iterable[Path]) -> None:
    for folder in folders:
        if any(own.is_relative_to(folder) for own in OWN):
            raise UserError(
                f"the run reads or writes files in {folder} itself, which containers have for themselves; move them to "
                "a folder of their own"
            )


def _mount(folder: Path, is_read_only: bool) -> Mount:
    return Mount(str(folder), str(folder), type="bind", read_only=is_read_only)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be made ({error.strerror}); choose another") from None
