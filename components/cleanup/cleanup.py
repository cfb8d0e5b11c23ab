"""What a model's runs left in a work directory and may go. Data and versions of the model store always stay.

- **Outputs of steps** (`pipeline/evergreen-<model>-<time>/`) may be found again by KFP's cache. Every cached task has
  the *generation* of its run among its inputs, so that nothing of an older generation is ever found again. A folder
  goes once it was last written before the previous generation, and only while no other run of the model is in progress.
- **Run folders** (`runs/<run>/`: records, report) go beyond the newest `runs` of the model, except those of runs in
  progress and those that a version in the store names in its lineage.
- **Checkpoints** (`checkpoints/<training>/`, of any model) go when nobody went on with a training for a week.
- **Leftovers** (`.*.tmp` of a process that was killed) go when nothing was written to them for a day, and while no
  other run of the model is in progress.

To delete is to rename first, to `.deleted-*.tmp`, and then to remove: whoever follows the old name finds all or
nothing, and what a killed cleanup leaves behind goes at the next one. Symbolic links are neither followed nor deleted.
"""

import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from components import artifacts
from components.cleanup.config import Retention
from components.errors import UserError

DAY_S = 24 * 60 * 60
CHECKPOINT_S = 7 * DAY_S
"""A training writes a checkpoint at least once a day."""
LEASE_S = 15 * 60
"""A run whose lease had no heartbeat for so long is not in progress any more."""
TOMBSTONE = ".deleted-"
KFP_TIME = "%Y-%m-%d-%H-%M-%S-%f"
"""KFP's local runner names a run's folder `<pipeline>-<local time>`."""


@dataclass(frozen=True)
class Deletion:
    """A file or folder that may go, and why."""

    path: Path
    bytes: int
    why: str


@dataclass(frozen=True)
class Failure:
    """A deletion that did not succeed; it is planned again the next time."""

    path: Path
    error: str


@dataclass(frozen=True)
class Run:
    """A run's folder."""

    path: Path
    started_s: float
    """Seconds since 1970."""
    in_progress: bool


def generation(now_s: float, days: int) -> int:
    """The cache generation: the number of the UTC day since 1970, divided by `days` and rounded down.

    Args:
        now_s: seconds since 1970.
        days: length of a generation.
    """
    return int(now_s // DAY_S) // days


def plan(work: Path, model: str, retention: Retention, now_s: float) -> list[Deletion]:
    """What may go; deletes nothing.

    Args:
        work: the work directory.
        model: the model's name; what other models left is not looked at.
        retention: how much is kept.
        now_s: seconds since 1970.

    Raises:
        UserError: the name cannot be a model's.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", model):
        raise UserError(f"{model!r} cannot be a model's name; names have a-z, 0-9 and - only")
    work = work.resolve()
    runs = model_runs(work, model, now_s)
    own = artifacts.run_folder(work, artifacts.run_name())
    planned = [*_tombstones(work, model), *_old_runs(work, model, retention, runs), *_checkpoints(work, now_s)]
    if not any(run.in_progress and run.path != own for run in runs):
        planned += [*_outputs(work, model, retention, now_s), *_leftovers(work, model, runs, now_s)]
    return _outermost(planned)


def apply(deletions: Sequence[Deletion]) -> tuple[list[Deletion], list[Failure]]:
    """Deletes what was planned; what cannot be deleted does not keep the rest from going.

    Returns:
        what is gone, and what is not.
    """
    freed, failed = [], []
    for deletion in deletions:
        try:
            _delete(deletion.path)
            freed.append(deletion)
        except OSError as error:
            failed.append(Failure(deletion.path, str(error)))
    return freed, failed


def _delete(path: Path) -> None:
    if path.parent.resolve() != path.parent or path.is_symlink():
        raise OSError(f"{path} is or lies behind a symbolic link now")
    if not path.name.startswith(TOMBSTONE):
        path = path.rename(path.with_name(f"{TOMBSTONE}{path.name}.{uuid.uuid4().hex}.tmp"))
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def model_runs(work: Path, model: str, now_s: float) -> list[Run]:
    """The model's runs that have a folder, newest first; `run.json` tells whose they are.

    Args:
        work: the work directory.
        model: the model's name.
        now_s: seconds since 1970, to tell whether a lease is alive.
    """
    runs = []
    for folder in _folders(work / "runs"):
        known = _read(folder / "lease.json") | _read(folder / "run.json")
        if known.get("model") == model:
            runs.append(Run(folder, float(known.get("started_s", now_s)), _in_progress(folder / "lease.json", now_s)))
    return sorted(runs, key=lambda run: run.started_s, reverse=True)


def _in_progress(lease: Path, now_s: float) -> bool:
    """A lease that cannot be read counts by the time it was written; one of a dead process here does not count."""
    try:
        written_s = lease.stat().st_mtime
    except OSError:
        return False
    content = _read(lease)
    if content.get("host") == socket.gethostname() and not _is_alive(int(content.get("pid", 0))):
        return False
    return now_s - float(content.get("heartbeat_s", written_s)) < LEASE_S


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, and is another user's
    return True


def _outputs(work: Path, model: str, retention: Retention, now_s: float) -> Iterator[Deletion]:
    kept_from = generation(now_s, retention.days) - 1
    for folder in _folders(work / "pipeline"):
        written_s = _pipeline_time_s(folder.name, model)
        extent = _extent(folder)
        if written_s is None or extent is None:
            continue
        newest_s = max(extent.newest_s, written_s)
        if generation(newest_s, retention.days) < kept_from:
            why = f"outputs last written on {_day(newest_s)}, which the cache never returns again"
            yield Deletion(folder, extent.bytes, why)


def _pipeline_time_s(name: str, model: str) -> float | None:
    """When KFP made a folder, in seconds since 1970; None where it is not one of this model."""
    match = re.fullmatch(rf"evergreen-{model}-(\d{{4}}(?:-\d\d){{5}}-\d{{6}})", name)
    try:
        return datetime.strptime(match[1], KFP_TIME).timestamp() if match else None
    except ValueError:
        return None


def _old_runs(work: Path, model: str, retention: Retention, runs: Sequence[Run]) -> Iterator[Deletion]:
    named = _runs_in_lineages(work, model)
    if named is None:
        return
    kept = {*named, artifacts.run_name()}
    for run in runs[retention.runs :]:
        extent = _extent(run.path)
        if not run.in_progress and run.path.name not in kept and extent is not None:
            why = f"run of {_day(run.started_s)}, not among the newest {retention.runs}"
            yield Deletion(run.path, extent.bytes, why)


def _runs_in_lineages(work: Path, model: str) -> set[str] | None:
    """The runs that made the versions in the store; None where a lineage cannot be read, so that no run goes."""
    named = set()
    for path in (work / "models" / model / "versions").glob(f"*/{artifacts.LINEAGE}"):
        lineage = _read(path)
        if "run" not in lineage:
            return None
        named.add(lineage["run"])
    return named


def _tombstones(work: Path, model: str) -> Iterator[Deletion]:
    """What a killed cleanup had renamed already."""
    prefixes = (f"{TOMBSTONE}evergreen-{model}-", TOMBSTONE)
    for parent, prefix in zip((work / "pipeline", work / "runs"), prefixes):
        for folder in _folders(parent):
            extent = _extent(folder)
            if folder.name.startswith(prefix) and folder.name.endswith(".tmp") and extent is not None:
                yield Deletion(folder, extent.bytes, "left by a cleanup that was interrupted")


def _checkpoints(work: Path, now_s: float) -> Iterator[Deletion]:
    for folder in _folders(work / "checkpoints"):
        extent = _extent(folder)
        if extent is not None and now_s - extent.newest_s > CHECKPOINT_S:
            why = f"checkpoint of a training that nobody went on with since {_day(extent.newest_s)}"
            yield Deletion(folder, extent.bytes, why)


def _leftovers(work: Path, model: str, runs: Sequence[Run], now_s: float) -> Iterator[Deletion]:
    kinds = ("data", "models", "predictions")
    for root in (*(work / kind / model for kind in kinds), *(run.path for run in runs)):
        for path in _hidden_temporaries(root):
            extent = _extent(path)
            if extent is not None and now_s - extent.newest_s > DAY_S:
                why = f"half written on {_day(extent.newest_s)} by a process that was killed"
                yield Deletion(path, extent.bytes, why)


def _hidden_temporaries(root: Path) -> Iterator[Path]:
    """Files and folders named `.*.tmp` below a folder, not those inside others."""
    if _behind_link(root):
        return
    for folder, folders, files in os.walk(root):
        found = [name for name in folders + files if name.startswith(".") and name.endswith(".tmp")]
        folders[:] = [name for name in folders if name not in found]
        yield from (path for path in (Path(folder, name) for name in found) if not path.is_symlink())


@dataclass(frozen=True)
class _Extent:
    bytes: int
    newest_s: float


def _extent(path: Path) -> _Extent | None:
    """Size and time of the last change of all that lies below; None where not all of it can be seen."""
    size, newest_s = 0, 0.0
    try:
        for entry in _below(path):
            status = entry.lstat()
            size += status.st_size
            newest_s = max(newest_s, status.st_mtime)
    except OSError:
        return None
    return _Extent(size, newest_s)


def _below(path: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise error

    yield path
    if path.is_dir():
        for folder, folders, files in os.walk(path, onerror=stop):
            yield from (Path(folder, name) for name in folders + files)


def _folders(parent: Path) -> list[Path]:
    """The folders in a folder, none of them a symbolic link; empty where it does not exist or is one."""
    if _behind_link(parent) or not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())


def _behind_link(path: Path) -> bool:
    return path.resolve() != path


def _outermost(deletions: Iterable[Deletion]) -> list[Deletion]:
    """Leaves out what lies inside another folder that goes."""
    paths = {deletion.path: deletion for deletion in deletions}
    return [deletion for path, deletion in paths.items() if not any(parent in paths for parent in path.parents)]


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where it cannot be read."""
    try:
        value = artifacts.read_json(path)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _day(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, timezone.utc).strftime("%Y-%m-%d")
