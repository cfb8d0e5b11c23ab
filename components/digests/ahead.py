"""Does slow reading in threads, a little ahead of whoever takes the results."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
THREADS = 8
"""More than there are cores: disks and object stores answer several questions at once."""


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int = THREADS
) -> Generator[Result, None, None]:
    """The function's results in the order of the items.

    At most twice as many items as there are threads are begun before the first of them is taken. Whoever may stop early
    closes the generator: only then no thread is at work any more.

    Raises:
        Exception: what the function raised for an item, when it is that item's turn; the others are not begun then.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
