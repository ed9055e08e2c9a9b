"""Pool: the few threads that run the store's transactions, and their two queues.

Rule: the urgent queue goes first. Each queue is first in, first out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")


class Pool:
    """Threads that take work from two queues."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._urgent: deque[Callable[[], None]] = deque()
        self._normal: deque[Callable[[], None]] = deque()

    def submit(self, work: Callable[[], T], *, urgent: bool) -> Future[T]:
        """Queue a piece of work and return its future. Work that is cancelled before it starts does not run."""
        future: Future[T] = Future()
        (self._urgent if urgent else self._normal).append(partial(_run, work, future))
        self._threads.submit(self._run_next)
        return future

    def close(self) -> None:
        """Run all queued work, then stop the threads."""
        self._threads.shutdown()

    def _run_next(self) -> None:
        try:
            run = self._urgent.popleft()
        except IndexError:  # each call has its piece of work, so the other queue is not empty
            run = self._normal.popleft()
        run()


def _run(work: Callable[[], T], future: Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
        raise  # the executor's own future has it too, and no code reads that one
