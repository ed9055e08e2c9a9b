"""Paces the requests of API callers, so that each pass of the event loop stays short, however many requests run.

Rule: a pass makes a few steps of requests, and fewer after a long pass. The other steps wait for the next passes, in
the order in which they came. What Slack sends is not paced, so that it waits for one pass at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

MOST_STEPS = 16  # in one pass; a step takes from 0.1 ms (a word) to some milliseconds (a full buffer of words)
LONG_PASS_S = 0.01


class Pacer:
    """Spreads steps over passes of the event loop."""

    def __init__(self) -> None:
        self._steps = MOST_STEPS  # that one pass may make at present
        self._left = MOST_STEPS  # in this pass
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_scheduled = False
        self._began_at = 0.0  # this pass

    async def step(self) -> None:
        """Return when the caller may make its next step: at once, unless many others make one."""
        if self._left and not self._waiting:
            self._left -= 1
            self._schedule()
            return
        allowed = asyncio.get_running_loop().create_future()
        self.call(partial(_allow, allowed))
        await allowed

    def call(self, step: Callable[[], object]) -> None:
        """Make this step in its turn, in a later pass."""
        self._waiting.append(step)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._pass)

    def _pass(self) -> None:
        self._adapt()
        self._left, self._is_scheduled = self._steps, False
        while self._left and self._waiting:
            self._left -= 1
            self._waiting.popleft()()
        if self._left < self._steps:
            self._schedule()

    def _adapt(self) -> None:
        """Allow fewer steps after a long pass, and more after a short one."""
        now = asyncio.get_running_loop().time()
        is_long = self._waiting and now - self._began_at > LONG_PASS_S  # without any waiting, the loop may have slept
        self._steps = max(1, self._steps // 2) if is_long else min(MOST_STEPS, self._steps + 1)
        self._began_at = now


def _allow(allowed: asyncio.Future[None]) -> None:
    if not allowed.done():  # its task was cancelled
        allowed.set_result(None)
