"""Pool: the few threads that work for the store, and the two lines of what waits for them.

Rule: what somebody waits for within seconds goes before all else; within a line, who comes first is served first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")


class Pool:
    """Threads that do one piece of work after the other, each in the order of its line."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._urgent: deque[Callable[[], None]] = deque()
        self._others: deque[Callable[[], None]] = deque()

    def submit(self, work: Callable[[], T], *, urgent: bool) -> Future[T]:
        """Have this done when its turn comes; its outcome. What is cancelled before then is not done at all."""
        outcome: Future[T] = Future()
        (self._urgent if urgent else self._others).append(partial(_do, work, outcome))
        self._threads.submit(self._do_next)
        return outcome

    def close(self) -> None:
        """Finish all that waits."""
        self._threads.shutdown()

    def _do_next(self) -> None:
        try:
            do = self._urgent.popleft()
        except IndexError:  # as many pieces of work wait as there are calls of this
            do = self._others.popleft()
        do()


def _do(work: Callable[[], T], outcome: Future[T]) -> None:
    if not outcome.set_running_or_notify_cancel():
        return
    try:
        outcome.set_result(work())
    except BaseException as error:
        outcome.set_exception(error)
        raise  # to the executor, whose own futures nobody reads
