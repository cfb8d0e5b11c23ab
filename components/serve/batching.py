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
from itertools import accumulate
from typing import Any

from components.serve.answers import RefusalError, overloaded
from components.serve.cache import Row
from components.serve.cost import Cost
from components.serve.counters import Counters
from components.serve.limits import Limits

Predict = Callable[[list[Row]], list[Any]]
MAX_JOINED = 1024
"""Rows, or what takes as long as so many, in one call of the thread, unless one request has more: so that the first
need not wait for all the others."""
MAX_WAITING_ROWS = 32_768
"""Rows that wait, of which each may need a kilobyte; one request alone may have more."""


@dataclass
class RowError(Exception):
    """One row cannot be predicted; the others of the call are not to blame."""

    row: Row
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    rows: list[Row]
    weight: int
    """The rows that would take as long: more than there are where images are large."""
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

    async def predict(self, rows: list[Row], pixels: int = 0) -> list[Any]:
        """The predictions of one request's rows.

        Args:
            rows: what is asked.
            pixels: that their images have beyond those of the rows that the cost was measured with.

        Raises:
            RefusalError: the queue is full, or the prediction did not come in time.
            RowError: a row cannot be predicted.
        """
        weight = len(rows) + self.cost.rows_worth(pixels) if pixels else len(rows)
        if weight > self._here_rows:
            return await self._in_thread(rows, weight)
        if self._joins:
            return await self._join(rows, weight)
        self._counters.batch.add(len(rows))
        return self._here(rows)

    def close(self) -> None:
        """Lets the thread end when it has answered what waits for it; requests that still come are answered too."""
        self._closing = True
        self._end_idle_thread()

    def _enqueue(self, queue: deque[_Waiting], rows: list[Row], weight: int) -> "asyncio.Future[list[Any]]":
        if len(queue) >= self._limits.max_queue:
            raise overloaded(f"{len(queue)} requests are waiting for this model already; try again later")
        ahead = self._waiting_rows
        if ahead and (ahead + weight > MAX_WAITING_ROWS or self.cost.of(ahead) > self._limits.timeout_s):
            raise overloaded(f"{ahead} instances are waiting for this model already; try again later")
        self._waiting_rows += weight
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        queue.append(_Waiting(rows, weight, answered))
        return answered

    def _join(self, rows: list[Row], weight: int) -> "asyncio.Future[list[Any]]":
        answered = self._enqueue(self._joined, rows, weight)
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
            _answer(batch, _try(self._here, batch))
        if self._joined:  # too many for one pass: the loop answers others in between
            asyncio.get_running_loop().call_soon(self._predict_joined, len(self._joined))

    async def _in_thread(self, rows: list[Row], weight: int) -> list[Any]:
        answered = self._enqueue(self._queued, rows, weight)
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
        _answer(batch, done.result())
        self._start_thread()

    def _end_idle_thread(self) -> None:
        if self._closing and self._thread is not None and not self._thread_busy:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _take(self, queue: deque[_Waiting], most: int) -> list[_Waiting]:
        """The next requests, up to so many rows, and one at least; those whose client did not wait are left out."""
        batch: list[_Waiting] = []
        rows = 0
        while queue and (not batch or rows + queue[0].weight <= most):
            one = queue.popleft()
            self._waiting_rows -= one.weight
            if not one.answered.done():
                batch.append(one)
                rows += one.weight
        return batch


def _try(predict: Predict, batch: list[_Waiting]) -> list[list[Any] | Exception]:
    """For each request its predictions, or what it is told instead."""
    try:
        predictions = predict([row for one in batch for row in one.rows])
    except RowError as error:  # of one request: the others are asked again without it
        return [error] if len(batch) == 1 else [outcome for one in batch for outcome in _try(predict, [one])]
    except Exception as error:  # goes to those who asked, who name it
        return [error] * len(batch)
    ends = list(accumulate(len(one.rows) for one in batch))
    return [predictions[end - len(one.rows) : end] for one, end in zip(batch, ends)]


def _answer(batch: list[_Waiting], outcomes: list[list[Any] | Exception]) -> None:
    for one, outcome in zip(batch, outcomes):
        if one.answered.done():
            continue
        if isinstance(outcome, Exception):
            one.answered.set_exception(outcome)
        else:
            one.answered.set_result(outcome)
