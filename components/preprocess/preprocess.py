"""Snapshot → examples: chooses rows, learns the transform's constants, writes TFRecords and the held-out rows."""

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import components.learning.legacy_keras  # noqa: F401 - before TensorFlow

# isort: split
import tensorflow as tf

from components import artifacts
from components.artifacts import Examples, Snapshot
from components.features.arrow import arrow_schema
from components.features.declaration import Constants, Vocabulary
from components.features.transform import Transform
from components.features.transform_tf import TransformGraph
from components.preprocess.beam_pipeline import Workers, workers
from components.preprocess.config import PreprocessConfig
from components.preprocess.expected import write_expected
from components.preprocess.learn import learn, learn_more
from components.preprocess.pieces import deal, rows_of_shard
from components.preprocess.plan import Plan, describe, plan
from components.preprocess.start import Start, find_start
from components.preprocess.write import ROW_GROUP_ROWS, write_rows, write_shards
from components.storage.address import Address

log = logging.getLogger(__name__)
STEP = "preprocess"
SHARDED = ("train", "validation")


def preprocess(snapshot: Address, base: Path, config: PreprocessConfig, work: Address, examples: Path) -> None:
    """Makes the examples that training reads and the rows that the model is judged on.

    A warm start, from the version in `base`, keeps that version's constants and trains on the rows it has not seen and
    on a sample of the others. Rows without a label or a time are left out and counted.

    Record: {start, start_reason, rows: {train, validation, heldout, replay, unlabelled, untimed, older}, window,
    trained_until, floats, ids, shards, bytes, vocabularies, runner, rows_per_s, stages: {plan_s, learn_s, write_s}}.

    Args:
        snapshot: the snapshot's folder, or a copy of it alone: where `work` is a bucket, its partitions are there.
        base: a version's folder, or an empty one.
        config: the data, its features, and how to split it.
        work: the work directory.
        examples: the folder to fill, as `artifacts` describes it.

    Raises:
        UserError: the rows cannot be split as configured, have labels that cannot be learned, or the engine that runs
            Beam cannot do the work.
    """
    examples.mkdir(parents=True, exist_ok=True)
    with artifacts.recorded(STEP, work, (), examples) as details, workers(config.preprocess, examples) as crew:
        began_s = time.perf_counter()
        current = Snapshot.read(snapshot, work)
        chosen = plan(current, config, find_start(base, config))
        planned_s = time.perf_counter()
        chosen, constants = _learn(chosen, current, config, crew)
        known = chosen.start.base.constants if chosen.start.base else None
        _tell(chosen.start, base)
        learned_s = time.perf_counter()
        transform = Transform(config.data, config.features, constants)
        written = _write(chosen, transform, current, config, examples, crew)
        ended_s = time.perf_counter()
        details.update(
            **describe(chosen),
            **_describe(written, transform, known, examples),
            runner=config.preprocess.runner,
            rows_per_s=round(sum(written.rows[part] for part in (*SHARDED, "heldout")) / (ended_s - began_s)),
            stages={
                "plan_s": planned_s - began_s,
                "learn_s": learned_s - planned_s,
                "write_s": ended_s - learned_s,
            },
        )


def _learn(chosen: Plan, snapshot: Snapshot, config: PreprocessConfig, crew: Workers) -> tuple[Plan, Constants]:
    """Learns the constants; where the new rows have drifted too far from those of the base, for a cold start."""
    if chosen.start.base is not None:
        new, replayed = chosen.pieces["new"], chosen.pieces["replay"]
        known = chosen.start.base.constants
        constants, drifts = learn_more(new, replayed, config.features, config.data, known, crew)
        start = chosen.start.judged([*chosen.label_drift, *drifts], config.preprocess.max_constant_drift)
        if start.base is not None:
            return replace(chosen, start=start), constants
        chosen = plan(snapshot, config, start)
    return chosen, learn(chosen.pieces["train"], config.features, config.data, crew)


def _tell(start: Start, base: Path) -> None:
    """Logs where training starts; a cold start is a warning where there is a version that it could go on from."""
    is_lost = start.base is None and (base / artifacts.LINEAGE).exists()
    log.log(logging.WARNING if is_lost else logging.INFO, "%s start: %s", start.kind, start.reason)


def _write(
    chosen: Plan, transform: Transform, snapshot: Snapshot, config: PreprocessConfig, folder: Path, crew: Workers
) -> Examples:
    """Fills the artifact; the description comes last, so that it never describes what is not there."""
    transform.write(folder)
    graph = folder / artifacts.TRANSFORM_GRAPH
    tf.saved_model.save(TransformGraph(transform), str(graph))
    rows = rows_of_shard(config.preprocess.rows_per_shard, transform.image_shape)
    shards = {part: deal(chosen.pieces[part], part, rows, config.preprocess.seed) for part in SHARDED}
    write_shards([*shards["train"], *shards["validation"]], graph, config.features, config.data, crew)
    group_rows = config.data.rows_at_once(ROW_GROUP_ROWS)
    write_rows(chosen.pieces["heldout"], arrow_schema(config.data), folder / artifacts.HELDOUT, group_rows)
    write_expected(transform, graph, folder)
    written = Examples(
        float_names=transform.float_names,
        id_names=transform.id_names,
        id_sizes=transform.id_sizes,
        image_shape=transform.image_shape,
        task=config.data.task,
        classes=config.data.label_classes,
        label_mean=chosen.label.mean,
        label_std=chosen.label.std,
        rows={part: chosen.rows[part] for part in (*SHARDED, "heldout", "replay")},
        shards={part: tuple(shard.name for shard in of_part) for part, of_part in shards.items()},
        trained_until=chosen.trained_until,
        partitions=tuple(partition.digest for partition in snapshot.partitions),
        base_version=chosen.start.base.version if chosen.start.base else None,
        start_reason=chosen.start.reason,
        split=config.split,
    )
    written.write(folder)
    return written


def _describe(written: Examples, transform: Transform, known: Constants | None, folder: Path) -> dict[str, Any]:
    """The keys of the step's record that the artifact knows."""
    return {
        "floats": len(written.float_names),
        "ids": len(written.id_names),
        "image": list(written.image_shape),
        "shards": {part: len(names) for part, names in written.shards.items()},
        "bytes": sum(path.stat().st_size for part in SHARDED for path in written.paths(folder, part)),
        "vocabularies": {
            name: {"size": len(learned.tokens), "new": _new(learned, known and known[name])}
            for name, learned in transform.constants.items()
            if isinstance(learned, Vocabulary)
        },
    }


def _new(learned: Vocabulary, known: Any) -> int:
    return len(learned.tokens) - (len(known.tokens) if known else 0)
