"""The interruption of one turn. Every stop, reset, edit and deletion that ends a turn early goes through this object.

Rule: `interrupt` never waits. The step that runs at that moment is cut short, or else the next one is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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

    def interrupt(self, why: Interrupted) -> None:
        """End the step that runs, or else the next one. It may be called again at any time."""
        self.why, self._pending = why, True
        if self._step is not None and not self._ignores(why):
            self._step.reschedule(asyncio.get_running_loop().time())
            self._step = None

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
