"""Remembers runs that are being deleted until their outputs are gone too, so that a killed cleanup can be run again.

Once a run is deleted, nothing in Kubeflow Pipelines tells where its outputs are, and whose they were. A mark does:
`cleanup/<model>/kubeflow/<run>.json` in the work directory is written before the run is deleted, and goes last.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from components.cleanup.reading import read_object
from components.cleanup.survey import CLEANUP
from components.errors import UserError
from components.storage.storage import Storage


@dataclass(frozen=True)
class Mark:
    """A run that was, or is about to be, deleted."""

    run: str
    outputs: str | None
    """Folder or URL of its artifacts; None where these are left alone."""
    logs: str | None
    """The same of its pods' logs."""
    deleted_s: float | None = None
    """When it was certainly gone, in seconds since 1970; None until that is known."""

    @property
    def places(self) -> dict[str, str]:
        """What it left, by kind."""
        return {kind: place for kind, place in (("outputs", self.outputs), ("logs", self.logs)) if place is not None}


def marks(work: Storage, model: str) -> Iterator[Mark]:
    """The marks of a model's runs.

    Raises:
        UserError: one cannot be read.
    """
    for name in work.names(_folder(model)):
        if name.startswith(".") or not name.endswith(".json"):
            continue
        key = f"{_folder(model)}/{name}"
        found = read_object(work, key)
        if not _is_mark(found, name.removesuffix(".json")):
            raise UserError(
                f"{work.address(key)} cannot be read; delete it, and what its run left below the pipeline root"
            )
        yield Mark(**found)


def _is_mark(found: dict[str, Any], run: str) -> bool:
    return (
        set(found) == {field.name for field in fields(Mark)}
        and found["run"] == run
        and all(isinstance(found[name], str | None) for name in ("outputs", "logs"))
        and isinstance(found["deleted_s"], float | int | None)
    )


def write_mark(work: Storage, model: str, mark: Mark) -> None:
    """Writes or replaces a mark."""
    work.write(_key(model, mark.run), json.dumps(asdict(mark)).encode())


def remove_mark(work: Storage, model: str, run: str) -> None:
    """Deletes a mark; one that is gone is no error."""
    work.delete([_key(model, run)])


def _folder(model: str) -> str:
    return f"{CLEANUP}/{model}/kubeflow"


def _key(model: str, run: str) -> str:
    return f"{_folder(model)}/{run}.json"
