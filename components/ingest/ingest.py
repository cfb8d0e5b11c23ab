"""Adds the source's files to the content-addressed partitions and names the snapshot of those that have arrived.

Written to `<work>/data/<model>/`: `partitions/<digest>/` (`rows.parquet`, `rejected.parquet`, `partition.json`) and
`snapshots/<digest>/snapshot.json`. Equal content gives equal digests, whatever a file is called and however old it is:
then nothing is written. Every file is parsed once; later runs only hash it, or not even that where `digests.json`
remembers what it held and it was not written since.
"""

import contextlib
import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import xxhash

from components import artifacts
from components.artifacts import Partition, Snapshot
from components.cleanup.sweep import wait_for_sweep
from components.digests.ahead import ahead
from components.digests.remembered import Remembered
from components.errors import UserError
from components.features.columns import Data
from components.ingest.config import IngestConfig
from components.ingest.partition import Added, add
from components.ingest.partitions import Partitions
from components.ingest.sources import find
from components.storage.address import Address, is_local
from components.storage.fetched import fetched, imports_paths
from components.storage.open import open_storage

DIGESTS = "digests.json"
EXAMPLES_SHOWN = 10
REASONS_SHOWN = 3
log = logging.getLogger(__name__)


def ingest(config: IngestConfig, work: Address, name: str, until: str) -> str:
    """Makes the snapshot of all files that have arrived.

    Args:
        config: the declared columns, the source, the share of bad rows allowed.
        work: the work directory.
        name: the model's name.
        until: the last day (YYYY-MM-DD, in the time column's own time): a file counts as arrived when its newest row is
            not later than the end of that day. Empty: all files count.

    Returns:
        the address of the snapshot's folder; in a run on this machine that of a copy, where it lies in a bucket.

    Raises:
        UserError: the source or one of its files cannot be used, too many rows of a file are bad, or nothing had
            arrived by `until`.
    """
    with artifacts.recorded("ingest", work) as details:
        end = _end_of_day(until, config.data)
        wait_for_sweep(open_storage(work))  # what is found below must stay: a cleanup that begins now sees the lease
        data_root = artifacts.data_root(work, name)
        added = list(_added(config, work, data_root))
        arrived = _in_order([one for one in added if end is None or _last_time(one.partition) < end])
        if not arrived:
            raise UserError(_too_early(until, [one.partition for one in added]))
        chosen = _Chosen(arrived, data_root)
        details.update(chosen.details(until), later_files=len(added) - len(arrived))
        details.update(bytes_read=sum(one.bytes_read for one in added))
        chosen.check_bad_rows(config.ingest.max_bad_rows)
        snapshot = chosen.snapshot()
        snapshot.write()
        return str(fetched(snapshot.path) if imports_paths() else snapshot.path)


def _added(config: IngestConfig, work: Address, data_root: Address) -> Iterator[Added]:
    """The partitions of the source's files, in the order of their paths."""
    files, partitions = find(config.ingest.source, work), Partitions(data_root)
    with (
        _digests(data_root, config.ingest.remember_digests) as remembered,
        # Closed before what was learned is written: no thread learns more then.
        contextlib.closing(ahead(lambda file: file.content(remembered), files)) as contents,
    ):
        for file, content in zip(files, contents):
            added = add(file, content, config.data, partitions, remembered)
            log.info("%s: %s rows%s", file.name, added.partition.rows, "" if added.new else ", known")
            yield added


@contextlib.contextmanager
def _digests(data_root: Address, is_on: bool) -> Iterator[Remembered]:
    """What earlier runs remembered; of a bucket by way of a file of this machine."""
    if not is_on or is_local(data_root):
        with Remembered.kept_in(Path(data_root) / DIGESTS if is_on else None) as remembered:
            yield remembered
        return
    storage = open_storage(data_root)
    before = storage.read(DIGESTS) if storage.exists(DIGESTS) else b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / DIGESTS
        if before:
            path.write_bytes(before)
        try:
            with Remembered.kept_in(path) as remembered:
                yield remembered
        finally:
            if path.exists() and (now := path.read_bytes()) != before:
                storage.write(DIGESTS, now)


def _end_of_day(until: str, data: Data) -> int | None:
    """The first second after the day, since 1970; None without a day."""
    if not until:
        return None
    try:
        day = datetime.strptime(until, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    except ValueError:
        raise UserError(f"until is {until!r}, which is no date; write it as YYYY-MM-DD") from None
    if data.time is None:
        raise UserError(f"until is {until}, but data.time names no column to tell by what has arrived; set it")
    return int((day + timedelta(days=1)).timestamp())


def _last_time(partition: Partition) -> int:
    return partition.max_time or 0


def _in_order(added: Iterable[Added]) -> list[Added]:
    """By the time of the first row, then by digest: never by name, which says nothing of the content."""
    return sorted(added, key=lambda one: (one.partition.min_time or 0, one.partition.digest))


def _too_early(until: str, partitions: list[Partition]) -> str:
    first = min(_last_time(partition) for partition in partitions)
    day = datetime.fromtimestamp(first, timezone.utc).date().isoformat()
    return f"no file had arrived by {until}: the first one ends on {day}; choose that day or a later one"


@dataclass(frozen=True)
class _Chosen:
    """The files that make the snapshot, in order; some may have the same content."""

    files: list[Added]
    data_root: Address

    @property
    def partitions(self) -> list[Partition]:
        """Each content once."""
        return list({one.partition.digest: one.partition for one in self.files}.values())

    def snapshot(self) -> Snapshot:
        """The snapshot, named by the digests of its partitions in order."""
        digests = "\n".join(partition.digest for partition in self.partitions)
        return Snapshot(xxhash.xxh3_128_hexdigest(digests.encode()), tuple(self.partitions), self.data_root)

    def check_bad_rows(self, max_bad_rows: float) -> None:
        """Refuses the snapshot when one of its files has too many bad rows, or only bad ones."""
        for one in self.files:
            bad = sum(one.partition.rejected.values())
            total = bad + one.partition.rows
            if bad > max_bad_rows * total or bad == total:
                raise UserError(self._too_many(one, bad, total, max_bad_rows))

    def _too_many(self, one: Added, bad: int, total: int, max_bad_rows: float) -> str:
        reasons = Counter(one.partition.rejected).most_common(REASONS_SHOWN)
        counted = "; ".join(f"{reason} ({count})" for reason, count in reasons)
        return (
            f"{bad} of {total} rows of {one.name} are bad, more than ingest.max_bad_rows {max_bad_rows:g} allows: "
            f"{counted}; see {one.partition.rejected_address(self.data_root)} and mend the file or the declared columns"
        )

    def details(self, until: str) -> dict[str, Any]:
        """What the record shows."""
        parts = self.partitions
        rejected: Counter[str] = Counter()
        for part in parts:
            rejected.update(part.rejected)
        return {
            "snapshot": self.snapshot().digest,
            "until": until,
            "sources": [_source(one) for one in self.files],
            "rows": sum(part.rows for part in parts),
            "unlabelled": sum(part.unlabelled for part in parts),
            "rejected": dict(rejected.most_common()),
            "rejected_examples": self._rejected_examples(),
            "new_partitions": sum(one.new for one in self.files),
            "ignored_columns": sorted({name for one in self.files for name in one.ignored}),
            "duplicates": self._duplicates(),
        }

    def _rejected_examples(self) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = []
        for one in self.files:
            if one.partition.rejected and len(shown) < EXAMPLES_SHOWN:
                table = pq.read_table(one.partition.rejected_path(self.data_root), columns=["line", "reason"])
                rows = table.slice(0, EXAMPLES_SHOWN - len(shown)).to_pylist()
                shown += [{"source": one.name, **row} for row in rows]
        return shown

    def _duplicates(self) -> list[dict[str, str]]:
        """Files whose content another file has already; they are counted once."""
        first: dict[str, str] = {}
        for one in self.files:
            first.setdefault(one.partition.digest, one.name)
        return [
            {"name": one.name, "same_as": first[one.partition.digest]}
            for one in self.files
            if first[one.partition.digest] != one.name
        ]


def _source(one: Added) -> dict[str, Any]:
    partition = one.partition
    rejected = sum(partition.rejected.values())
    return {
        "name": one.name,
        "digest": partition.digest,
        "rows": partition.rows,
        "rejected": rejected,
        "new": one.new,
    }
