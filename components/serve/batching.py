"""How requests reach the model: at once, joined with those that arrived with them, or in a thread.

Nothing waits for a timer. Requests are joined where a measurement at load says that a shared call is cheaper: those
whose bodies the event loop read in one pass, and in the next ones as long as each brings more. A prediction that would
hold up the loop goes to the model's thread; while that is busy, what arrives is collected for its next call.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components.serve.answers import RefusalError, overloaded
from components.serve.cache import Row
from components.serve.cost import Cost
from components.serve.counters import Counters
from components.serve.limits import Limits

Predict = Callable[[list[Row]], list[Any]]
MAX_JOINED = 1024
"""Rows in one call of the thread, unless one request has more: so that the first need not wait for all the others."""
MAX_WAITING_ROWS = 32_768
"""Rows that wait, of which each may need a kilobyte; one request alone may have more."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    rows: list[Row]
    answered: "asyncio.Future[list[Any]]"


class Batcher:
    """Predicts the rows of many requests with one version of a model."""

    def __init__(self, here: Predict, there: Predict, cost: Cost, limits: Limits, counters: Counters) -> None:
        """Takes the two ways to predict.

        Args:
            here: for the event loop.
            there: for the thread, with an interpreter of its own.
            cost: as measured.
            limits: length of the queue and time.
            counters: where batches are counted.
        """
        self.cost, self._limits, self._counters = cost, limits, counters
        self._here, self._there = here, there
        self._here_rows = 0 if cost.blocks else cost.rows_in_a_pass
        self._joins = cost.joins
        self._joined: deque[_Waiting] = deque()
        self._queued: deque[_Waiting] = deque()
        self._waiting_rows = 0
        self._thread: ThreadPoolExecutor | None = None
        self._thread_busy = False
        self._closing = False

    @property
    def waiting(self) -> int:
        """Requests that wait for a prediction that has not begun."""
        return len(self._joined) + len(self._queued)

    async def predict(self, rows: list[Row]) -> list[Any]:
        """The predictions of one request's rows.

        Raises:
            RefusalError: the queue is full, or the prediction did not come in time.
        """
        if len(rows) > self._here_rows:
            return await self._in_thread(rows)
        if self._joins:
            return await self._join(rows)
        self._counters.batch.add(len(rows))
        return self._here(rows)

    def close(self) -> None:
        """Lets the thread end when it has answered what waits for it; requests that still come are answered too."""
        self._closing = True
        self._end_idle_thread()

    def _enqueue(self, queue: deque[_Waiting], rows: list[Row]) -> "asyncio.Future[list[Any]]":
        if len(queue) >= self._limits.max_queue:
            raise overloaded(f"{len(queue)} requests are waiting for this model already; try again later")
        ahead = self._waiting_rows
        if ahead and (ahead + len(rows) > MAX_WAITING_ROWS or self.cost.of(ahead) > self._limits.timeout_s):
            raise overloaded(f"{ahead} instances are waiting for this model already; try again later")
        self._waiting_rows += len(rows)
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        queue.append(_Waiting(rows, answered))
        return answered

    def _join(self, rows: list[Row]) -> "asyncio.Future[list[Any]]":
        answered = self._enqueue(self._joined, rows)
        if len(self._joined) == 1:
            answered.get_loop().call_soon(self._predict_joined, 1)
        return answered

    def _predict_joined(self, seen: int) -> None:
        """Predicts what has gathered, unless more came since the last pass: then there is one pass more to gather.

        A lone request is predicted right away; 16 clients at once cost a fifth less time each than without that.
        """
        if seen < len(self._joined) < self._here_rows:
            asyncio.get_running_loop().call_soon(self._predict_joined, len(self._joined))
            return
        batch = self._take(self._joined, self._here_rows)
        if batch:
            self._counters.batch.add(sum(len(one.rows) for one in batch))
            _answer(batch, *_try(self._here, batch))
        if self._joined:  # too many for one pass: the loop answers others in between
            asyncio.get_running_loop().call_soon(self._predict_joined, len(self._joined))

    async def _in_thread(self, rows: list[Row]) -> list[Any]:
        answered = self._enqueue(self._queued, rows)
        self._start_thread()
        try:
            return await asyncio.wait_for(answered, self._limits.timeout_s)
        except asyncio.TimeoutError:
            message = f"there was no prediction within {self._limits.timeout_s:g} s; try again later"
            raise RefusalError(504, "timeout", message) from None

    def _start_thread(self) -> None:
        if self._thread_busy:
            return
        batch = self._take(self._queued, MAX_JOINED)
        if not batch:
            self._end_idle_thread()
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        running = asyncio.get_running_loop().run_in_executor(self._thread, _try, self._there, batch)
        self._thread_busy = True
        self._counters.batch.add(sum(len(one.rows) for one in batch))
        running.add_done_callback(lambda done: self._end_batch(batch, done))

    def _end_batch(self, batch: list[_Waiting], done: "asyncio.Future[Any]") -> None:
        self._thread_busy = False
        _answer(batch, *done.result())
        self._start_thread()

    def _end_idle_thread(self) -> None:
        if self._closing and self._thread is not None and not self._thread_busy:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _take(self, queue: deque[_Waiting], most: int) -> list[_Waiting]:
        """The next requests, up to so many rows, and one at least; those whose client did not wait are left out."""
        batch: list[_Waiting] = []
        rows = 0
        while queue and (not batch or rows + len(queue[0].rows) <= most):
            one = queue.popleft()
            self._waiting_rows -= len(one.rows)
            if not one.answered.done():
                batch.append(one)
                rows += len(one.rows)
        return batch


def _try(predict: Predict, batch: list[_Waiting]) -> tuple[list[Any], Exception | None]:
    try:
        return predict([row for one in batch for row in one.rows]), None
    except Exception as error:  # goes to those who asked, who name it
        return [], error


def _answer(batch: list[_Waiting], predictions: list[Any], error: Exception | None) -> None:
    start = 0
    for one in batch:
        if one.answered.done():
            pass
        elif error is not None:
            one.answered.set_exception(error)
        else:
            one.answered.set_result(predictions[start : start + len(one.rows)])
        start += len(one.rows)
