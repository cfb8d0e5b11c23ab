"""What lies in a work directory, by units: what is kept or goes as a whole.

A survey comes from one listing of each kind of folder, and holds a sum for each unit and not its files, so that a store
of 100,000 files takes little memory.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from components.artifacts import LEASES
from components.storage.folder import FolderStorage
from components.storage.storage import TOMBSTONE, Storage

CLEANUP = "cleanup"
"""What cleaning up itself leaves: its log, and the mark of the one at work."""
SHARED = ("pipeline", "runs", "checkpoints", CLEANUP)
OF_MODEL = ("data", "models", "requests", "predictions")
CACHE = "pipeline/.kfp_cache"
"""Where KFP's local runner keeps what it remembers."""
CHECKSUMS, LEASE, RUN, FINISHED = "checksums.json", "lease.json", "run.json", "records/finish.json"
MARKS = frozenset((CHECKSUMS, LEASE, RUN, FINISHED))


@dataclass(slots=True)
class Unit:
    """Files that are kept or go together: a folder, or one file."""

    path: str
    """Relative to the work directory, "/"-separated."""
    bytes: int = 0
    newest_s: float = 0.0
    """When the newest file was written, in seconds since 1970."""
    marks: dict[str, float] = field(default_factory=dict)
    """Which of `MARKS` and of the leases of steps lie in it, and when they were written."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def add(self, size: int, modified_s: float) -> None:
        """Counts a file."""
        self.bytes += size
        self.newest_s = max(self.newest_s, modified_s)


@dataclass
class Survey:
    """The units of a work directory by kind, which is the folder that they lie in: `runs`, `data/flights/snapshots`."""

    storage: Storage
    kinds: dict[str, dict[str, Unit]] = field(default_factory=dict)
    temporaries: dict[str, Unit] = field(default_factory=dict)
    """Files and folders named `.*.tmp`; those inside of others do not count."""
    unlisted: dict[str, str] = field(default_factory=dict)
    """Folders whose files are not known, and why: nothing of theirs may go, nor what they may need."""

    def units(self, kind: str) -> list[Unit]:
        """The units of a kind, by path."""
        return [unit for _, unit in sorted(self.kinds.get(kind, {}).items())]

    def forget(self, path: str) -> None:
        """Takes out what is gone."""
        self.kinds.get(path.rpartition("/")[0], {}).pop(path, None)
        self.temporaries.pop(path, None)

    def list(self, prefix: str) -> None:
        """Counts what lies below a prefix; of a folder that cannot be listed, each of those in it that can."""
        if behind_link(self.storage, prefix):
            self.unlisted[prefix] = f"{self.storage.address(prefix)} is or lies behind a symbolic link"
            return
        if self._lists(prefix):
            return
        with contextlib.suppress(OSError):
            names = self.storage.names(prefix)
            del self.unlisted[prefix]
            for name in names:
                self._lists(f"{prefix}/{name}")

    def _lists(self, prefix: str) -> bool:
        try:
            for entry in self.storage.entries(prefix):
                self._count(entry.key, entry.bytes, entry.modified_s)
        except OSError as error:
            self.unlisted[prefix] = f"{self.storage.address(prefix)} cannot be listed ({error})"
            self._drop(prefix)
            return False
        return True

    def _drop(self, prefix: str) -> None:
        """Takes out what lies below a prefix: of what is listed in part it is not known what it holds."""
        for units in (self.temporaries, *self.kinds.values()):
            for path in [path for path in units if f"{path}/".startswith(f"{prefix}/")]:
                del units[path]

    def _count(self, key: str, size: int, modified_s: float) -> None:
        parts = key.split("/")
        hidden = next((at for at, part in enumerate(parts) if is_temporary(part)), None)
        if hidden is not None:
            path = "/".join(parts[: hidden + 1])
            self.temporaries.setdefault(path, Unit(path)).add(size, modified_s)
        depth = _depth(parts)
        if depth is None or (hidden is not None and hidden < depth):
            return
        kind, path = "/".join(parts[: depth - 1]), "/".join(parts[:depth])
        unit = self.kinds.setdefault(kind, {}).setdefault(path, Unit(path))
        unit.add(size, modified_s)
        inner = "/".join(parts[depth:])
        if inner in MARKS or (inner.startswith(f"{LEASES}/") and hidden is None):
            unit.marks[inner] = modified_s


def survey(storage: Storage, models: Iterable[str]) -> Survey:
    """Lists what the models share, and what belongs to each of them.

    Args:
        storage: the work directory.
        models: names of models.
    """
    found = Survey(storage)
    for prefix in (*SHARED, *(f"{kind}/{model}" for model in models for kind in OF_MODEL)):
        found.list(prefix)
        if prefix not in found.unlisted:
            _add_tombstones(found, prefix)
    _add_strays(found)
    return found


def _add_tombstones(found: Survey, parent: str) -> None:
    """Of some that a killed cleanup left only empty folders remain, which a listing of files does not show."""
    parents = [parent, *(f"{parent}/{name}" for name in ("partitions", "snapshots", "versions"))]
    for folder in parents if "/" in parent else [parent]:
        for name in found.storage.names(folder):
            path = f"{folder}/{name}"
            if name.startswith(TOMBSTONE) and name.endswith(".tmp") and not behind_link(found.storage, path):
                found.temporaries.setdefault(path, Unit(path))


def _add_strays(found: Survey) -> None:
    """Temporaries that lie beside the folders of models are nobody's; on S3 nobody writes any there."""
    storage = found.storage
    if not isinstance(storage, FolderStorage):
        return
    for parent in ("", *OF_MODEL):
        for name in storage.names(parent):
            path = f"{parent}/{name}".removeprefix("/")
            if is_temporary(name) and not behind_link(storage, path):
                with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
                    status, unit = storage.path(path).stat(), Unit(path)
                    unit.add(status.st_size if storage.exists(path) else 0, status.st_mtime)
                    for entry in storage.entries(path):
                        unit.add(entry.bytes, entry.modified_s)
                    found.temporaries[path] = unit


def is_temporary(name: str) -> bool:
    """Whether a file or folder is one that is renamed when it is whole."""
    return name.startswith(".") and name.endswith(".tmp")


def version_number(name: str) -> int | None:
    """The number of a version's folder; None where it is none, as `01` is."""
    return int(name) if name.isdecimal() and str(int(name)) == name else None


def models_in(storage: Storage) -> list[str]:
    """The names of all models that left something of their own in a work directory."""
    named = {name for kind in OF_MODEL for name in storage.names(kind) if not name.startswith(".")}
    outputs = (re.fullmatch(r"evergreen-(.+?)-\d{4}(-\d\d){5}-\d{6}", name) for name in storage.names("pipeline"))
    return sorted(named | {match[1] for match in outputs if match})


def of_model(found: Survey, model: str) -> Iterator[Unit]:
    """The units that belong to one model alone, in folders of its own: data, versions and request log."""
    for kind in (partitions_of(model), snapshots_of(model), versions_of(model), requests_of(model)):
        yield from found.units(kind)


def partitions_of(model: str) -> str:
    """The folder of a model's partitions."""
    return f"data/{model}/partitions"


def snapshots_of(model: str) -> str:
    """The folder of a model's snapshots."""
    return f"data/{model}/snapshots"


def versions_of(model: str) -> str:
    """The folder of a model's versions."""
    return f"models/{model}/versions"


def holds_of(model: str) -> str:
    """The folder in which processes say what they are about to point to."""
    return f"models/{model}/pointers/holds"


def requests_of(model: str) -> str:
    """The folder of the requests that the server logged for a model."""
    return f"requests/{model}"


def behind_link(storage: Storage, path: str) -> bool:
    """Whether a path is, or lies behind, a symbolic link below the root: these are neither followed nor deleted."""
    if not isinstance(storage, FolderStorage):
        return False
    root = storage.root.resolve()
    return (root / path).resolve() != root / path


def _depth(parts: list[str]) -> int | None:
    """How many parts of a key name its unit; None where it belongs to none."""
    match parts:
        case ["pipeline", ".kfp_cache", _]:
            return 3
        case ["pipeline" | "runs" | "checkpoints", _, _, *_]:
            return 2
        case ["requests", _, name] if name.endswith(".jsonl"):
            return 3
        case ["data", _, "partitions" | "snapshots", _, _, *_] | ["models", _, "versions", _, _, *_]:
            return 4
        case ["models", _, "pointers", "holds", _]:
            return 5
    return None
