"""Virtual time: a loop's clock moves only while the loop is idle, and then at once to the next timer.

Rule: for tests in one process. A test may open sockets to itself, because bytes arrive before the clock moves. It may
use the loop's executor, because the clock stands still meanwhile. Computing takes no virtual time, however slow it is.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_GRACE_S = 0.005  # real time, in which bytes reach the other end of a socket of this process


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in a loop of its own that lives in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def now() -> float:
    """Return the seconds that have passed in the running loop."""
    return asyncio.get_running_loop().time()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that lives in virtual time."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.passed_s

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """See AbstractEventLoop."""
        future = super().run_in_executor(executor, func, *args)
        self._clock.jobs.add(future)
        future.add_done_callback(self._clock.jobs.discard)
        return future


class _Selector(selectors.DefaultSelector):
    """Waits for sockets as any selector does. Instead of a wait for a timer, it moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0
        self.jobs: set[asyncio.Future[Any]] = set()  # of threads

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.jobs:
            return super().select(None)  # the end of a job wakes the loop up
        ready = super().select(_GRACE_S if self._has_sockets else 0)
        if not ready:
            self.passed_s += timeout
        return ready

    @property
    def _has_sockets(self) -> bool:
        return len(self.get_map()) > 1  # the loop's own socket, which wakes it up, is always there
