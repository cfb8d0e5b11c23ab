"""What a prediction costs, measured when a version is loaded, and what follows from it."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

Predict = Callable[[list[Any]], Any]
BATCH = 16
BLOCK_S = 0.002
"""The longest that one prediction may hold up the event loop; a longer one is left to a thread."""
BUDGET_S = 0.25
"""Time spent on measuring one batch size."""
ROUNDS = 60


@dataclass(frozen=True)
class Cost:
    """Seconds: of a call of one row, of each further row, of joining a request with others, of a pixel too many."""

    one_s: float
    row_s: float
    join_s: float
    pixel_s: float = 0.0
    """Of each pixel, or byte of its file, that an image has beyond the example's."""

    def of(self, rows: int) -> float:
        """Seconds that one call of so many rows takes."""
        return self.one_s + (rows - 1) * self.row_s

    def rows_worth(self, pixels: int) -> int:
        """How many rows take as long as so many pixels beyond the example's."""
        return math.ceil(pixels * self.pixel_s / max(self.row_s, 1e-9))

    @property
    def joins(self) -> bool:
        """Whether one call for 16 requests costs less than 16 calls, with what it costs to join them."""
        return self.of(BATCH) + BATCH * self.join_s < 0.9 * BATCH * self.one_s

    @property
    def blocks(self) -> bool:
        """Whether even one row takes too long for the event loop."""
        return self.one_s > BLOCK_S

    @property
    def rows_in_a_pass(self) -> int:
        """Rows that one pass of the event loop may predict; one at least."""
        return 1 + max(0, int((BLOCK_S - self.one_s) / max(self.row_s, 1e-9)))


def measure(predict: Predict, rows: Sequence[Any], join_s: float) -> Cost:
    """Measures a version.

    Args:
        predict: predicts a list of rows.
        rows: 16 rows.
        join_s: as `measure_join` gives it.
    """
    one_s = _fastest_s(predict, list(rows[:1]))
    batch_s = _fastest_s(predict, list(rows[:BATCH]))
    return Cost(one_s, max(0.0, batch_s - one_s) / (BATCH - 1), join_s)


def measure_pixel(predict: Predict, usual: Any, larger: Any, pixels: int) -> float:
    """Seconds of each pixel, by two rows whose images are so many pixels apart."""
    return max(0.0, _fastest_s(predict, [larger]) - _fastest_s(predict, [usual])) / pixels


def _fastest_s(predict: Predict, rows: list[Any]) -> float:
    """The fastest of some calls: what others do on the machine meanwhile can only slow a call down."""
    predict(rows)  # the first call sets up buffers
    fastest, until = float("inf"), time.perf_counter() + BUDGET_S
    for _ in range(ROUNDS):
        started = time.perf_counter()
        predict(rows)
        ended = time.perf_counter()
        fastest = min(fastest, ended - started)
        if ended > until:
            break
    return fastest


async def measure_join() -> float:
    """Seconds that a request pays for waiting for a call that it shares: a future, and being resumed."""
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.Future[None]] = []

    async def wait() -> None:
        future = loop.create_future()
        waiting.append(future)
        await future

    async def return_at_once() -> None:
        pass

    async def seconds(task: Callable[[], Coroutine[Any, Any, None]]) -> float:
        started = time.perf_counter()
        tasks = [loop.create_task(task()) for _ in range(BATCH)]
        await asyncio.sleep(0)
        for future in waiting:
            future.set_result(None)
        waiting.clear()
        await asyncio.wait(tasks)
        return time.perf_counter() - started

    pairs = [(await seconds(wait), await seconds(return_at_once)) for _ in range(50)]
    waits, returns = zip(*pairs)
    join_s: float = (min(waits) - min(returns)) / BATCH
    return max(0.0, join_s)
