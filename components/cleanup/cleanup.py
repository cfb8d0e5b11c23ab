"""Decides what a model's runs left and may go, and deletes it.

Never deleted: versions that a pointer or a pin names, their bases and parents, the newest `retention.versions`; of each
version that stays its run folder, and with `retention.audit` its snapshot and partitions; the newest snapshot; what a
run in progress may use; what the current or the previous cache generation could return. Each kind of what goes has a
module of its own. What cannot be read stops what depends on it, and a sentence says so.

To delete twice, or to be killed and to run again, is the same as to delete once.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from components.cleanup.config import Retention
from components.cleanup.deletion import Deletion, Failure
from components.cleanup.log import log_deletions, log_failures, log_key
from components.cleanup.plan import Plan, decide
from components.cleanup.remove import remove
from components.cleanup.runs import find_runs
from components.cleanup.situation import Situation
from components.cleanup.survey import survey
from components.cleanup.sweep import Sweep, sweeping
from components.cleanup.versions import is_version, remove_version
from components.errors import UserError
from components.storage.open import open_storage
from components.storage.storage import Upload
from components.store import ModelStore

BATCH = 1000
"""Deletions that are logged together, before the first of them."""
SPARED = "somebody named it, writes to it or deletes it at this moment"


@dataclass(frozen=True)
class Outcome:
    """What a cleanup did."""

    freed: list[Deletion]
    failed: list[Failure]
    notes: list[str]
    kept_runs: int
    """Run folders of the model that stay."""

    @property
    def freed_bytes(self) -> int:
        """Bytes that are free now."""
        return sum(item.bytes for item in self.freed)


def check_name(model: str) -> None:
    """Makes sure that a name leads nowhere else.

    Raises:
        UserError: the name cannot be a model's.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", model):
        raise UserError(f"{model!r} cannot be a model's name; names have a-z, 0-9 and - only")


def plan(work: Path | str, retentions: Mapping[str, Retention], now_s: float) -> dict[str, Plan]:
    """What may go; deletes nothing.

    Args:
        work: the work directory, a folder or `s3://…`.
        retentions: how much is kept, by the model's name; of what belongs to other models nothing goes.
        now_s: seconds since 1970.

    Raises:
        UserError: a name cannot be a model's.
        OSError: the storage cannot be read.
    """
    plans = {}
    for situation in _situations(work, retentions, now_s):
        plans[situation.model] = decide(situation)
        for deletion in plans[situation.model].deletions:
            situation.found.forget(deletion.path)  # what the models share is planned once
    return plans


def clean_up(work: Path | str, retentions: Mapping[str, Retention], now_s: float) -> dict[str, Outcome]:
    """Deletes what may go, and logs it; what cannot be deleted does not keep the rest from going.

    Args: as for `plan`.

    Raises:
        UserError: a name cannot be a model's, or another cleanup is at work.
        OSError: the storage cannot be read.
    """
    with sweeping(open_storage(work)) as sweep:  # before runs are looked for: those that begin now wait until the end
        return {situation.model: apply(situation, sweep) for situation in _situations(work, retentions, now_s)}


def _situations(work: Path | str, retentions: Mapping[str, Retention], now_s: float) -> Iterator[Situation]:
    for model in retentions:
        check_name(model)
    known = {model: _known(ModelStore(work, model)) for model in retentions}
    found = survey(open_storage(work), retentions)
    runs = find_runs(found, now_s)
    for model, retention in retentions.items():
        yield Situation(found, ModelStore(work, model), model, retention, now_s, runs, known[model])


def _known(store: ModelStore) -> frozenset[int]:
    try:
        return frozenset(version.number for version in store.versions())
    except OSError:
        return frozenset()  # the survey meets this folder, too, and tells why it cannot be listed


def apply(situation: Situation, sweep: Sweep) -> Outcome:
    """Deletes what may go.

    Versions go first: if somebody names one meanwhile, it stays, and with it what it needs.

    Args:
        situation: what is known of the model.
        sweep: the right to delete.

    Raises:
        UserError: another cleanup took over.
        OSError: the storage cannot be read.
    """
    planned = decide(situation)
    gone, failed = _delete(situation, planned.versions, sweep)
    numbers = {path: int(path.rpartition("/")[2]) for path in (item.path for item in planned.versions)}
    freed_numbers = {numbers[item.path] for item in gone}
    if spared := frozenset(numbers.values()) - freed_numbers:
        known = situation.known - freed_numbers
        situation = replace(situation, known=known, spared=spared, unknown=[], earlier=set())
        planned = decide(situation)
    freed, stuck = _delete(situation, planned.others, sweep)
    refused = _abort(situation, planned.uploads, sweep)
    return Outcome([*gone, *freed], [*failed, *stuck, *refused], planned.notes, planned.kept_runs)


def _delete(situation: Situation, deletions: Sequence[Deletion], sweep: Sweep) -> tuple[list[Deletion], list[Failure]]:
    """Returns what is gone, and what is not because the storage refused."""
    storage, key, now_s = situation.found.storage, log_key(situation.model), situation.now_s
    freed: list[Deletion] = []
    failed: list[Failure] = []
    for start in range(0, len(deletions), BATCH):
        batch = deletions[start : start + BATCH]
        log_deletions(storage, key, batch, now_s)
        stays = {item.path: Failure(item.path, "the cleanup ended before it came to this") for item in batch}
        try:
            for deletion in batch:
                sweep.check()
                failure = _delete_one(situation, deletion)
                if failure is None:
                    freed.append(deletion)
                    del stays[deletion.path]
                else:
                    stays[deletion.path] = failure
        finally:
            log_failures(storage, key, list(stays.values()), now_s)
        failed += [failure for failure in stays.values() if failure.error != SPARED]
    return freed, failed


def _delete_one(situation: Situation, deletion: Deletion) -> Failure | None:
    """Returns why it stays; None: it is gone."""
    try:
        if not is_version(situation, deletion.path):
            remove(situation.found.storage, deletion)
        elif not remove_version(situation, deletion.path):
            return Failure(deletion.path, SPARED)
    except (OSError, UserError) as error:
        return Failure(deletion.path, str(error))
    situation.found.forget(deletion.path)
    return None


def _abort(situation: Situation, uploads: Sequence[Upload], sweep: Sweep) -> list[Failure]:
    """Frees the parts of unfinished uploads; returns what the storage refused."""
    storage, key, now_s = situation.found.storage, log_key(situation.model), situation.now_s
    why = "parts of an upload that was never finished"
    log_deletions(storage, key, [Deletion(upload.key, 0, why, upload.started_s) for upload in uploads], now_s)
    refused = []
    for upload in uploads:
        sweep.check()
        try:
            storage.abort(upload)
        except OSError as error:
            refused.append(Failure(upload.key, str(error)))
    log_failures(storage, key, refused, now_s)
    return refused
