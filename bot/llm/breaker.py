"""A circuit breaker around a model: a dead backend must not tie up every turn.

Rule: after some failures in a row nobody asks it for a while; then one turn tries, and when that is answered all do.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from bot.errors import ModelError, Trouble
from bot.history import ChatMessage
from bot.llm import LLM, Done

log = logging.getLogger(__name__)

FAILURES = 5  # in a row
COOL_DOWN = timedelta(seconds=15)

_DEAD = {Trouble.UNAVAILABLE, Trouble.TIMEOUT}  # what tells of the backend, not of the request


class Breaker:
    """An LLM that refuses at once while the one behind it does not answer."""

    def __init__(
        self,
        llm: LLM,
        *,
        clock: Callable[[], datetime],
        failures: int = FAILURES,
        cool_down: timedelta = COOL_DOWN,
    ) -> None:
        self._llm = llm
        self._clock = clock
        self._most = failures
        self._cool_down = cool_down
        self._failures = 0
        self._closed_until: datetime | None = None  # nobody asks before then; afterwards one turn tries

    async def stream(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[str | Done, None]:
        """See LLM.stream."""
        self._ask()
        try:
            async with aclosing(self._llm.stream(messages)) as pieces:
                async for piece in pieces:
                    self._answered()
                    yield piece
        except ModelError as error:
            self._failed(error)
            raise

    def _ask(self) -> None:
        if self._closed_until is None:
            return
        now = self._clock()
        if now < self._closed_until:
            raise ModelError(
                Trouble.UNAVAILABLE, f"it failed {self._failures} times in a row; it is left alone until then"
            )
        self._closed_until = now + self._cool_down  # this turn tries; the others go on being refused

    def _answered(self) -> None:
        if self._closed_until is not None:
            log.info("the model answers again")
        self._failures, self._closed_until = 0, None

    def _failed(self, error: ModelError) -> None:
        if error.trouble not in _DEAD:
            return
        self._failures += 1
        if self._failures >= self._most:
            if self._closed_until is None:
                log.error("the model failed %s times in a row; it is left alone for a while", self._failures)
            self._closed_until = self._clock() + self._cool_down
