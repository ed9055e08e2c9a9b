"""Retries of a request to the model: what a second try would heal is healed before the person reads of it.

Rule: a retry takes time and a request, so each kind of failure has a bound. A pause sends nothing and holds nothing but
the turn itself, and closing the stream ends it. While the circuit is open, every pause lasts until the next trial, so
that a dead backend gets one request at a time, however many turns wait.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from bot import metrics
from bot.errors import ModelError, Trouble
from bot.llm import NO_PARAMETERS, Done, Parameters, Piece, Retry, of_caller
from bot.llm.circuit_breaker import CircuitBreaker
from bot.llm.errors import PROBLEMS
from bot.prompt.history import ChatMessage

log = logging.getLogger(__name__)

RESTARTS = 2  # after an answer that broke off, stalled or was empty
RESTART_PAUSES_S = (0.0, 2.0)  # before each: what cuts two answers in a row may go on for some seconds
SHORT_SILENCE_S = 12.0  # for the first piece after a request that got none: the person has waited long enough
RESTART_WITHIN_S = 180.0  # of the first request; longer where the setting allows longer silences
RESTART_WITHIN_SILENCES = 3
RETRIES_OF_CALLER = 2  # the caller's own parameters may be the cause of a 5xx
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0  # where the backend names none, doubling
MOST_JITTER = 0.25  # of a pause, so that many turns do not return at the same moment

_BUSY = {Trouble.RATE_LIMITED, Trouble.UNAVAILABLE}  # the backend, not this answer
_BROKEN = {Trouble.CUT, Trouble.EMPTY, Trouble.TIMEOUT}


class PatientModel:
    """An LLM that asks again where that may help. Implements llm.LLM."""

    def __init__(
        self, llm: CircuitBreaker, *, patience_s: float, silence_s: float, chance: Callable[[], float] = random.random
    ) -> None:
        """`patience_s`: for how long a busy backend is asked again. `silence_s`: the model's own timeout."""
        self._llm = llm
        self._patience_s = patience_s
        self._restart_within_s = max(RESTART_WITHIN_S, RESTART_WITHIN_SILENCES * silence_s)
        self._chance = chance

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[Piece, None]:
        """See LLM.stream. Yields a Retry before the pause that precedes each further request."""
        attempts = _Attempts(self._patience_s, self._restart_within_s, may_be_at_fault=bool(of_caller(parameters)))
        while True:
            has_text = False
            request = self._llm.stream(messages, parameters, is_retry=attempts.failed > 0)
            try:
                async with aclosing(request) as pieces:
                    piece = await _first(pieces, attempts.first_piece_s)
                    while not isinstance(piece, Done):
                        has_text = has_text or isinstance(piece, str)
                        yield piece
                        piece = await anext(pieces)
            except ModelError as error:
                metrics.MODEL_REQUESTS.labels(error.trouble.value).inc()
                failure, pause_s = error, attempts.pause_after(error, has_text=has_text)
                if pause_s is None:
                    if attempts.failed > 1:
                        error.detail += "; retries did not help"
                    raise
            else:
                _count(piece)
                yield piece
                return
            metrics.MODEL_RETRIES.labels(failure.trouble.value).inc()
            yield Retry(failure)  # the reader may leave here
            if attempts.failed == 1:
                log.info("model_retried", extra={"trouble": failure.trouble.value, "error": failure.detail})
            await asyncio.sleep(pause_s * (1 + MOST_JITTER * self._chance()))


class _Attempts:
    """The failures of one answer so far, and how many more it may have."""

    def __init__(self, patience_s: float, restart_within_s: float, *, may_be_at_fault: bool) -> None:
        self.failed = 0
        self.first_piece_s: float | None = None  # None: as long as the model's own timeout
        self._patience_s = patience_s
        self._restart_within_s = restart_within_s
        self._may_be_at_fault = may_be_at_fault
        self._began = asyncio.get_running_loop().time()
        self._broken = 0

    def pause_after(self, failure: ModelError, *, has_text: bool) -> float | None:
        """Count a failure; return the pause before the next request, or None when it would not help any more."""
        is_busy = failure.trouble in _BUSY
        is_broken = has_text or failure.trouble in _BROKEN
        was_silent = failure.trouble is Trouble.TIMEOUT and not has_text
        may_retry = self._may_retry(is_busy=is_busy, is_broken=is_broken, was_silent=was_silent)
        self.failed += 1
        self._broken += is_broken
        if was_silent:
            self.first_piece_s = SHORT_SILENCE_S
        pause_s = self._pause_s(failure) if is_busy else self._restart_pause_s
        passed_s = asyncio.get_running_loop().time() - self._began
        within_s = self._patience_s if is_busy else self._restart_within_s
        is_in_time = was_silent or passed_s + pause_s <= within_s
        return pause_s if may_retry and is_in_time else None

    def _may_retry(self, *, is_busy: bool, is_broken: bool, was_silent: bool) -> bool:
        if is_broken:
            return self._broken < RESTARTS and (not was_silent or self.first_piece_s is None)
        return is_busy and (not self._may_be_at_fault or self.failed < RETRIES_OF_CALLER)

    @property
    def _restart_pause_s(self) -> float:
        return RESTART_PAUSES_S[min(self._broken, RESTARTS) - 1]

    def _pause_s(self, failure: ModelError) -> float:
        """Return the backend's own pause, but a longer one each time, so that a wrong one does no harm."""
        grown_s: float = min(FIRST_PAUSE_S * 2 ** (self.failed - 1), LONGEST_PAUSE_S)
        if failure.retry_after_s is None:
            return grown_s
        return failure.retry_after_s if self.failed == 1 else max(failure.retry_after_s, grown_s / 2)


def _count(done: Done) -> None:
    metrics.MODEL_REQUESTS.labels("answered").inc()
    if (usage := done.usage) is not None:
        model = metrics.model_label(done.model)
        counted = {"prompt": usage.prompt - usage.cached, "cached": usage.cached, "completion": usage.completion}
        for kind, tokens in counted.items():
            metrics.MODEL_TOKENS.labels(model, kind).inc(max(0, tokens))


async def _first(pieces: AsyncGenerator[Piece, None], within_s: float | None) -> Piece:
    """Return the first piece. Raises ModelError when it does not come in time."""
    try:
        async with asyncio.timeout(within_s):
            return await anext(pieces)
    except TimeoutError:
        raise ModelError(Trouble.TIMEOUT, PROBLEMS[Trouble.TIMEOUT]) from None
