"""A circuit breaker for each model of a backend: a dead one must not tie up every turn.

Rule: after some failures in a row nobody asks it for a while; then one request tries. Its first word lets all in again.
What fails with parameters of a caller's own may fail because of them, and is not counted.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from bot.errors import ModelError, Trouble
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters, of_caller
from bot.prompt.history import ChatMessage

log = logging.getLogger(__name__)

FAILURES = 5  # in a row
COOL_DOWN = timedelta(seconds=15)

_DEAD = {Trouble.UNAVAILABLE, Trouble.TIMEOUT}  # what tells of the backend, not of the request


class CircuitBreaker:
    """An LLM that refuses at once while the model that is asked for does not answer."""

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
        self._circuits: dict[str | None, _Circuit] = {}  # by the name that a caller chose; None: nobody chose

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done, None]:
        """See LLM.stream. Raises ModelError (UNAVAILABLE) at once while the model is left alone."""
        circuit, request = self._circuit(parameters.get("model")), object()
        circuit.admit(request)
        try:
            async with aclosing(self._llm.stream(messages, parameters)) as pieces:
                first = True
                async for piece in pieces:
                    if first:
                        circuit.let_all_in()
                        first = False
                    if isinstance(piece, Done):
                        circuit.failures = 0
                    yield piece
        except ModelError as error:
            if error.trouble in _DEAD and not of_caller(parameters):
                circuit.count(error, request)
            raise
        finally:
            circuit.leave(request)

    def _circuit(self, chosen: str | None) -> _Circuit:
        if chosen not in self._circuits:
            name = "the model" if chosen is None else f"the model {chosen}"
            self._circuits[chosen] = _Circuit(name, self._clock, self._most)
        return self._circuits[chosen]


class _Circuit:
    """How one model has done so far."""

    def __init__(self, name: str, clock: Callable[[], datetime], most: int) -> None:
        self.failures = 0  # since the last whole answer
        self._name = name
        self._clock = clock
        self._most = most
        self._broken_at: datetime | None = None  # None: everybody may ask
        self._last = ""  # how it failed then
        self._trial: object | None = None  # the request under way that tries whether it answers again

    def admit(self, request: object) -> None:
        """Let the request pass. Raises ModelError while the model is left alone."""
        if self._broken_at is None:
            return
        rested = self._clock() - self._broken_at
        if timedelta() <= rested < COOL_DOWN:  # below zero, the clock was set back: no time to go by
            raise self._refusal(f"it is tried again in {(COOL_DOWN - rested).total_seconds():.0f} s")
        if self._trial is not None:
            raise self._refusal("it is being tried again now")
        self._trial = request

    def leave(self, request: object) -> None:
        """The request is over. It may have been cancelled: where it was the one to try, the next one tries."""
        if self._trial is request:
            self._trial = None

    def let_all_in(self) -> None:
        """The model answers."""
        if self._broken_at is not None:
            log.info("%s answers again", self._name)
        self._broken_at = self._trial = None

    def count(self, error: ModelError, request: object) -> None:
        """The request failed, and it tells of the model."""
        self.failures += 1
        if self._broken_at is None and self.failures >= self._most:
            log.error("%s failed %s times in a row; nobody asks it for a while", self._name, self.failures)
        elif self._trial is not request:  # too few, or a straggler that was asked before it broke
            return
        self._broken_at, self._last = self._clock(), error.detail

    def _refusal(self, outlook: str) -> ModelError:
        return ModelError(
            Trouble.UNAVAILABLE,
            f"not asked: {self._name} failed {self.failures} times in a row; {outlook} ({self._last})",
        )
