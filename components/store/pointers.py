"""The pointers of a model: small files that are changed by compare-and-swap, so that no change gets lost.

`serving.json` also holds what was in service before and what was withdrawn, because these change together with it:

    serving.json    {"version": 3, "previous": 2, "withdrawn": [4], "id": ...}
    candidate.json  {"version": 5, "rollout": {...}, "id": ...}      `rollout` while it goes into service on a cluster,
                    `previous` while that may serve what a dead rollout left
                    {"version": null, "reason": "version 5 was withdrawn: ...", "id": ...}
    pins.json       {"pins": {"1": "the reason"}, "id": ...}
    holds/<id>.json {"version": 6}      while somebody is about to name that version

Stores that were made before `serving.json` had an id kept `previous.json` and `withdrawn.json` beside it. These are
read until the pointer is moved.
"""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from components.errors import UserError
from components.storage.heartbeat import beating
from components.storage.storage import Cell, Storage

Pointer = Literal["serving", "previous", "candidate"]
HEARTBEAT_S = 60 * 60
"""Of a hold; cleanup takes one that was not written to for a day for what a killed process left."""
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Rollout:
    """A candidate's way into service on a cluster, so that one run at a time goes it and its successor can go back."""

    run: str
    """The run that puts it into service."""
    until_s: float
    """Seconds since 1970 from which on that run is taken for dead."""
    before: str | None = None
    """What is put back when it fails, as text of the run's own; None: nothing was changed yet."""


@dataclass(frozen=True)
class Target:
    """What a pointer names, and what must change together with it."""

    version: int | None = None
    """None: it names no version."""
    previous: int | None = None
    """What `serving` named before; of `candidate`, what a dead rollout left that was taken over."""
    withdrawn: tuple[int, ...] = ()
    """Versions that were taken out of service by moving the pointer back, ascending."""
    rollout: Rollout | None = None
    """Of `candidate` only, while it goes into service."""
    reason: str = ""
    """Of `candidate` only: why it names no version any more."""

    def moved(self, version: int) -> "Target":
        """The target once another version is in service; moving back withdraws what was there."""
        if self.version is None or self.version == version:
            withdrawn = set(self.withdrawn) - {version}
            previous = None if self.previous == version else self.previous
            return Target(version, previous, tuple(sorted(withdrawn)))
        withdrawn = set(self.withdrawn) - {version} | ({self.version} if self.version > version else set())
        return Target(version, self.version, tuple(sorted(withdrawn)))


class Pointers:
    """The pointers below a prefix of a storage."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self._storage = storage
        self._prefix = prefix

    def target(self, pointer: Pointer) -> Target:
        """All that a pointer's file says.

        Raises:
            UserError: the file is damaged.
        """
        key = self._key(pointer)
        return self._parsed(key, self._storage.cell(key), _target, Target())

    def move(self, pointer: Pointer, change: Callable[[Target], Target], mend: bool = False) -> Target:
        """Changes a pointer; `change` is called again when another process was faster.

        Args:
            pointer: which.
            change: makes the new target of the present one, or raises.
            mend: take a damaged file for one that was never there.

        Returns:
            the target before.

        Raises:
            UserError: the file is damaged.
        """
        return self._swap(self._key(pointer), _target, Target(), change, _target_json, mend)

    def pins(self) -> dict[int, str]:
        """The versions that stay until they are unpinned, with the reasons.

        Raises:
            UserError: the file is damaged.
        """
        key = self._key("pins")
        return self._parsed(key, self._storage.cell(key), _pins, {})

    def change_pins(self, change: Callable[[dict[int, str]], dict[int, str]]) -> None:
        """Changes the pins; `change` is called again when another process was faster.

        Raises:
            UserError: the file is damaged.
        """
        none: dict[int, str] = {}
        self._swap(self._key("pins"), _pins, none, change, _pins_json)

    @contextlib.contextmanager
    def held(self, number: int) -> Iterator[None]:
        """Names a version while a pointer to it is being moved, so that cleanup sees it in time."""
        key = f"{self._prefix}/holds/{uuid.uuid4().hex}.json"
        content = json.dumps({"version": number}).encode()
        try:
            with beating(lambda: self._storage.write(key, content), HEARTBEAT_S):
                yield
        finally:
            self._storage.delete([key])

    def holds(self) -> list[int]:
        """The versions that somebody is about to name; one that a killed process left counts until cleanup frees it.

        Raises:
            UserError: the file of one is damaged.
        """
        keys = [entry.key for entry in self._storage.entries(f"{self._prefix}/holds") if entry.key.endswith(".json")]
        numbers = []
        for key in keys:
            with contextlib.suppress(FileNotFoundError):  # let go meanwhile
                numbers.append(_parse(self._storage.read(key), _number, self._storage.address(key), "delete it"))
        return numbers

    def _swap(
        self,
        key: str,
        parse: Callable[[dict[str, Any]], _Value],
        empty: _Value,
        change: Callable[[_Value], _Value],
        to_json: Callable[[_Value], dict[str, Any]],
        mend: bool = False,
    ) -> _Value:
        while True:
            cell = self._storage.cell(key)
            try:
                before = self._parsed(key, cell, parse, empty)
            except UserError:
                if not mend:
                    raise
                before = empty
            after = change(before)
            # The id tells this process's own write from the same one by another.
            content = json.dumps({**to_json(after), "id": uuid.uuid4().hex}, indent=1, ensure_ascii=False).encode()
            if after == before or self._storage.swap(key, content, cell and cell.tag):
                return before

    def _parsed(self, key: str, cell: Cell | None, parse: Callable[[dict[str, Any]], _Value], empty: _Value) -> _Value:
        if cell is None:
            return empty
        name = key.rpartition("/")[2]

        def read(value: dict[str, Any]) -> _Value:
            is_old = name == "serving.json" and "id" not in value
            return parse({**self._kept_beside(), **value} if is_old else value)

        return _parse(cell.content, read, self._storage.address(cell.key), _REMEDIES[name])

    def _kept_beside(self) -> dict[str, Any]:
        """What older stores kept in files of their own."""
        previous, withdrawn = self._key("previous"), self._key("withdrawn")
        none: list[int] = []
        return {
            "previous": self._parsed(previous, self._storage.cell(previous), _number, None),
            "withdrawn": self._parsed(withdrawn, self._storage.cell(withdrawn), _numbers, none),
        }

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}.json"


_MOVE = 'write {"version": <number>} into it, or name a version by `python -m components.store … '
_REMEDIES = {
    "serving.json": f"{_MOVE}promote <number>`",
    "candidate.json": 'write {"version": <number>} into it, or {"version": null}',
    "pins.json": 'write {"pins": {"<number>": "<reason>"}} into it',
    "previous.json": "delete it",
    "withdrawn.json": "delete it",
}


def _parse(content: bytes | str, parse: Callable[[Any], _Value], address: str, remedy: str) -> _Value:
    try:
        return parse(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise UserError(f"{address} is damaged ({error}); {remedy}") from None


def _number(value: dict[str, Any]) -> int:
    return int(value["version"])


def _numbers(value: dict[str, Any]) -> list[int]:
    return [int(number) for number in value["versions"]]


def _target(value: dict[str, Any]) -> Target:
    version, previous = value["version"], value.get("previous")
    withdrawn = tuple(sorted(int(number) for number in value.get("withdrawn", ())))
    rollout = Rollout(**value["rollout"]) if "rollout" in value else None
    return Target(
        None if version is None else int(version),
        None if previous is None else int(previous),
        withdrawn,
        rollout,
        str(value.get("reason", "")),
    )


def _target_json(target: Target) -> dict[str, Any]:
    value: dict[str, Any] = {"version": target.version}
    if target.previous is not None:
        value["previous"] = target.previous
    if target.withdrawn:
        value["withdrawn"] = list(target.withdrawn)
    if target.rollout is not None:
        value["rollout"] = asdict(target.rollout)
    if target.reason:
        value["reason"] = target.reason
    return value


def _pins(value: dict[str, Any]) -> dict[int, str]:
    return {int(number): str(reason) for number, reason in value["pins"].items()}


def _pins_json(pins: dict[int, str]) -> dict[str, Any]:
    return {"pins": {str(number): reason for number, reason in sorted(pins.items())}}
