"""What became of each step of a run, and in a few words what it did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.artifacts import Record
from components.report import fields
from components.report import format as fmt

ORDER = (
    "ingest",
    "resolve",
    "validate",
    "preprocess",
    "train",
    "compress",
    "evaluate",
    "rehearse",
    "deploy",
    "predict",
)
LAST = "finish"
EXPECTED = (*ORDER, LAST)
RAN, CACHED, SKIPPED, FAILED, STOPPED = "ran", "cached", "skipped", "failed", "stopped"

WORTH_TELLING = 0.1
"""The least share of zeros that a line on a variant tells of."""


@dataclass(frozen=True)
class Step:
    """One step of a run; without a record it did not start."""

    name: str
    outcome: str
    words: str
    record: Record | None = None

    @property
    def kind(self) -> str:
        """The step's name without the recipe."""
        return self.name.partition("-")[0]


def steps(records: Mapping[str, Record], run: str) -> list[Step]:
    """All steps in the order of the pipeline: those with a record and those that never started."""
    found = [Step(name, outcome(record, run), _words(record), record) for name, record in records.items()]
    kinds = {step.kind for step in found}
    missing = [Step(name, SKIPPED, _why_skipped(records, run, name)) for name in EXPECTED if name not in kinds]
    return sorted(found + missing, key=_position)


def _words(record: Record) -> str:
    """The step's words; who reads them sees that a `finish` still running has made at least this."""
    unfinished = {LAST: "made this report"}.get(record.step, "did not end")
    return step_line(record) if record.status != "running" else unfinished


def _position(step: Step) -> tuple[int, float, str]:
    known = ORDER.index(step.kind) if step.kind in ORDER else len(ORDER)
    place = len(ORDER) + 1 if step.kind == LAST else known
    return place, step.record.started_s if step.record else 0.0, step.name


def outcome(record: Record, run: str) -> str:
    """`ran`, `cached`, `failed`, or `stopped` when the process was killed before it could say more.

    The report is made while `finish` runs, so that a running `finish` is no sign of trouble.
    """
    if record.status == "failed":
        return FAILED
    if record.status == "running" and record.step != LAST:
        return STOPPED
    return RAN if record.run == run else CACHED


def broken(records: Mapping[str, Record], run: str) -> Record | None:
    """The first step of the run that failed or was killed; None where there is none."""
    bad = [record for record in records.values() if outcome(record, run) in (FAILED, STOPPED)]
    return min(bad, key=lambda record: record.started_s, default=None)


def _why_skipped(records: Mapping[str, Record], run: str, step: str) -> str:
    if step == "predict" and "deploy" in records and outcome(records["deploy"], run) == RAN:
        return "no predict.source"
    bad = broken(records, run)
    if bad:
        return f"not reached: {bad.step} {outcome(bad, run)}"
    if decision_of(records, "validate") == "nothing":
        return "nothing to do"
    if decision_of(records, "evaluate") == "refused":
        return "model refused"
    return "model not fit to serve" if decision_of(records, "rehearse") == "unfit" else "not reached"


def details(records: Mapping[str, Record], step: str) -> dict[str, Any]:
    """A step's details; empty where the step left none."""
    found = records[step].details if step in records else None
    return found if isinstance(found, dict) else {}


def decision_of(records: Mapping[str, Record], step: str) -> str:
    """What a gate step decided; empty where it did not."""
    return fields.text(records[step].details, "decision") if step in records else ""


def step_line(record: Record) -> str:
    """In a few words what a step did: `12 files, 336,776 rows, 0 rejected`."""
    if record.status == "failed":
        return fmt.clipped(fields.line(record.error or "no reason recorded"), 160)
    if record.status == "running":
        return "running"
    describe = _WORDS.get(record.step.partition("-")[0])
    return describe(record) if describe else ""


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _counted(record: Record, key: str, noun: str) -> str:
    value = fields.number(record.details, key)
    return "" if value is None else fmt.counted(value, noun)


def _ingest(record: Record) -> str:
    sources = fields.items(record.details, "sources")
    new = fields.number(record.details, "new_partitions")
    files = fmt.counted(len(sources), "file") if sources else ""
    if files and new:
        files += f" ({'all' if new == len(sources) else fmt.count(new)} new)"
    rejected = sum(fields.counts(record.details, "rejected").values())
    counted = "rejected" in record.details
    return _listed(files, _counted(record, "rows", "row"), f"{fmt.count(rejected)} rejected" if counted else "")


def _resolve(record: Record) -> str:
    if "serving" not in record.details:
        return ""
    serving, base = fields.text(record.details, "serving"), fields.text(record.details, "base")
    return f"in service: {serving or 'none yet'}, to start from: {base or 'nothing'}"


def _validate(record: Record) -> str:
    decision, reason = fields.text(record.details, "decision"), fields.text(record.details, "reason")
    return fmt.clipped(": ".join(part for part in (decision, reason) if part), 160)


def _preprocess(record: Record) -> str:
    rows = fields.number(fields.table(record.details, "rows"), "train")
    training = "" if rows is None else f"{fmt.count(rows)} rows"
    return _listed(_start(record), training, inputs(record.details))


def inputs(preprocess: dict[str, Any]) -> str:
    """What the network sees of a row."""
    widths = [(fields.number(preprocess, f"{name}s"), name) for name in ("float", "id")]
    counts = [fmt.counted(width, name) for width, name in widths if width]
    shape = " x ".join(fmt.count(side) for side in fields.numbers(preprocess, "image"))
    return " + ".join([*counts, f"an image of {shape}"] if shape else counts)


def _start(record: Record) -> str:
    return fields.text(record.details, "start")


def _train(record: Record) -> str:
    epochs = len(fields.items(record.details, "history"))
    best = fields.text(record.details, "best_epoch")
    ran = fmt.counted(epochs, "epoch") if epochs else ""
    quality = _validation_quality(record)
    told = _listed(_start(record), ran, f"best {best}" if best else "")
    return f"{told}: {quality}" if told and quality else told


def _validation_quality(record: Record) -> str:
    history = fields.rows(record.details, "history")
    best = [row for row in history if fields.number(row, "epoch") == fields.number(record.details, "best_epoch")]
    value = fields.number(best[0], "validation_metric") if best else None
    metric = fields.text(record.details, "metric")
    return f"{fmt.metric(metric)} {fmt.quality(value)}" if metric and value is not None else ""


def _compress(record: Record) -> str:
    size, sparsity = fields.number(record.details, "bytes"), fields.number(record.details, "sparsity")
    examples = fields.number(fields.table(record.details, "made"), "examples")
    return _listed(
        "" if size is None else fmt.size(size),
        f"{fmt.short_count(examples)} examples" if examples else "",
        f"{fmt.share(sparsity)} zeros" if sparsity is not None and sparsity >= WORTH_TELLING else "",
    )


def _evaluate(record: Record) -> str:
    decision, metric = fields.text(record.details, "decision"), fields.text(record.details, "metric")
    chosen = fields.text(record.details, "chosen")
    variants = fields.rows(record.details, "variants")
    if not chosen:
        return f"{decision}: none of {fmt.counted(len(variants), 'variant')} passed" if decision else ""
    variant = next((row for row in variants if row.get("recipe") == chosen), {})
    value = fields.number(fields.table(variant, "metrics"), metric)
    return _listed(f"{decision}: {chosen}", f"{fmt.metric(metric)} {fmt.quality(value)}" if value is not None else "")


def _rehearse(record: Record) -> str:
    decision, found = fields.text(record.details, "decision"), record.details
    if decision == "unfit":
        return fmt.clipped(f"unfit: {fields.text(found, 'reason')}", 160)
    latencies = ((name, fields.number(found, f"latency_{name}_ms")) for name in ("p50", "p99"))
    rate, memory = fields.number(found, "requests_per_s"), fields.number(found, "memory_bytes")
    start_s = fields.number(found, "start_s")
    figures = _listed(
        *(f"{name} {fmt.latency(value * 1e3)}" for name, value in latencies if value is not None),
        f"{fmt.count(rate)} requests/s" if rate is not None else "",
        fmt.megabytes(memory) if memory is not None else "",
        f"ready in {fmt.duration(start_s)}" if start_s is not None else "",
    )
    return f"{decision}: {figures}" if decision and figures else decision


def _predict(record: Record) -> str:
    bad = sum(fields.counts(record.details, "bad").values())
    skipped = fields.number(record.details, "skipped_shards")
    rate = fields.number(record.details, "rows_per_s")
    return _listed(
        _counted(record, "rows", "row"),
        f"{fmt.count(rate)} rows/s" if rate is not None else "",
        f"{fmt.count(bad)} bad" if bad else "",
        f"{fmt.counted(skipped, 'shard')} there already" if skipped else "",
    )


def _deploy(record: Record) -> str:
    version, pointer = fields.text(record.details, "version"), fields.text(record.details, "pointer")
    service = fields.text(record.details, "inference_service")
    where = f" on {service}" if service and pointer else ""
    return f"version {version}" + (f" is {pointer}{where}" if pointer else "") if version else ""


def _finish(record: Record) -> str:
    freed = fields.number(record.details, "freed_bytes")
    folders = len(fields.items(record.details, "freed"))
    if freed is None:
        return ""
    return f"freed {fmt.size(freed)} in {fmt.counted(folders, 'place')}" if folders else "nothing to free"


_WORDS: dict[str, Callable[[Record], str]] = {
    "ingest": _ingest,
    "resolve": _resolve,
    "validate": _validate,
    "preprocess": _preprocess,
    "train": _train,
    "compress": _compress,
    "evaluate": _evaluate,
    "rehearse": _rehearse,
    "deploy": _deploy,
    "predict": _predict,
    "finish": _finish,
}
