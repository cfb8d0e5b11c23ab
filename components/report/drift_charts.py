"""The small charts of one column's drift."""

from collections.abc import Sequence

from components.report import format as fmt
from components.report.axes import Axis
from components.report.markup import Html, element
from components.report.svg import LETTER, box, drawing, line, text

WIDTH = 230.0
HEIGHT = 116.0


def distribution(
    title: str, bins: Sequence[str], ends: Sequence[str], then: Sequence[float], now: Sequence[float], over: bool
) -> Html:
    """Shares by bin: filled bars are now, the stepped outline is then.

    Args:
        title: the chart's name.
        bins: a name for each bin, shown when pointed at.
        ends: names of the first and the last end; empty for the name of each bin below it.
        then, now: a share of each bin.
        over: whether the column is over its limit.
    """
    count = max(len(then), len(now), 1)
    top = max([*then, *now, 0.0]) or 1.0
    slot = WIDTH / count
    base = HEIGHT - 20
    heights = [[min(value / top, 1.0) * (base - 4) for value in values] for values in (then, now)]
    bars = [
        box(index * slot + slot * 0.12, base - height, slot * 0.76, height, "bad-bar" if over else "now-bar")
        for index, height in enumerate(heights[1])
    ]
    outline = element("path", d=_steps(heights[0], slot, base), class_="outline")
    tips = [box(i * slot, 0, slot, base, "touch", _share_tip(i, bins, then, now)) for i in range(count)]
    floor = line(0, base, WIDTH, base, "axis-line")
    return drawing(title, WIDTH, HEIGHT, *bars, floor, outline, *_below(bins, ends), *tips)


def _steps(heights: Sequence[float], slot: float, base: float) -> str:
    steps = "".join(f"V{base - height:.1f}H{(index + 1) * slot:.1f}" for index, height in enumerate(heights))
    return f"M0 {base:.1f}{steps}V{base:.1f}"


def _share_tip(index: int, bins: Sequence[str], then: Sequence[float], now: Sequence[float]) -> str:
    name = bins[index] if index < len(bins) else f"bin {index + 1}"
    shares = [fmt.share(values[index]) if index < len(values) else fmt.NONE for values in (then, now)]
    return f"{name}: {shares[0]} before, {shares[1]} now"


def _below(bins: Sequence[str], ends: Sequence[str]) -> list[Html]:
    y = HEIGHT - 4
    if ends:
        first, last = (fmt.clipped(name, 17) for name in ends)
        return [text(0, y, first, class_="tick"), text(WIDTH, y, last, "end", "tick")]
    slot = WIDTH / max(len(bins), 1)
    fits = max(int(slot / LETTER), 2)
    return [text((i + 0.5) * slot, y, fmt.clipped(name, fits), "middle", "tick") for i, name in enumerate(bins)]


def meter(distance: float, limit: float | None, largest: float) -> Html:
    """How far a column drifted, with its limit marked, on a scale that all columns share."""
    over = limit is not None and distance > limit
    axis = Axis(0.0, largest or 1.0, 0.0, WIDTH, (0.0,))
    words = f"distance {fmt.quality(distance)}" + (f", limit {fmt.quality(limit)}" if limit is not None else "")
    bar = box(0, 4, axis(distance), 6, "bad-bar" if over else "now-bar")
    mark = [line(axis(limit), 0, axis(limit), 14, "limit", words)] if limit is not None else []
    return drawing(words, WIDTH, 14, box(0, 4, WIDTH, 6, "track"), bar, *mark)
