"""Circuit breakers: a dead model must not occupy every turn.

Rule: after some failures in a row the circuit opens, and requests fail at once. After a cool-down one trial request is
let through; its first word closes the circuit. Our own requests share one circuit, and each caller has circuits of its
own. Our circuit also stops callers until its cool-down ends, but no caller opens it, closes it or is its trial. A
failure with parameters that a caller set is not counted, because the parameters may be its cause. A
failed retry is not counted either, so that one answer alone opens no circuit.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from bot.errors import ModelError, Trouble
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters, Piece, of_caller
from bot.llm.callers import PerCaller
from bot.prompt.history import ChatMessage

log = logging.getLogger(__name__)

FAILURES = 5  # in a row
COOL_DOWN = timedelta(seconds=15)
TRIAL_S = 1.0  # a refused request may look so often whether the trial was answered

_DEAD = {Trouble.UNAVAILABLE, Trouble.TIMEOUT}  # failures of the backend, not of the request


class CircuitBreaker:
    """An LLM that fails at once while the circuit of the requested model is open."""

    def __init__(
        self,
        llm: LLM,
        *,
        clock: Callable[[], datetime],
        failures: int = FAILURES,
    ) -> None:
        self._llm = llm
        self._circuits = PerCaller(
            _Circuit({"model": None}, clock, failures),
            lambda caller, model: _Circuit({"model": model, "caller": caller}, clock, failures),
        )

    def beside(self, llm: LLM) -> CircuitBreaker:
        """Return the same circuits before another client of the same backend."""
        other = copy.copy(self)
        other._llm = llm  # noqa: SLF001 - a copy of this one
        return other

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS, *, is_retry: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """See LLM.stream. Raises ModelError (UNAVAILABLE) at once while the circuit is open.

        The error names the pause until the next trial.
        """
        circuit, request = self._circuits.of(parameters), object()
        if parameters.get("model") is None:
            self._circuits.ours.check_cool_down()
        circuit.admit(request)
        try:
            async with aclosing(self._llm.stream(messages, parameters)) as pieces:
                first = True
                async for piece in pieces:
                    if first:
                        circuit.close()
                        first = False
                    if isinstance(piece, Done):
                        circuit.failures = 0
                    yield piece
        except ModelError as error:
            if error.trouble in _DEAD and not of_caller(parameters):
                circuit.count(error, request, is_retry=is_retry)
            raise
        finally:
            circuit.leave(request)


class _Circuit:
    """The state of one model, in our own requests or in those of one caller."""

    def __init__(self, log_fields: Mapping[str, str | None], clock: Callable[[], datetime], max_failures: int) -> None:
        self.failures = 0  # since the last whole answer
        self._log_fields = log_fields  # whose circuit it is
        self._clock = clock
        self._max_failures = max_failures
        self._opened_at: datetime | None = None  # None: closed
        self._last_failure = ""
        self._trial: object | None = None  # the running request that tries whether the model answers again

    def admit(self, request: object) -> None:
        """Let the request pass. Raises ModelError while the circuit is open."""
        self.check_cool_down()
        if self._opened_at is None:
            return
        if self._trial is not None:
            raise self._refusal("it is being tried again now", TRIAL_S)
        self._trial = request

    def check_cool_down(self) -> None:
        """Raise ModelError while the circuit is open and cools down."""
        open_for = self._clock() - self._opened_at if self._opened_at is not None else COOL_DOWN
        if timedelta() <= open_for < COOL_DOWN:  # below zero the clock was set back
            left_s = (COOL_DOWN - open_for).total_seconds()
            raise self._refusal(f"it is tried again in {left_s:.0f} s", left_s)

    def leave(self, request: object) -> None:
        """End the request. If it was a trial that was cancelled, the next request is the trial."""
        if self._trial is request:
            self._trial = None

    def close(self) -> None:
        """Let all requests pass, because the model answers."""
        if self._opened_at is not None:
            log.info("circuit_closed", extra=self._log_fields)
        self._opened_at = self._trial = None

    def count(self, error: ModelError, request: object, *, is_retry: bool) -> None:
        """Count a failure of the model; open the circuit after enough of them."""
        self.failures += not is_retry
        if self._opened_at is None and self.failures >= self._max_failures:
            fields = {**self._log_fields, "failures": self.failures, "error": error.detail}
            log.error("circuit_opened", extra=fields)
        elif self._trial is not request:  # too few failures, or a request from before the circuit opened
            return
        self._opened_at, self._last_failure = self._clock(), error.detail

    def _refusal(self, outlook: str, retry_after_s: float) -> ModelError:
        model = self._log_fields["model"]
        name = "the model" if model is None else f"the model {model}"
        return ModelError(
            Trouble.UNAVAILABLE,
            f"not asked: {name} failed {self.failures} times in a row; {outlook} ({self._last_failure})",
            retry_after_s=retry_after_s,
        )
