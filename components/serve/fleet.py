"""The models that one server answers for: loaded, followed through the store, switched while requests go on."""

import asyncio
import gc
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from components import artifacts
from components.errors import UserError
from components.serve.config import Serve
from components.serve.counters import Counters
from components.serve.limits import Limits
from components.serve.request_log import RequestLog
from components.serve.served_model import ServedModel, Source
from components.storage.address import Address, joined, parent_of
from components.storage.open import open_storage
from components.store import ModelStore, Version
from components.store.copies import download

logger = logging.getLogger("evergreen.serve")
POINTER = "models/{}/pointers/serving.json"
RETRY_S = (5.0, 300.0)
"""A version that could not be loaded is tried again after so long, doubled each time up to the second number."""


@dataclass
class Slot:
    """One name, whatever version answers for it now."""

    model: ServedModel
    log: RequestLog
    counters: Counters
    rows_before: float
    """Rows that the versions before it had predicted."""
    unseen_before: dict[str, int]
    """What the model counted while it was tried and measured."""

    @property
    def predicted_rows(self) -> float:
        """Rows that the version predicted, and those that the one before had still to answer."""
        return self.counters.batch.total - self.rows_before

    def unseen(self) -> dict[str, int]:
        """By feature, how many values of the rows it predicted its vocabulary does not know."""
        return {feature: count - self.unseen_before[feature] for feature, count in self.model.unseen().items()}


@dataclass
class Trouble:
    """Why what the store wants in service is not."""

    wanted: bytes
    """What the pointer's file said."""
    retry_s: float
    """When to try again, on the monotonic clock."""
    waits_s: float


class Fleet:
    """Loads what is to be served, and follows the store's pointers."""

    def __init__(
        self,
        work: Address | None,
        names: Sequence[str],
        folders: Sequence[Source],
        logs: Address | None,
        limits: Limits,
    ) -> None:
        """Loads nothing yet.

        Args:
            work: the work directory whose store is followed, a folder or `s3://…`, of which copies are made.
            names: models of the store to serve; none: all that have a version in service.
            folders: further models, each a folder that does not change.
            logs: where the request logs go, a folder for each model; None: nowhere.
            limits: of the process.
        """
        self._work, self._names, self._folders, self._logs = work, tuple(names), tuple(folders), logs
        self._copies = tempfile.TemporaryDirectory(prefix="evergreen-")
        self._limits = limits
        self._join_s = 0.0
        self._troubles: dict[str, Trouble] = {}
        self._hidden: set[str] = set()
        self.slots: dict[str, Slot] = {}
        self.on_switch: Callable[[], None] = lambda: None
        """Called in the event loop after a model came or changed."""

    async def load(self, join_s: float) -> None:
        """Loads all models. One of the store that was not named and cannot be loaded is tried again by `follow`.

        Args:
            join_s: what `cost.measure_join` found.

        Raises:
            UserError: there is none, none can be loaded, or one that was named cannot.
        """
        self._join_s = join_s
        self._check_names()
        spare_the_collector()
        for source in self._folders:
            try:
                self._take(source.name, self._loaded(source, Counters()))
            except Exception as error:
                raise _for_user(source.name, error) from error
        reasons = [self._start(name) for name in self._followed()]
        if not self.slots:
            nothing = f"no model of {self._work} has a version in service; run `python pipeline.py run` first"
            raise UserError("; ".join(filter(None, reasons)) or nothing)
        self.on_switch()

    async def follow(self, every_s: float) -> None:
        """Looks at the pointers again and again; never returns.

        A version is loaded in a thread and takes over between two requests; those that the old one has begun, it ends.
        """
        said = ""
        while True:
            await asyncio.sleep(every_s)
            try:
                for name in await asyncio.to_thread(self._followed):
                    if await self._follow(name):
                        self.on_switch()
                        gc.collect()  # the version that was replaced; a few milliseconds
                said = ""
            except Exception as error:  # whatever it is, the next look may find it gone
                if repr(error) != said:
                    logger.error("the models of %s cannot be followed, and are tried again: %r", self._work, error)
                said = repr(error)

    def close(self) -> None:
        """Writes what is waiting for the logs, and lets go of the threads."""
        for slot in self.slots.values():
            slot.log.close()
            slot.model.close()
        self._copies.cleanup()

    def _check_names(self) -> None:
        names = [*(source.name for source in self._folders), *self._names]
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"two models are named {name}; give the folder another name")

    def _followed(self) -> list[str]:
        """The models of the store to serve: those that were named, or all whose name no folder has."""
        if self._work is None or self._names:
            return list(self._names)
        storage = open_storage(self._work)
        found = [name for name in storage.names("models") if storage.cell(POINTER.format(name)) is not None]
        hidden = {source.name for source in self._folders}.intersection(found)
        for name in sorted(hidden - self._hidden):
            logger.error("%s of %s is not served, because a folder has its name; rename one", name, self._work)
        self._hidden |= hidden
        return [name for name in found if name not in hidden]

    def _pointer(self, name: str) -> bytes:
        """What the pointer's file says; nothing where it cannot be read."""
        assert self._work is not None
        try:
            cell = open_storage(self._work).cell(POINTER.format(name))
        except OSError:
            return b""
        return cell.content if cell else b""

    def _in_service(self, name: str) -> Version:
        assert self._work is not None
        version = ModelStore(self._work, name).pointed("serving")
        if version is None:
            raise UserError(f"no version of {name} is in service in {self._work}; run `python pipeline.py run` first")
        return version

    def _source(self, name: str, version: Version) -> Source:
        """What is loaded of a version; one in a bucket is copied."""
        if isinstance(version.location, Path):
            return Source(name, version.location, version.number)
        copy = download(version, Path(self._copies.name) / name / str(version.number))
        return Source(name, copy.path, version.number)

    def _loaded(self, source: Source, counters: Counters) -> ServedModel:
        return ServedModel(source, self._limits, counters, self._join_s)

    def _start(self, name: str) -> str:
        """Loads a model of the store for the first time; returns why it cannot be, nothing when it is loaded."""
        wanted = self._pointer(name)
        try:
            self._take(name, self._loaded(self._source(name, self._in_service(name)), Counters()))
        except Exception as error:  # whatever it is, the other models are served
            if name in self._names:
                raise _for_user(name, error) from error
            self._complain(name, wanted, str(_for_user(name, error)))
            return str(_for_user(name, error))
        return ""

    async def _follow(self, name: str) -> bool:
        """Puts into service what the store wants there; returns whether that is another version than before."""
        wanted = await asyncio.to_thread(self._pointer, name)
        slot, trouble = self.slots.get(name), self._troubles.get(name)
        if trouble is not None and trouble.wanted == wanted and time.monotonic() < trouble.retry_s:
            return False
        try:
            version = await asyncio.to_thread(self._in_service, name)
            if slot is not None and slot.model.version == version.number:
                self._troubles.pop(name, None)
                return False
            source = await asyncio.to_thread(self._source, name, version)
            counters = Counters() if slot is None else slot.counters
            model = await asyncio.to_thread(self._loaded, source, counters)
            self._take(name, model)
        except Exception as error:  # whatever it is, the versions in service go on answering
            self._complain(name, wanted, str(_for_user(name, error)))
            return False
        self._troubles.pop(name, None)
        return True

    def _take(self, name: str, model: ServedModel) -> None:
        old = self.slots.get(name)
        log = old.log if old is not None and _same_log(old.model.settings, model.settings) else self._log(name, model)
        self.slots[name] = Slot(model, log, model.counters, model.counters.batch.total, model.unseen())
        if old is not None:
            model.counters.switches += 1
            old.model.close()
            self._forget_copy(name, old.model.version)
            if log is not old.log:
                asyncio.get_running_loop().run_in_executor(None, old.log.close)
        logger.info("%s: version %s answers (%s)", name, model.version, _described(model))

    def _forget_copy(self, name: str, version: int | None) -> None:
        shutil.rmtree(Path(self._copies.name) / name / str(version), ignore_errors=True)

    def _log(self, name: str, model: ServedModel) -> RequestLog:
        folder = None if self._logs is None else joined(self._logs, name)
        return RequestLog(folder, model.settings.log_share, model.settings.log_bytes, model.counters)

    def _complain(self, name: str, wanted: bytes, reason: str) -> None:
        """Says what is wrong, and sets when to try again: later and later while it stays the same."""
        before = self._troubles.get(name)
        waits_s = min(2 * before.waits_s, RETRY_S[1]) if before and before.wanted == wanted else RETRY_S[0]
        self._troubles[name] = Trouble(wanted, time.monotonic() + waits_s, waits_s)
        slot = self.slots.get(name)
        if slot is None:
            logger.error("%s is not served, because %s", name, reason)
        else:
            slot.counters.load_failures += 1
            logger.error("%s: version %s goes on answering, because %s", name, slot.model.version, reason)


def spare_the_collector() -> None:
    """Takes the program out of the garbage collector's sight, and lets it look less often; called before models load.

    Modules, classes and functions are fifty thousand objects that never go, and a full collection that visits them
    holds up requests for tens of milliseconds. A model's are a tenth of that; they stay in sight, since a version that
    was replaced holds cycles. What requests make has none and goes without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _for_user(name: str, error: Exception) -> UserError:
    """An error in a sentence; the original is its cause where it has none."""
    if isinstance(error, UserError):
        return error
    return UserError(f"{name} cannot be loaded ({' '.join(repr(error).split())}); deploy another version")


def _same_log(before: Serve, now: Serve) -> bool:
    return (before.log_share, before.log_bytes) == (now.log_share, now.log_bytes)


def _described(model: ServedModel) -> str:
    cost = model.cost
    how = "in a thread" if cost.blocks else "requests joined" if cost.joins else "each request at once"
    return f"one row {cost.one_s * 1e6:.0f} µs, each further {cost.row_s * 1e6:.1f} µs; {how}"


def log_folder(work: Address) -> Address:
    """Where the request logs of a work directory go."""
    return parent_of(artifacts.request_log(work, "any"))
