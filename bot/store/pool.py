"""Pool: the few threads that run the store's transactions, and their three queues.

Rule: the urgent queue goes first. The other two take turns, so that the requests of API callers, however many, and the
scheduled jobs do not delay the turns in Slack. Each queue is first in, first out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from threading import Lock
from time import perf_counter
from typing import TypeVar

from bot.metrics import DATABASE

T = TypeVar("T")

OF_OTHERS: ContextVar[bool] = ContextVar("of_others", default=False)  # this task serves an API caller, or is a job


class Pool:
    """Threads that take work from three queues."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._lock = Lock()
        self._urgent: deque[Callable[[], None]] = deque()
        self._normal: deque[Callable[[], None]] = deque()
        self._of_others: deque[Callable[[], None]] = deque()
        self._next = deque([self._normal, self._of_others])  # the last one is next

    def submit(self, work: Callable[[], T], *, urgent: bool) -> Future[T]:
        """Queue a piece of work and return its future. Work that is cancelled before it starts does not run."""
        future: Future[T] = Future()
        queue = self._urgent if urgent else self._of_others if OF_OTHERS.get() else self._normal
        queue.append(partial(_run, work, future))
        name = "urgent" if urgent else "others" if OF_OTHERS.get() else "normal"
        future.add_done_callback(partial(_measure, name, perf_counter()))
        self._threads.submit(self._run_next)
        return future

    def close(self) -> None:
        """Run all queued work, then stop the threads."""
        self._threads.shutdown()

    def _run_next(self) -> None:
        with self._lock:
            run = (self._urgent or self._next_queue()).popleft()  # not empty: each call has its piece of work
        run()

    def _next_queue(self) -> deque[Callable[[], None]]:
        self._next.rotate()
        return self._next[0] or self._next[1]


def _measure(queue: str, queued_at: float, _: Future[T]) -> None:
    DATABASE.labels(queue).observe(perf_counter() - queued_at)


def _run(work: Callable[[], T], future: Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
        raise  # the executor's own future has it too, and no code reads that one
