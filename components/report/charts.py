"""The report's charts as SVG, drawn by hand: no script, no library.

Every chart has a title for screen readers, and every mark one that shows when pointed at. Colours come from the style
sheet by class: `now` (this run), `then` (what it is compared with), `bad` (over a limit or refused), `quiet`. No colour
stands alone: shape, dash or text says the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.report import format as fmt
from components.report.axes import Axis, nice_axis, whole_ticks
from components.report.markup import Html, element, join
from components.report.svg import box, drawing, line, text

WIDTH = 460.0
HEIGHT = 250.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 18.0, 30.0, 42.0
ROW = 22.0
GUTTER = 132.0
VALUES = 74.0


@dataclass(frozen=True)
class Series:
    """A line: points (x, y) in order, and the class that gives it its colour and dash."""

    name: str
    points: Sequence[tuple[float, float]]
    class_: str


@dataclass(frozen=True)
class Dots:
    """A row of a dot plot: a value and what it is compared with."""

    name: str
    now: float | None
    then: float | None
    tip: str


@dataclass(frozen=True)
class Span:
    """A row of the timeline: process start, work and end in seconds; `note` stands where there is no bar."""

    name: str
    start: float
    work: float
    end: float
    class_: str
    value: str
    tip: str
    note: str = ""


def frame(x: Axis, y: Axis, x_label: str, y_label: str) -> Html:
    """Grid lines, ticks and labels; the label of y stands above its axis, where it can be read."""
    parts = [text(0, 14, y_label, class_="axis"), text(x.end, y.start + BOTTOM - 4, x_label, "end", "axis")]
    for tick in y.ticks:
        parts += [
            line(x.start, y(tick), x.end, y(tick), "grid"),
            text(x.start - 8, y(tick) + 4, y.label(tick), "end", "tick"),
        ]
    for tick in x.ticks:
        parts += [
            line(x(tick), y.start, x(tick), y.start + 4, "axis-line"),
            text(x(tick), y.start + 17, x.label(tick), "middle", "tick"),
        ]
    return join([*parts, line(x.start, y.start, x.end, y.start, "axis-line")])


def line_chart(title: str, series: Sequence[Series], x_label: str, y_label: str, best: float | None) -> Html:
    """Lines over whole numbers, epochs for example; `best` marks one of them with a line from top to bottom."""
    points = [point for one in series for point in one.points]
    epochs = [round(x) for x, _ in points] or [0]
    x = whole_ticks(min(epochs), max(epochs), LEFT, WIDTH - RIGHT)
    y = nice_axis((value for _, value in points), HEIGHT - BOTTOM, TOP, count=4)
    parts = [frame(x, y, x_label, y_label)]
    if best is not None:
        middle = min(max(x(best), LEFT + 20), WIDTH - RIGHT - 20)
        parts += [line(x(best), TOP, x(best), HEIGHT - BOTTOM, "mark"), text(middle, TOP - 5, "best", "middle", "tick")]
    return drawing(title, WIDTH, HEIGHT, *parts, *(_curve(one, x, y, x_label) for one in series))


def _curve(series: Series, x: Axis, y: Axis, of: str) -> Html:
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in series.points)
    marks = [
        element(
            "circle", element("title", f"{series.name}, {of} {fmt.count(a)}: {fmt.quality(b)}"), cx=x(a), cy=y(b), r=3
        )
        for a, b in series.points
    ]
    curve = element("polyline", points=path, class_="curve")
    return element("g", curve, *marks, class_=series.class_)


def calibration(title: str, bins: Sequence[tuple[float, float, float]], x_label: str, y_label: str) -> Html:
    """Observed against predicted; each point's area tells its rows, the diagonal is perfect calibration.

    Args:
        title: the chart's name.
        bins: (predicted, observed, rows) of each bin.
        x_label, y_label: names of the axes.
    """
    values = [value for predicted, observed, _ in bins for value in (predicted, observed)]
    x = nice_axis(values, LEFT, WIDTH - RIGHT, from_zero=True)
    y = nice_axis(values, HEIGHT - BOTTOM, TOP, from_zero=True)
    largest = max((rows for _, _, rows in bins), default=0.0) or 1.0
    path = " ".join(f"{x(predicted):.1f},{y(observed):.1f}" for predicted, observed, _ in bins)
    diagonal = line(x.start, y.start, x.end, y.end, "level", "perfect calibration")
    dots = [_bin_dot(one, x, y, 2.5 + 6.5 * (max(one[2], 0.0) / largest) ** 0.5) for one in bins]
    curve = element("g", element("polyline", points=path, class_="curve"), *dots, class_="now calibration")
    return drawing(title, WIDTH, HEIGHT, frame(x, y, x_label, y_label), diagonal, curve)


def _bin_dot(one: tuple[float, float, float], x: Axis, y: Axis, radius: float) -> Html:
    predicted, observed, rows = one
    tip = f"predicted {fmt.quality(predicted)}, observed {fmt.quality(observed)}, {fmt.counted(rows, 'row')}"
    return element("circle", element("title", tip), cx=x(predicted), cy=y(observed), r=radius)


def dot_plot(title: str, rows: Sequence[Dots], axis_values: Iterable[float], level: float | None) -> Html:
    """A row for each slice: a dot for this run, a diamond for what it is compared with, a line at the overall value."""
    height = TOP + ROW * len(rows) + 26
    x = nice_axis(axis_values, GUTTER, WIDTH - VALUES, count=4)
    parts: list[str] = []
    for tick in x.ticks:
        parts += [
            line(x(tick), TOP - 6, x(tick), height - 24, "grid"),
            text(x(tick), height - 8, x.label(tick), "middle", "tick"),
        ]
    if level is not None:
        parts += [line(x(level), TOP - 6, x(level), height - 24, "mark", f"all rows: {fmt.quality(level)}")]
        parts += [text(x(level), TOP - 11, "all", "middle", "tick")]
    parts += [_dots(row, x, TOP + ROW * (index + 0.5)) for index, row in enumerate(rows)]
    return drawing(title, WIDTH, height, *parts)


def _dots(row: Dots, x: Axis, y: float) -> Html:
    parts: list[str] = [element("title", row.tip), text(GUTTER - 12, y + 4, fmt.clipped(row.name, 19), "end", "name")]
    if row.now is not None and row.then is not None:
        parts.append(line(x(row.then), y, x(row.now), y, "link"))
    if row.then is not None:
        parts.append(element("path", d=f"M{x(row.then):.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z", class_="diamond"))
    if row.now is not None:
        parts.append(element("circle", cx=x(row.now), cy=y, r=4.5, class_="now-fill"))
    return element("g", *parts, text(WIDTH, y + 4, fmt.quality(row.now), "end", "tick"))


def timeline(title: str, spans: Sequence[Span], total_s: float) -> Html:
    """A bar for each step from its process's start to its end, on the run's clock.

    Its rows are HTML, so that the words keep their size on a narrow screen while the bars shrink.
    """
    x = nice_axis([total_s], 0.0, 100.0, count=4, from_zero=True)
    ticks = [element("span", f"{x.label(tick)} s", style=f"left:{x(tick):.2f}%") for tick in x.ticks]
    axis = element("div", element("span"), element("span", *ticks, class_="ticks"), class_="row", aria_hidden="true")
    return element("div", *(_span(span, x) for span in spans), axis, class_="timeline", role="group", aria_label=title)


def _span(span: Span, x: Axis) -> Html:
    middle = element("span", span.note, class_="note") if span.note else _bars(span, x)
    name = element("span", span.name, class_="step")
    return element("div", name, middle, element("span", span.value, class_="n"), class_="row", title=span.tip)


def _bars(span: Span, x: Axis) -> Html:
    grid = [line(x(tick), 0, x(tick), 22, "grid") for tick in x.ticks]
    startup = box(x(span.start), 5, x(span.work) - x(span.start), 12, "startup")
    work = box(x(span.work), 5, max(x(span.end) - x(span.work), 0.4), 12, span.class_)
    drawn = join([*grid, startup, work])
    return element("svg", drawn, viewBox="0 0 100 22", preserveAspectRatio="none", aria_hidden="true")
