"""Paces the requests of API callers, so that each pass of the event loop stays short, however many requests run.

Rule: a pass makes a few steps of requests. The others wait for the next passes, in the order in which they came. What
Slack sends is not paced, so it waits for one pass at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

STEPS = 8  # in one pass; each takes up to a millisecond


class Pacer:
    """Spreads steps over passes of the event loop."""

    def __init__(self, steps: int = STEPS) -> None:
        """`steps`: how many one pass makes."""
        self._steps = steps
        self._left = steps  # in this pass
        self._waiting: deque[Callable[[], object]] = deque()
        self._passing = False  # the next pass is scheduled

    async def step(self) -> None:
        """Return when the caller may make its next step: often at once."""
        if self._left and not self._waiting:
            self._take()
            return
        allowed = asyncio.get_running_loop().create_future()
        self.call(partial(_allow, allowed))
        await allowed

    def call(self, step: Callable[[], object]) -> None:
        """Make this step when it is its turn, at the earliest after this pass."""
        self._waiting.append(step)
        self._schedule()

    def _take(self) -> None:
        self._left -= 1
        self._schedule()

    def _schedule(self) -> None:
        if not self._passing:
            self._passing = True
            asyncio.get_running_loop().call_soon(self._pass)

    def _pass(self) -> None:
        self._left, self._passing = self._steps, False
        while self._left and self._waiting:
            self._take()
            self._waiting.popleft()()


def _allow(allowed: asyncio.Future[None]) -> None:
    if not allowed.done():  # its task was cancelled
        allowed.set_result(None)
