"""What a training process trains on, and validates with."""

import logging
import math
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from components import artifacts
from components.learning import disk_cache, memory
from components.learning.fitting import Fitting
from components.learning.input import WHOLE, Columns, Parts, Position, Reader, Share, from_columns, split
from components.learning.legacy_keras import tf
from components.learning.loop import Material
from components.learning.place import Place

log = logging.getLogger(__name__)
STEPS_PER_EPOCH = 200
BATCH_SIZES = (16, 1024)
SEEDS = 2**31
"""That a training can be configured with."""
PEAK = 2
"""Times their size that examples take while they are read."""


class Materials:
    """The examples of one training, as a process of it reads them.

    Attributes:
        batch_size: examples per step and replica.
    """

    def __init__(
        self, folder: Path, examples: artifacts.Examples, fitting: Fitting, here: Place, cache: Path, beside: int = 1
    ) -> None:
        """Takes the artifact, and where it is read.

        Args:
            folder: artifact of preprocess.
            examples: its description.
            fitting: how large batches are, and what may be kept.
            here: the place of this process.
            cache: folder of this training for what is kept on disk; need not exist.
            beside: processes of the training on this machine, which share its memory.
        """
        self._folder, self._examples, self._fitting, self._place, self._cache = folder, examples, fitting, here, cache
        self.batch_size = batch_size(fitting, examples.rows["train"])
        self._limits = memory.Limits(fitting.cache_memory_share / beside)
        self._early = self._read_early()

    def _read_early(self) -> "Future[Columns] | None":
        """Reads what is trained on first while the network is built; None where it is not kept in memory."""
        if self._place.kind == "parameter_server":
            return None
        reader = self._reader(("train",), self._place.share)
        if self._kept(reader) != "memory":
            return None
        executor = ThreadPoolExecutor(1, thread_name_prefix="read")
        early = executor.submit(reader.columns)
        executor.shutdown(wait=False)
        return early

    def of(self, *parts: str) -> Material:
        """What is trained on: `train`, or `train` and `validation`."""
        rows = sum(self._examples.rows[part] for part in parts)

        def feed(share: Share, sizes: np.ndarray, position: Position) -> tf.data.Dataset:
            return self._batches(self._reader(parts, share), parts, sizes, position)

        return Material(feed, rows, math.ceil(rows / (self.batch_size * self._place.replicas)))

    def validation(self) -> tf.data.Dataset:
        """(inputs, label) batches, in the same order each time."""
        reader = self._reader(("validation",))
        wanted: Literal["none", "auto"] = "none" if self._fitting.cache == "none" else "auto"
        if self._limits.place_for(PEAK * reader.size_bytes, wanted) == "none":
            return reader.in_order()
        return tf.data.Dataset.from_tensor_slices(reader.columns()).batch(reader.rows_at_once).map(split)

    def one_batch(self) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """A real batch of one replica."""
        reader = self._reader(("train",))
        return split({name: tf.constant(values) for name, values in reader.columns(self.batch_size).items()})

    def _reader(self, parts: Parts, share: Share = WHOLE) -> Reader:
        return Reader(self._folder, self._examples, parts, share)

    def _kept(self, reader: Reader) -> memory.Cache:
        return self._limits.place_for(PEAK * reader.size_bytes, self._fitting.cache)

    def _columns(self, reader: Reader, parts: Parts) -> Columns:
        early, self._early = self._early, None
        return reader.columns() if early is None or parts != ("train",) else early.result()

    def _batches(
        self, reader: Reader, parts: tuple[str, ...], sizes: np.ndarray, position: Position
    ) -> tf.data.Dataset:
        if self._place.kind == "parameter_server":  # read by the workers, which share nothing: each in its own order
            return reader.streamed(sizes, None, position)
        self._log_shares(reader)
        kept, index = self._kept(reader), self._place.share.index
        # Each process in its own order: records are dealt out in turn, and neighbours would meet in every batch.
        seed = self._fitting.seed + index * SEEDS
        if kept == "memory":
            return from_columns(self._columns(reader, parts), sizes, seed, position)
        if kept == "disk":
            cached = self._cache / f"{index}-{'-'.join(parts)}"
            return from_columns(disk_cache.columns(reader, cached), sizes, seed, position)
        return reader.streamed(sizes, seed, position)

    def _log_shares(self, reader: Reader) -> None:
        processes = self._place.share.processes
        if processes > 1:
            how = "shards of its own" if reader.by_file else f"one in {processes} examples of each shard"
            why = "divide" if reader.by_file else "do not divide"
            log.info("each process reads %s, because the shards %s evenly among %d", how, why, processes)


def batch_size(fitting: Fitting, examples: int) -> int:
    """The configured size, or a power of two within BATCH_SIZES that gives at least STEPS_PER_EPOCH steps an epoch."""
    if fitting.batch_size is not None:
        return fitting.batch_size
    smallest, largest = BATCH_SIZES
    wanted = max(1, examples // STEPS_PER_EPOCH)
    return min(largest, max(smallest, 1 << (wanted.bit_length() - 1)))
