"""A circuit breaker around a model: a dead backend must not tie up every turn.

Rule: after some failures in a row nobody asks it for a while; then one request tries. Its first word lets all in again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from bot.errors import ModelError, Trouble
from bot.history import ChatMessage
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters

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
    ) -> None:
        self._llm = llm
        self._clock = clock
        self._most = failures
        self._failures = 0  # since the last whole answer
        self._broken_at: datetime | None = None  # None: everybody may ask
        self._last = ""  # how it failed then
        self._trial: object | None = None  # the request under way that tries whether it answers again

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done, None]:
        """See LLM.stream. Raises ModelError (UNAVAILABLE) at once while the model is left alone."""
        request = object()
        self._admit(request)
        try:
            async with aclosing(self._llm.stream(messages, parameters)) as pieces:
                first = True
                async for piece in pieces:
                    if first:
                        self._let_all_in()
                        first = False
                    if isinstance(piece, Done):
                        self._failures = 0
                    yield piece
        except ModelError as error:
            if error.trouble in _DEAD:
                self._count(error, request)
            raise
        finally:
            if self._trial is request:  # it may have been cancelled: the next request tries
                self._trial = None

    def _admit(self, request: object) -> None:
        if self._broken_at is None:
            return
        rested = self._clock() - self._broken_at
        if timedelta() <= rested < COOL_DOWN:  # below zero, the clock was set back: no time to go by
            raise self._refusal(f"it is tried again in {(COOL_DOWN - rested).total_seconds():.0f} s")
        if self._trial is not None:
            raise self._refusal("it is being tried again now")
        self._trial = request

    def _refusal(self, outlook: str) -> ModelError:
        return ModelError(
            Trouble.UNAVAILABLE,
            f"not asked: the model failed {self._failures} times in a row; {outlook} ({self._last})",
        )

    def _let_all_in(self) -> None:
        if self._broken_at is not None:
            log.info("the model answers again")
        self._broken_at = self._trial = None

    def _count(self, error: ModelError, request: object) -> None:
        self._failures += 1
        if self._broken_at is None and self._failures >= self._most:
            log.error("the model failed %s times in a row; nobody asks it for a while", self._failures)
        elif self._trial is not request:  # too few, or a straggler that was asked before it broke
            return
        self._broken_at, self._last = self._clock(), error.detail
