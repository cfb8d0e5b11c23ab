"""The Pareto picture: what variants cost against how good they are.

Marks that none other beats in both are joined by a line, the front; dominated ones are hollow and grey. Limits are
lines, and what lies beyond them is shaded. A bar is the 95 % interval of the quality: it must not reach into the shade.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from components.report import format as fmt
from components.report.axes import Axis, Box, LogAxis, is_free, log_axis, nice_axis
from components.report.charts import BOTTOM, LEFT, RIGHT, TOP, WIDTH, frame
from components.report.labels import Name, names
from components.report.markup import Html, element, join
from components.report.pareto import Place
from components.report.svg import LETTER, box, drawing, line, text

HEIGHT = 310.0
LOG_RATIO = 4.0
"""Values that span more than this ratio lie on a logarithmic axis."""
CHOSEN, FRONT, DOMINATED, REFUSED = "chosen", "front", "dominated", "refused"
_FIRST_NAMED = (CHOSEN, FRONT, REFUSED, DOMINATED)


@dataclass(frozen=True)
class Mark:
    """One variant: what it costs (x), how good it is (y), and what became of it."""

    name: str
    x: float
    y: float
    state: str
    tip: str
    bar: tuple[float, float] | None = None
    """The interval of y."""
    reach: float | None = None
    """The figure that the limit of x is about, where it is not x itself: a thin line leads to it."""


@dataclass(frozen=True)
class Level:
    """A value with a name, drawn as a line."""

    name: str
    value: float


@dataclass(frozen=True)
class Picture:
    """All that is drawn: the more costly the farther right."""

    title: str
    x_label: str
    y_label: str
    marks: Sequence[Mark]
    front: Sequence[Place]
    higher_is_better: bool
    cost_limit: Level | None = None
    """What lies right of it is not allowed."""
    quality_limit: Level | None = None
    """What is worse is not allowed."""
    level: Level | None = None
    """What all are compared with."""


def pareto_chart(picture: Picture) -> Html:
    """Draws the picture; `picture` has at least one mark."""
    x, y = _cost_axis(picture), _quality_axis(picture)
    x_label = picture.x_label + (", log scale" if isinstance(x, LogAxis) else "")
    taken = [covered for mark in picture.marks for covered in _covered(mark, x, y)]
    shades = join([_cost_limit(picture.cost_limit, x, y, taken), _quality_limit(picture, x, y, taken)])
    level = _level(picture.level, x, y, taken)
    marks = [_mark(mark, x, y) for mark in picture.marks]
    named = sorted(picture.marks, key=lambda mark: _FIRST_NAMED.index(mark.state))
    words = names([_name(mark, x, y) for mark in named], taken, (x.start + 2, y.end - 6, WIDTH, y.start - 2))
    drawn = [frame(x, y, x_label, picture.y_label), shades, level, _stairs(picture.front, x, y), *marks, words]
    return drawing(picture.title, WIDTH, HEIGHT, *drawn)


def _cost_axis(picture: Picture) -> Axis:
    values = [mark.x for mark in picture.marks] + [mark.reach for mark in picture.marks if mark.reach is not None]
    values += [picture.cost_limit.value] if picture.cost_limit else []
    if min(values) > 0 and max(values) / min(values) > LOG_RATIO:
        return log_axis(values, LEFT, WIDTH - RIGHT)
    return nice_axis(values, LEFT, WIDTH - RIGHT)


def _quality_axis(picture: Picture) -> Axis:
    values = [mark.y for mark in picture.marks] + [end for mark in picture.marks for end in mark.bar or ()]
    values += [level.value for level in (picture.quality_limit, picture.level) if level]
    return nice_axis(values, HEIGHT - BOTTOM, TOP, count=5)


def _covered(mark: Mark, x: Axis, y: Axis) -> list[Box]:
    """What the names must leave free: the mark and its lines."""
    place = x(mark.x), y(mark.y)
    boxes = [(place[0] - 8, place[1] - 8, place[0] + 8, place[1] + 8)]
    if mark.bar:
        boxes.append((place[0] - 3, min(y(end) for end in mark.bar), place[0] + 3, max(y(end) for end in mark.bar)))
    return boxes


def _cost_limit(limit: Level | None, x: Axis, y: Axis, taken: list[Box]) -> Html:
    if limit is None:
        return Html("")
    at, width = x(limit.value), len(limit.name) * LETTER
    left = at + 5 if at + 5 + width <= WIDTH else at - 5 - width
    taken.append((left, y.end - 16, left + width, y.end - 2))
    shade = box(at, y.end, x.end - at, y.start - y.end, "shade")
    return join(
        [
            shade,
            line(at, y.end - 14, at, y.start, "bound", limit.name),
            text(left, y.end - 5, limit.name, "start", "bound-text"),
        ]
    )


def _quality_limit(picture: Picture, x: Axis, y: Axis, taken: list[Box]) -> Html:
    limit = picture.quality_limit
    if limit is None:
        return Html("")
    at = y(limit.value)
    top, bottom = (at, y.start) if picture.higher_is_better else (y.end, at)
    shade = box(x.start, top, x.end - x.start, bottom - top, "shade")
    words = _line_name(limit.name, at, x, taken, "bound-text", not picture.higher_is_better)
    return join([shade, line(x.start, at, x.end, at, "bound", f"{limit.name}: {fmt.quality(limit.value)}"), words])


def _level(level: Level | None, x: Axis, y: Axis, taken: list[Box]) -> Html:
    if level is None:
        return Html("")
    at = y(level.value)
    words = _line_name(level.name, at, x, taken, "then-text", above=True)
    return join([line(x.start, at, x.end, at, "level", f"{level.name}: {fmt.quality(level.value)}"), words])


def _line_name(words: str, y: float, x: Axis, taken: list[Box], class_: str, above: bool) -> Html:
    """The name of a horizontal line: at one of its ends, on the side wished for where that is free.

    No other name may lie upon the line or upon its name.
    """
    width = len(words) * LETTER
    sides = (y - 17, y + 3) if above else (y + 3, y - 17)
    boxes = [(left, top, left + width, top + 14) for top in sides for left in (x.start + 4, x.end - 4 - width)]
    chosen = next((one for one in boxes if is_free(one, taken)), boxes[0])
    taken += [chosen, (x.start, y - 2, x.end, y + 2)]
    return text(chosen[0], chosen[3] - 3, words, class_=class_)


def _stairs(front: Sequence[Place], x: Axis, y: Axis) -> Html:
    """The front: the best quality that can be had for at most so much."""
    if len(front) < 2:
        return Html("")
    steps = [f"H{x(cost):.1f}V{y(quality):.1f}" for cost, quality in front[1:]]
    start = f"M{x(front[0][0]):.1f} {y(front[0][1]):.1f}"
    return element(
        "path", element("title", "the front: none other is better in both"), d=start + "".join(steps), class_="stairs"
    )


def _mark(mark: Mark, x: Axis, y: Axis) -> Html:
    at, level = x(mark.x), y(mark.y)
    parts = [element("title", mark.tip)]
    if mark.bar:
        low, high = (y(end) for end in mark.bar)
        parts.append(element("path", d=f"M{at:.1f} {low:.1f}V{high:.1f}m-3 0h6M{at - 3:.1f} {low:.1f}h6", class_="bar"))
    if mark.reach is not None:
        parts.append(element("path", d=f"M{at:.1f} {level:.1f}H{x(mark.reach):.1f}m0 -3v6", class_="reach"))
    return element("g", *parts, *_shapes(mark.state, at, level), class_=f"mark-{mark.state}")


def _shapes(state: str, x: float, y: float) -> list[Html]:
    if state == REFUSED:
        return [element("path", d=f"M{x - 4.5:.1f} {y - 4.5:.1f}l9 9m0 -9l-9 9", class_="cross")]
    dot = element("circle", cx=x, cy=y, r=4.5, class_="hollow" if state == DOMINATED else "now-fill")
    return [dot, element("circle", cx=x, cy=y, r=8.5, class_="ring")] if state == CHOSEN else [dot]


def _name(mark: Mark, x: Axis, y: Axis) -> Name:
    class_ = {CHOSEN: "name strong", DOMINATED: "name faint"}.get(mark.state, "name")
    return Name(mark.name, x(mark.x), y(mark.y), class_, mark.state == CHOSEN)
