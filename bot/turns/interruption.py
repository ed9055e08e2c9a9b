"""The interruption of one turn. Every stop, reset, edit and deletion that ends a turn early goes through this object.

Rule: `interrupt` never waits. The step that runs at that moment is cut short, or else the next one is. Between two
steps, while the reader of the answer is slow, the model's stream is closed at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

from bot.domain.sessions import Interrupted

T = TypeVar("T")


class TurnInterrupted(Exception):  # noqa: N818 - it is no error
    """A step was cut short, or not begun, because its turn is to end."""


class Interruption:
    """Ends the steps of one turn when the turn is interrupted."""

    def __init__(self) -> None:
        self.why: Interrupted | None = None  # the newest reason counts
        self._pending = False  # no step has ended because of it yet
        self._step: asyncio.Timeout | None = None
        self._ignores: Callable[[Interrupted], bool] = _ignores_nothing
        self._close: Callable[[], Awaitable[None]] | None = None  # closes the model's stream
        self._closing: asyncio.Future[None] | None = None

    def interrupt(self, why: Interrupted) -> None:
        """End the step that runs, or else the next one. It may be called again at any time.

        A reason that was given before ends no further step: a process polls it again until the turn is settled.
        """
        if why is self.why:
            return
        self.why, self._pending = why, True
        if self._step is None:
            if self._close is not None and self._closing is None:
                self._closing = asyncio.ensure_future(self._close())
        elif not self._step.expired() and not self._ignores(why):
            self._step.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def closing(self, stream: AsyncGenerator[T, None]) -> AsyncIterator[AsyncGenerator[T, None]]:
        """Close the stream after the block, or as soon as the turn is interrupted between two steps."""
        async with aclosing(stream):
            self._close, self._closing = stream.aclose, None
            try:
                yield stream
            finally:
                self._close = None
                if self._closing is not None:
                    await self._closing

    async def limit(
        self, step: Callable[[], Awaitable[T]], *, ignores: Callable[[Interrupted], bool] | None = None
    ) -> T:
        """Run one step. Raises TurnInterrupted if the turn is interrupted during it, or was before it.

        `ignores` returns True for a reason that does not end this step.
        """
        self._ignores = ignores or _ignores_nothing
        if self._pending and self.why is not None and not self._ignores(self.why):
            self._pending = False
            raise TurnInterrupted
        try:
            async with asyncio.timeout(None) as scope:
                self._step = scope
                return await step()
        except TimeoutError:
            if not scope.expired():
                raise
            self._pending = False
            raise TurnInterrupted from None
        finally:
            self._step = None


def _ignores_nothing(_: Interrupted) -> bool:
    return False
