"""Dominance, and names beside marks."""

import re

from hypothesis import given
from hypothesis import strategies as st

from components.report.axes import Box, is_free
from components.report.labels import HEIGHT, Name, names
from components.report.pareto import dominated, front

PLACES = st.lists(st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(float)), min_size=1, max_size=12)
ROOM = (54.0, 30.0, 450.0, 260.0)


def test_the_front_is_what_none_other_beats_in_both() -> None:
    places = [(10.0, 0.70), (20.0, 0.72), (30.0, 0.71), (20.0, 0.69), (40.0, 0.72)]
    assert front(places, higher_is_better=True) == [(10.0, 0.70), (20.0, 0.72)]
    assert front(places, higher_is_better=False) == [(10.0, 0.70), (20.0, 0.69)]


def test_equals_do_not_dominate_each_other() -> None:
    assert not dominated((1.0, 0.7), [(1.0, 0.7), (1.0, 0.7)], higher_is_better=True)
    assert dominated((1.0, 0.7), [(1.0, 0.8)], higher_is_better=True)
    assert not dominated((1.0, 0.7), [(1.0, 0.8)], higher_is_better=False)


@given(PLACES, st.booleans())
def test_every_place_is_on_the_front_or_beaten_by_one_that_is(
    places: list[tuple[float, float]], higher_is_better: bool
) -> None:
    best = front(places, higher_is_better)
    assert best
    assert not [one for one in best if dominated(one, places, higher_is_better)]
    assert all(place in best or dominated(place, best, higher_is_better) for place in places)


def drawn(wanted: list[Name], taken: list[Box]) -> dict[str, Box]:
    """The boxes of the names, as they were drawn."""
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)', names(wanted, taken, ROOM))
    width = {name.words: name.width for name in wanted}
    return {words: (float(x), float(y) + 3 - HEIGHT, float(x) + width[words], float(y) + 3) for x, y, words in found}


def assert_apart(boxes: list[Box], taken: list[Box]) -> None:
    shrunk = [(left + 0.1, top + 0.1, right - 0.1, bottom - 0.1) for left, top, right, bottom in boxes]
    for index, box in enumerate(shrunk):
        assert is_free(box, [*shrunk[:index], *shrunk[index + 1 :], *taken])
        assert ROOM[0] <= box[0] and box[2] <= ROOM[2] and ROOM[1] <= box[1] and box[3] <= ROOM[3]


@given(st.lists(st.tuples(st.floats(60, 440), st.floats(40, 250)), max_size=40))
def test_no_name_lies_upon_another_or_upon_a_mark(marks: list[tuple[float, float]]) -> None:
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in marks]
    wanted = [Name(f"low_rank+variant{index}", x, y, "name") for index, (x, y) in enumerate(marks)]
    assert_apart(list(drawn(wanted, taken).values()), taken)


def test_fourteen_variants_in_one_place_are_all_named() -> None:
    taken = [(92.0, 92.0, 110.0, 110.0)]
    wanted = [Name(f"low_rank+quantization_aware{index}", 101.0, 101.0, "name") for index in range(14)]
    assert len(drawn(wanted, taken)) == 14
    text = names(wanted, taken, ROOM)
    assert 8 <= text.count('class="leader"') <= 13, "names that lie far off are led to"


def test_a_name_without_room_is_left_out() -> None:
    assert drawn([Name("x" * 80, 100.0, 100.0, "name")], []) == {}
