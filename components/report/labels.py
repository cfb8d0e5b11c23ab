"""Names beside the marks of a chart: placed so that none lies upon another or upon a mark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.report.axes import Box, is_free
from components.report.markup import Html, join
from components.report.svg import LETTER, line, text

HEIGHT = 14.0
GAP = 12.0
"""From a mark's middle to its name."""
FAR = 18.0
"""A name that lies farther from its mark than this has a line that leads to it."""
STEP_X, STEP_Y = 9.0, 5.0


@dataclass(frozen=True)
class Name:
    """The name of the mark at (x, y)."""

    words: str
    x: float
    y: float
    class_: str
    strong: bool = False

    @property
    def width(self) -> float:
        """About how wide it is, in the drawing's units."""
        return len(self.words) * LETTER * (1.1 if self.strong else 1.0)


def names(wanted: Sequence[Name], taken: Sequence[Box], room: Box) -> Html:
    """Draws the names, the first ones nearest to their marks; one for which there is no room is left out.

    Args:
        wanted: the names, the most important ones first.
        taken: boxes of what no name may cover.
        room: the box that holds all names.
    """
    covered = list(taken)
    leaders, words = [], []
    for name in wanted:
        place = next((box for box in _places(name, room) if is_free(box, covered)), None)
        if place is None:
            continue
        covered.append(place)
        words.append(text(place[0], place[3] - 3, name.words, class_=name.class_))
        if _distance(place, name.x, name.y) > FAR:
            leaders.append(line(name.x, name.y, *_nearest(place, name.x, name.y), "leader"))
    return join([*leaders, *words])


def _places(name: Name, room: Box) -> Iterator[Box]:
    """Beside the mark first, then anywhere in the room, the nearest first."""
    yield from (box for box in _beside(name) if _inside(box, room))
    yield from sorted(_anywhere(name, room), key=lambda box: _distance(box, name.x, name.y))


def _beside(name: Name) -> list[Box]:
    right, left, middle = name.x + GAP, name.x - GAP - name.width, name.x - name.width / 2
    level, above, below = name.y - HEIGHT / 2, name.y - GAP - HEIGHT, name.y + GAP
    corners = [(right, level), (left, level), (middle, above), (middle, below)]
    corners += [(right, above + 6), (right, below - 6), (left, above + 6), (left, below - 6)]
    return [_box(x, y, name.width) for x, y in corners]


def _anywhere(name: Name, room: Box) -> list[Box]:
    columns = max(int((room[2] - room[0] - name.width) // STEP_X), -1) + 1
    rows = max(int((room[3] - room[1] - HEIGHT) // STEP_Y), -1) + 1
    return [
        _box(room[0] + STEP_X * column, room[1] + STEP_Y * row, name.width)
        for column in range(columns)
        for row in range(rows)
    ]


def _box(left: float, top: float, width: float) -> Box:
    return left, top, left + width, top + HEIGHT


def _inside(box: Box, room: Box) -> bool:
    return box[0] >= room[0] and box[1] >= room[1] and box[2] <= room[2] and box[3] <= room[3]


def _nearest(box: Box, x: float, y: float) -> tuple[float, float]:
    return min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])


def _distance(box: Box, x: float, y: float) -> float:
    near_x, near_y = _nearest(box, x, y)
    return ((near_x - x) ** 2 + (near_y - y) ** 2) ** 0.5
