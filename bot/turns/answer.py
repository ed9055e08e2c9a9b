"""The answer to one turn: the model's text, piece by piece, and how it ended.

Rule: the stream never raises a failure of the model to its reader. `result` has it when the stream has ended.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bot.domain import file_texts, texts
from bot.domain.language import translated
from bot.domain.sessions import Interrupted
from bot.errors import ModelError, Trouble, trace
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters, Piece, Retry, Thinking, answer_limit, of_caller, top
from bot.llm.callers import limited
from bot.prompt.budget import Budget
from bot.prompt.compose import Prompt
from bot.prompt.history import WHOLE_HISTORY, HistoryWindow
from bot.store.api_keys import TokenNeed
from bot.turns.cpu import CpuWork
from bot.turns.interruption import Interruption, TurnInterrupted
from bot.turns.token_accounts import HeldTokens, RequestCost

log = logging.getLogger(__name__)

Drain = Callable[[], Awaitable[None]]

PLENTY = 4  # times the usual answer: with so many tokens reserved, an answer is given no limit
MOST_ATTEMPTS = 3  # at a request that exceeds the model's window, each shorter than the one before


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """How an answer ended."""

    text: str  # the model's own words
    trouble: Trouble | None = None
    detail: str = ""  # of the trouble, for operators
    param: str = ""  # the caller's parameter that the model did not accept
    retry_after_s: float | None = None  # the pause that the backend asks for, if it names one
    done: Done | None = None
    interrupted: Interrupted | None = None


class AnswerStream:
    """The answer to one turn. Read `words` to the end; then `result` has its end."""

    def __init__(
        self,
        llm: LLM,
        compose: Callable[[Budget], Prompt],
        budget: Budget,
        *,
        work: CpuWork,
        window: HistoryWindow = WHOLE_HISTORY,
        parameters: Parameters = NO_PARAMETERS,
        interruption: Interruption | None = None,
        can_restart: bool = False,
    ) -> None:
        """`compose` makes the prompt within a budget as it is at that moment; `work` does so again, if it must.

        `window` is the session's until now.
        `can_restart`: the reader of `words` drops the text so far at a Retry. Without it a retry after some text is a
        failure, because the reader has passed the text on.
        """
        self.prompt = compose(budget)
        self._llm = llm
        self._compose = compose
        self._budget = budget
        self._work = work
        self._window = window
        self._parameters = parameters
        self._interruption = interruption or Interruption()
        self._can_restart = can_restart
        self.notes: Sequence[str] = ()  # further lines that follow a whole answer
        self._pieces: list[str] = []  # handed to the reader
        self._counted = RequestCost(0)  # the text so far, and the attempts that failed
        self._held: HeldTokens | None = None
        self._done: Done | None = None
        self._failure: ModelError | None = None
        self._interrupted: Interrupted | None = None

    @property
    def new_window(self) -> HistoryWindow | None:
        """The session's window from now on; None if it has not moved."""
        return self.prompt.window if self.prompt.window != self._window else None

    @property
    def result(self) -> AnswerResult:
        """How the answer ended; while it streams, the text so far."""
        text = "".join(self._pieces)
        if self._interrupted is not None:
            return AnswerResult(text, done=self._done, interrupted=self._interrupted)
        if self._failure is None:
            return AnswerResult(text, done=self._done)
        param = self._failure.param if top(self._failure.param) in of_caller(self._parameters) else ""
        return AnswerResult(
            text, self._failure.trouble, self._failure.detail, param, retry_after_s=self._failure.retry_after_s
        )

    @property
    def need(self) -> TokenNeed:
        """The tokens to reserve: the prompt and the answer's limit. Without a limit of the caller's, less will do."""
        prompt, limit = self._prompt_tokens, answer_limit(self._parameters)
        if limit is not None:
            return TokenNeed(prompt + limit, prompt + limit)
        usual = self._budget.answer_tokens
        return TokenNeed(prompt + usual // 4, prompt + usual, plenty=prompt + PLENTY * usual)

    @property
    def cost(self) -> RequestCost:
        """The tokens that it has used, by the backend's count or estimated."""
        usage = self._done.usage if self._done is not None else None
        trouble = self._failure.trouble if self._failure is not None and self._interrupted is None else None
        return replace(self._counted, prompt_tokens=self._prompt_tokens, usage=usage, trouble=trouble)

    def pay_from(self, held: HeldTokens) -> None:
        """Ask the model within these tokens: the answer has what the prompt leaves of them, unless that is plenty."""
        self._held = held
        if held.tokens is None or answer_limit(self._parameters) is not None:
            return
        if held.tokens < (self.need.plenty or 0):
            self._parameters = limited(self._parameters, held.tokens - self._prompt_tokens)

    async def words(self, drain: Drain | None = None) -> AsyncGenerator[str | Thinking | Retry, None]:
        """Yield the model's own words, and signs of what it does. An interruption ends them, and the model's stream.

        `drain` waits until the reader can take more words; an interruption cuts it short. A request that exceeds the
        model's window is made again with less of the history.
        """
        for attempts_left in reversed(range(MOST_ATTEMPTS)):
            self._failure = None
            request = self._llm.stream(self.prompt.messages, self._parameters)
            async with self._interruption.closing(request) as stream:
                while (piece := await self._next(partial(_read, stream, drain))) is not None:
                    yield piece
            if not attempts_left or not await self._work.compute(self._work.size, self._is_less_now):
                return

    def ending(self) -> str:
        """Return the text that follows the model's own words, for people; often there is none."""
        result = self.result
        if result.interrupted is not None:
            is_shown = result.text or result.interrupted is Interrupted.STOPPED
            sentence = texts.interrupted(result.interrupted)
            return _after(result.text, sentence) if is_shown and sentence else ""
        if result.trouble is not None:
            return _after(result.text, texts.trouble(result.trouble, result.retry_after_s))
        truncated = result.done is not None and result.done.truncated
        unseen = result.done is not None and result.done.images_unseen
        notes = [
            *[translated(texts.TRUNCATED)] * truncated,
            *[translated(texts.SHORTENED)] * self.prompt.shortened,
            *[translated(file_texts.FILES_CUT)] * self.prompt.files_cut,
            *[translated(file_texts.IMAGES_UNSEEN)] * unseen,
            *self.notes,
        ]
        return _after(result.text, "\n".join(notes)) if notes else ""

    async def _next(self, read: Callable[[], Awaitable[Piece]]) -> str | Thinking | Retry | None:
        """Return the next piece; None at the end, also after a failure or an interruption."""
        try:
            piece = await self._interruption.limit(read)
            if isinstance(piece, Retry) and not await self._can_pay(piece.why):
                self._failure = piece.why
                return None
        except TurnInterrupted:
            self._interrupted = self._interruption.why
        except StopAsyncIteration:
            self._failure = ModelError(Trouble.CUT, "the model's stream ended early")
        except ModelError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - the turn ends with a sentence
            log.error("model_stream_broke", extra={"traceback": trace(error)})  # noqa: TRY400 - its text may quote
            self._failure = ModelError(Trouble.CUT, "unforeseen")
        else:
            return self._taken(piece)
        return None

    async def _can_pay(self, why: ModelError) -> bool:
        """Return whether there are tokens for a further attempt after this failure."""
        if self._held is None or (self._pieces and not self._can_restart):  # there will be none
            return True
        cost = self.cost
        cost.retry(why)
        return await self._held.extend(cost.earlier - self._counted.earlier)

    def _taken(self, piece: Piece) -> str | Thinking | Retry | None:
        match piece:
            case Done():
                self._finish(piece)
                return None
            case str():
                self._pieces.append(piece)
                self._counted.add(piece)
            case Retry(why):
                if self._pieces and not self._can_restart:
                    self._failure = why
                    return None
                self._counted = self.cost
                self._counted.retry(why)
                self._pieces.clear()
        return piece

    @property
    def _prompt_tokens(self) -> int:
        return int(self.prompt.tokens * self._budget.ratio)

    def _finish(self, done: Done) -> None:
        self._done = done
        # The usage of several rounds counts more than this prompt, and no two models count images alike.
        if done.usage is not None and done.rounds == 1 and not self.prompt.has_images:
            self._budget.learn(self.prompt.tokens, done.usage.prompt)

    def _is_less_now(self) -> bool:
        """Compose a shorter prompt if the window was exceeded; False when there is no reason, or no way, to do so.

        The caller's own limit of the answer may be the cause; then the budget that all requests share must not change.
        A window that is also a number in the prompt does not count, because the backend's error may quote the prompt.
        """
        error = self._failure
        if error is None or error.trouble is not Trouble.WINDOW_EXCEEDED or self._pieces or self._interrupted:
            return False
        budget, limit = self._budget, answer_limit(self._parameters)
        window = None if error.window is None or self.prompt.has_number(error.window) else error.window
        if limit is None:
            budget.exceeded(self.prompt.tokens, window)
        else:
            budget = budget.for_answer(limit, window)
        try:
            refused, self.prompt = self.prompt, self._compose(budget)
        except ModelError as nothing_fits:
            self._failure = nothing_fits
            return False
        return self.prompt.tokens < min(refused.tokens, budget.window - budget.limit)


async def _read(stream: AsyncGenerator[Piece, None], drain: Drain | None) -> Piece:
    if drain is not None:
        await drain()
    return await anext(stream)


def _after(text: str, sentence: str) -> str:
    """Return the sentence as a paragraph of its own, when some text stands before it."""
    return f"\n\n{sentence}" if text else sentence
