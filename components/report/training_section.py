"""The report's section on preparation and training."""

from collections.abc import Sequence
from typing import Any

from components.report import charts, fields
from components.report import format as fmt
from components.report.blocks import EMPTY, chips, facts, figure, grid, legend, note, section, table
from components.report.markup import Html, element
from components.report.steps import inputs

MOST_EPOCHS = 200
PARTS = (("train", "Training"), ("validation", "Validation"), ("heldout", "Held out"), ("unlabelled", "No label yet"))
MOST_VOCABULARIES = 60


def preparation_section(preprocess: dict[str, Any]) -> Html:
    """The window, the splits, the inputs and the vocabularies."""
    return section("preparation", "Preparation", _splits(preprocess), _facts(preprocess), _vocabularies(preprocess))


def _splits(preprocess: dict[str, Any]) -> Html:
    rows = fields.counts(preprocess, "rows")
    total = sum(max(rows.get(part, 0.0), 0.0) for part, _ in PARTS)
    if not total:
        return EMPTY
    shown = [(part, name, rows[part]) for part, name in PARTS if rows.get(part, 0.0) > 0]
    bars = [_split_bar(part, name, count, count / total) for part, name, count in shown]
    keys = [(f"split-{part}", f"{name} {fmt.count(count)}") for part, name, count in shown]
    return element("div", element("div", *bars, class_="split"), legend(*keys))


def _split_bar(part: str, name: str, rows: float, share: float) -> Html:
    tip = f"{name}: {fmt.counted(rows, 'row')}, {fmt.share(share)}"
    return element("div", class_=f"split-{part}", style=f"flex-grow:{share:.4f}", title=tip)


def _facts(preprocess: dict[str, Any]) -> Html:
    window = fields.table(preprocess, "window")
    rows = fields.table(preprocess, "rows")
    replay, older, untimed = (fields.number(rows, key) for key in ("replay", "older", "untimed"))
    return facts(
        [
            ("Window", f"{fmt.moment(window.get('from'))} to {fmt.moment(window.get('to'))}" if window else ""),
            ("Trained until", fmt.moment(fields.text(preprocess, "trained_until") and preprocess["trained_until"])),
            ("Replayed", fmt.counted(replay, "earlier row") if replay else ""),
            ("Inputs", inputs(preprocess)),
            (
                "TFRecords",
                f"{fmt.size(fields.number(preprocess, 'bytes'))} in {fmt.counted(_shards(preprocess), 'shard')}",
            ),
            ("Before the window", fmt.counted(older, "row") if older else ""),
            ("Without a time", fmt.counted(untimed, "row") if untimed else ""),
            ("Rate", f"{_count(preprocess, 'rows_per_s')} rows/s"),
            ("Stages", _stages(fields.counts(preprocess, "stages"))),
        ]
        if preprocess
        else []
    )


def _shards(preprocess: dict[str, Any]) -> float | None:
    by_part = fields.counts(preprocess, "shards")
    return sum(by_part.values()) if by_part else fields.number(preprocess, "shards")


def _count(details: dict[str, Any], key: str) -> str:
    return fmt.count(fields.number(details, key))


def _stages(stages: dict[str, float]) -> str:
    return ", ".join(f"{name.removesuffix('_s')} {fmt.duration(seconds)}" for name, seconds in stages.items())


def _vocabularies(preprocess: dict[str, Any]) -> Html:
    found = fields.tables(preprocess, "vocabularies")
    rows = [
        [name, fmt.count(fields.number(one, "size")), fmt.count(fields.number(one, "new"))]
        for name, one in list(found.items())[:MOST_VOCABULARIES]
    ]
    return table(["Vocabulary", "Tokens", "New"], rows, ["Tokens", "New"])


def training_section(train: dict[str, Any], preprocess: dict[str, Any]) -> Html:
    """Where training started from, its curves, and why it ended."""
    return section("training", "Training", _start(train, preprocess), _curves(train), _outcome(train), _layers(train))


def _start(train: dict[str, Any], preprocess: dict[str, Any]) -> Html:
    start = fields.text(train, "start") or fields.text(preprocess, "start")
    reason = fields.text(train, "start_reason") or fields.text(preprocess, "start_reason")
    return (
        element("p", element("b", f"{start.capitalize()} start"), f": {reason}" if reason else "") if start else EMPTY
    )


def _curves(train: dict[str, Any]) -> Html:
    history = [row for row in fields.rows(train, "history") if fields.number(row, "epoch") is not None]
    shown = history[:: -(-len(history) // MOST_EPOCHS)] if history else []
    metric = fmt.metric(fields.text(train, "metric")) or "metric"
    best = fields.number(train, "best_epoch")
    loss = [_series(shown, "loss", "training", "now"), _series(shown, "validation_loss", "validation", "then")]
    quality = [_series(shown, "validation_metric", "validation", "then")]
    cut = note(f"Every {-(-len(history) // MOST_EPOCHS)}th epoch is drawn.") if len(history) > MOST_EPOCHS else EMPTY
    return grid(_curve("Loss", loss, "loss", best), _curve(f"Validation {metric}", quality, metric, best), cut)


def _series(history: Sequence[dict[str, Any]], key: str, name: str, class_: str) -> charts.Series:
    pairs = [(fields.number(row, "epoch") or 0.0, fields.number(row, key)) for row in history]
    return charts.Series(name, [(epoch, value) for epoch, value in pairs if value is not None], class_)


def _curve(title: str, series: Sequence[charts.Series], y_label: str, best: float | None) -> Html:
    drawn = [one for one in series if one.points]
    if not drawn:
        return EMPTY
    keys = legend(*((f"line {one.class_}", one.name) for one in drawn))
    return figure(title, charts.line_chart(f"{title} by epoch", drawn, "epoch", y_label, best), keys)


def _outcome(train: dict[str, Any]) -> Html:
    if not train:
        return EMPTY
    speed = fields.number(train, "examples_per_s")
    parameters, resumed = fields.number(train, "parameters"), fields.number(train, "resumed")
    return facts(
        [
            ("Network", _network(train)),
            ("Parameters", fmt.count(parameters)),
            ("Ended", _ended(train)),
            ("Best epoch", fields.text(train, "best_epoch")),
            ("Refit", _refit(fields.table(train, "refit"))),
            ("Examples", fmt.count(fields.number(train, "examples"))),
            ("Rate", f"{fmt.count(speed)} examples/s" if speed is not None else ""),
            ("Strategy", _strategy(train)),
            ("Arithmetic", _arithmetic(train)),
            ("Went on", f"{fmt.counted(resumed, 'time')} from a checkpoint" if resumed else ""),
        ]
    )


def _ended(train: dict[str, Any]) -> str:
    stopped = fields.text(train, "stopped")
    return f"{stopped}; the best weights until then are kept" if train.get("budget_stopped") else stopped


def _refit(refit: dict[str, Any]) -> str:
    epochs, seconds = fields.number(refit, "epochs"), fields.number(refit, "seconds")
    return f"{fmt.counted(epochs, 'epoch')} on all examples, {fmt.duration(seconds)}" if epochs and seconds else ""


def _strategy(train: dict[str, Any]) -> str:
    """How training was distributed, and why."""
    batch, rate = fields.number(train, "batch_size"), fields.number(train, "learning_rate")
    steps = [f"{fmt.count(batch)} examples a step"] if batch is not None else []
    steps += [f"learning rate {rate:.3g}"] if rate is not None else []
    said = [fields.text(train, "strategy"), fields.text(train, "strategy_reason"), *steps]
    return ", ".join(part for part in said if part)


def _arithmetic(train: dict[str, Any]) -> str:
    """What was computed with, and why."""
    precision, xla = fields.text(train, "precision"), " with XLA" if train.get("xla") is True else ""
    reason = fields.text(train, "arithmetic_reason")
    return f"{precision}{xla}" + (f" ({reason})" if reason else "") if precision else ""


def _network(train: dict[str, Any]) -> str:
    """The network's kind and its settings that are neither zero nor empty."""
    settings = fields.table(train, "network")
    if not settings:
        return fields.text(train, "network")
    shown = {fields.line(key).replace("_", " "): _setting(value) for key, value in settings.items() if value}
    return ", ".join([shown.pop("kind", "network"), *(f"{key} {value}" for key, value in list(shown.items())[:12])])


def _setting(value: Any) -> str:
    return "-".join(map(fields.line, value)) if isinstance(value, list) else fields.line(value)


def _layers(train: dict[str, Any]) -> Html:
    layers = fields.table(train, "layers")
    kinds = [("reused", "Reused as they were:"), ("remapped", "Remapped by token:"), ("new", "New:")]
    if not layers:
        return EMPTY
    rows = [
        [name, fmt.count(fields.number(one, "kept")), fmt.count(fields.number(one, "new"))]
        for name, one in list(fields.tables(layers, "rows").items())[:MOST_VOCABULARIES]
    ]
    return element(
        "div",
        *(chips(title, fields.names(layers, key)) for key, title in kinds),
        facts([("Optimizer state", fields.text(layers, "optimizer"))]),
        table(["Feature", "Rows kept", "Rows new"], rows, ["Rows kept", "Rows new"]),
    )
