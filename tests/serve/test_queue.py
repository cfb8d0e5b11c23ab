"""The queue before a model: bounded by rows, and answered to its end when a version goes."""

import asyncio
import threading
from typing import Any

import pytest

from components.serve.answers import RefusalError
from components.serve.batching import MAX_WAITING_ROWS, Batcher, RowError
from components.serve.cost import Cost
from components.serve.counters import Counters
from components.serve.limits import Limits

SLOW = Cost(one_s=0.01, row_s=1e-5, join_s=0)
ROW = (1.0,)


def batcher(predict: Any, **limits: Any) -> Batcher:
    return Batcher(predict, predict, SLOW, Limits(**limits), Counters())


def test_what_waits_when_a_version_goes_is_answered_and_so_is_what_comes_late() -> None:
    go = threading.Event()

    def predict(rows: list[Any]) -> list[float]:
        go.wait(5)
        return [row[0] for row in rows]

    async def ask() -> list[Any]:
        made = batcher(predict, timeout_s=5)
        first = asyncio.ensure_future(made.predict([(1.0,)]))
        await asyncio.sleep(0.05)
        others = [asyncio.ensure_future(made.predict([(float(number),)])) for number in range(2, 6)]
        await asyncio.sleep(0)
        made.close()
        go.set()
        answers = await asyncio.gather(first, *others)
        late = await made.predict([(9.0,)])
        await asyncio.sleep(0)
        assert made._thread is None, "its thread goes with the last answer"
        return [*answers, late]

    assert asyncio.run(ask()) == [[1.0], [2.0], [3.0], [4.0], [5.0], [9.0]]


@pytest.mark.parametrize(
    "rows, limits", [(MAX_WAITING_ROWS, {}), (2000, {"timeout_s": 0.02})], ids=["memory", "more than can be in time"]
)
def test_more_rows_than_can_wait_are_refused_at_once(rows: int, limits: dict[str, Any]) -> None:
    go = threading.Event()

    async def ask() -> None:
        made = batcher(lambda rows: [0.0 for _ in rows] if go.wait(5) else [], **limits)
        busy = asyncio.ensure_future(made.predict([ROW]))
        await asyncio.sleep(0.005)
        waiting = asyncio.ensure_future(made.predict([ROW] * rows))
        await asyncio.sleep(0)
        with pytest.raises(RefusalError) as refused:
            await made.predict([ROW])
        assert refused.value.status == 503
        go.set()
        await asyncio.gather(busy, waiting, return_exceptions=True)
        if not limits:
            assert await made.predict([ROW]) == [0.0]

    asyncio.run(ask())


def test_large_images_go_to_the_thread_and_count_as_what_they_cost() -> None:
    """A row with 2,000 pixels too many, of 1 us each, takes as long as 21 rows of 100 us."""
    threads, go = [], threading.Event()

    def predict(rows: list[Any]) -> list[float]:
        threads.append(threading.current_thread() is threading.main_thread())
        if not threads[-1]:
            go.wait(5)
        return [0.0 for _ in rows]

    async def ask() -> None:
        cost = Cost(one_s=1e-4, row_s=1e-4, join_s=0, pixel_s=1e-6)
        made = Batcher(predict, predict, cost, Limits(timeout_s=0.5), Counters())
        await made.predict([ROW], pixels=500)
        assert threads == [True]
        waiting = [asyncio.ensure_future(made.predict([ROW], pixels)) for pixels in (2000, 600_000)]
        await asyncio.sleep(0.05)
        assert threads == [True, False]
        with pytest.raises(RefusalError) as refused:
            await made.predict([ROW], pixels=2000)
        assert refused.value.status == 503
        go.set()
        await asyncio.gather(*waiting)

    asyncio.run(ask())


def test_a_row_that_cannot_be_predicted_fails_its_own_request_only() -> None:
    go, calls = threading.Event(), []

    def predict(rows: list[Any]) -> list[float]:
        calls.append(len(rows))
        go.wait(5)
        bad = [row for row in rows if row[0] < 0]
        if bad:
            raise RowError(bad[0], "it is bad")
        return [row[0] for row in rows]

    async def ask() -> list[Any]:
        made = batcher(predict)
        asked = [asyncio.ensure_future(made.predict([(value,), (2.0,)])) for value in (0.0, 1.0, -1.0, 3.0)]
        await asyncio.sleep(0.05)
        go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, bad, last = asyncio.run(ask())
    assert (first, second, last) == ([0.0, 2.0], [1.0, 2.0], [3.0, 2.0])
    assert isinstance(bad, RowError) and bad.row == (-1.0,)
    assert calls == [2, 6, 2, 2, 2]
