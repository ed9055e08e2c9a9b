"""One turn: choose what the model is shown, stream its answer, and say what is to be remembered of it.

Rule: the stream of an answer never raises to its reader. A model's trouble becomes the answer's last sentence.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from bot.domain import texts
from bot.domain.sessions import Interrupted
from bot.errors import ModelError, Trouble
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters, answer_limit, of_caller, top
from bot.prompt import compose as prompt
from bot.prompt.budget import Budget
from bot.prompt.compose import Prompt
from bot.prompt.history import NOTHING_CUT, ChatMessage, HistoryWindow, Past, Turn
from bot.prompt.tokens import estimate_tokens
from bot.tools import Tool
from bot.tools.loop import Rounds

log = logging.getLogger(__name__)

BUFFERED_DELTAS = 256  # pieces of text a slow platform may lag behind; then the model waits
MOST_ATTEMPTS = 3  # at a request that exceeds the model's window, each shorter than the one before


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """What became of the answer, once its stream has ended."""

    text: str  # the model's own words
    trouble: Trouble | None = None
    detail: str = ""  # of the trouble, for operators
    param: str = ""  # the field of the caller's that the model did not accept
    done: Done | None = None
    interrupted: Interrupted | None = None


class AnswerStream:
    """The answer to one turn: read `deltas()` or `words()` to the end, then `said` tells what became of it."""

    def __init__(
        self,
        llm: LLM,
        compose: Callable[[Budget], Prompt],
        budget: Budget,
        cut: HistoryWindow = NOTHING_CUT,
        parameters: Parameters = NO_PARAMETERS,
    ) -> None:
        """`compose` makes the prompt within a budget as it is at that moment; `cut` is the session's until now."""
        self.said = AnswerResult("")
        self.prompt = compose(budget)
        self._llm = llm
        self._compose = compose
        self._budget = budget
        self._cut = cut
        self._parameters = parameters
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()  # None: the model has ended
        self._room = asyncio.Semaphore(BUFFERED_DELTAS)
        self._read: list[str] = []
        self._asking: asyncio.Task[None] | None = None
        self._interrupted: Interrupted | None = None
        self.ended = False  # all of it was read

    @property
    def cut(self) -> HistoryWindow | None:
        """Where the shown part of the session begins from now on; None where that has not changed."""
        return self.prompt.cut if self.prompt.cut != self._cut else None

    async def deltas(self) -> AsyncGenerator[str, None]:
        """The answer piece by piece, for people: the model's words, then what is to be said of how they ended."""
        async with aclosing(self.words()) as words:
            async for delta in words:
                yield delta
        if last := self.ending():
            yield last
        self.ended = True

    async def words(self) -> AsyncGenerator[str, None]:
        """The model's own words. Closing the iterator, or interrupting the answer, ends the model's stream."""
        asking = self._asking = asyncio.create_task(self._ask())
        asking.add_done_callback(lambda _: self._queue.put_nowait(None))
        if self._interrupted:
            asking.cancel()
        try:
            while (delta := await self._queue.get()) is not None:
                self._room.release()
                if not self._interrupted:
                    self._read.append(delta)
                    yield delta
            self._conclude(asking)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    def interrupt(self, why: Interrupted) -> None:
        """End the answer here; one last line says so, where anything was said at all or a person asked for the end."""
        self._interrupted = why
        if self._asking is not None:
            self._asking.cancel()

    def ending(self) -> str:
        """What is to be said after the model's own words, now that it has ended."""
        said = self.said
        if said.interrupted is not None:
            says_so = said.text or said.interrupted is Interrupted.STOPPED
            line = texts.interrupted(said.interrupted)
            return _after(said.text, line) if says_so and line else ""
        if said.trouble is not None:
            return _after(said.text, texts.trouble(said.trouble))
        truncated = said.done is not None and said.done.truncated
        notes = [texts.TRUNCATED] * truncated + [texts.SHORTENED] * self.prompt.shortened
        return _after(said.text, "\n".join(notes)) if notes else ""

    def _conclude(self, asking: asyncio.Task[None]) -> None:
        if self._interrupted:
            self.said = AnswerResult("".join(self._read), done=self.said.done, interrupted=self._interrupted)  # as seen
            return
        error = ModelError(Trouble.CUT, "cancelled") if asking.cancelled() else asking.exception()
        if error is not None:
            self._fail(error)

    async def _ask(self) -> None:
        """Pass the model's text on; again with less when its window was exceeded."""
        for _ in range(MOST_ATTEMPTS - 1):
            try:
                await self._pass_on(self.prompt.messages)
            except ModelError as error:
                if error.trouble is not Trouble.WINDOW_EXCEEDED or self.said.text or not self._is_less_after(error):
                    raise
            else:
                return
        await self._pass_on(self.prompt.messages)

    def _is_less_after(self, error: ModelError) -> bool:
        """Learn from the refusal, and compose a prompt that is shorter; False when there is none.

        What a caller's own limit of the answer adds to a request tells nothing of the window that all others share.
        """
        budget, limit = self._budget, answer_limit(self._parameters)
        if limit is None:
            budget.exceeded(self.prompt.tokens, error.window)
        else:
            budget = budget.for_answer(limit, error.window)
        refused, self.prompt = self.prompt, self._compose(budget)
        return self.prompt.tokens < min(refused.tokens, budget.window - budget.limit)

    async def _pass_on(self, messages: Sequence[ChatMessage]) -> None:
        pieces: list[str] = []
        try:
            async with aclosing(self._llm.stream(messages, self._parameters)) as stream:
                async for piece in stream:
                    if isinstance(piece, Done):
                        self.said = AnswerResult("".join(pieces), done=piece)
                        if piece.usage is not None and piece.rounds == 1:  # else it counts more than this prompt
                            self._budget.learn(self.prompt.tokens, piece.usage.prompt)
                        return
                    await self._room.acquire()
                    pieces.append(piece)
                    self._queue.put_nowait(piece)
        finally:
            if self.said.done is None:
                self.said = AnswerResult("".join(pieces))
        raise ModelError(Trouble.CUT, "the model's stream ended early")

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, ModelError):
            log.error("the model's stream broke in a way that nobody foresaw", exc_info=error)
            error = ModelError(Trouble.CUT, "unforeseen")
        param = error.param if top(error.param) in of_caller(self._parameters) else ""
        self.said = AnswerResult(self.said.text, trouble=error.trouble, detail=error.detail, param=param)


class Responder:
    """Answers turns with one model, one persona and one budget. Chat platforms and HTTP alike."""

    def __init__(self, llm: LLM, *, persona: str, budget: Budget, besides: int = 0) -> None:
        """`persona` is the whole system message; `besides` is what the tools cost that are offered, in tokens."""
        self.budget = budget
        self._llm = llm
        self._persona = persona
        self._others: dict[str, Budget] = {}  # of models that callers chose
        self._besides = besides

    @property
    def room(self) -> int:
        """Estimated tokens for what stands besides persona and tools. It changes with the model's window alone."""
        return self.budget.room(estimate_tokens(self._persona) + self._besides).most

    def filled(self, past: Past) -> float:
        """The share, up to 1, that a session's past takes of what the model can be shown."""
        return prompt.filled(self._persona, past, self.budget, besides=self._besides)

    def answer(
        self,
        turns: Sequence[Turn],
        names: Mapping[str, str],
        *,
        cut: HistoryWindow = NOTHING_CUT,
        about: str = "",
        tools: Sequence[Tool] = (),
        instructions: str = "",
        following: Sequence[ChatMessage] = (),
        parameters: Parameters = NO_PARAMETERS,
        whole: bool = False,
    ) -> AnswerStream:
        """The answer to the last of these turns, which are one session's, oldest first, from its cut on.

        `about` is what the model shall know of the newest message's author, or of this moment, and then forget.
        `tools` are what it may do besides talking. `instructions` stand below the persona. `following` are messages
        after the last turn: calls of tools, results. What is asked too long is shortened; if it is to be shown `whole`,
        ModelError is raised.
        """
        *earlier, newest = turns
        past = Past(tuple(earlier), cut)
        llm = Rounds(self._llm, tools) if tools else self._llm
        offered = self._besides if tools else 0
        budget = self._budget_of(parameters)
        compose = partial(
            prompt.compose,
            self._persona,
            past,
            newest,
            names,
            about=about,
            instructions=instructions,
            following=following,
            besides=offered + _cost(parameters),
        )
        return AnswerStream(llm, partial(_whole, compose) if whole else compose, budget, cut, parameters)

    def complete(
        self, messages: Sequence[ChatMessage], *, instructions: str = "", parameters: Parameters = NO_PARAMETERS
    ) -> AnswerStream:
        """The answer to these messages as they are, below the persona and the instructions.

        Raises ModelError when the model's window has no room for them.
        """
        budget, cost = self._budget_of(parameters), _cost(parameters)
        compose = partial(prompt.as_they_are, self._persona, messages, instructions=instructions, besides=cost)
        return AnswerStream(self._llm, partial(_whole, compose), budget, parameters=parameters)

    def _budget_of(self, parameters: Parameters) -> Budget:
        """That of the model which a caller chose, of those that the settings allow, or of ours."""
        chosen = parameters.get("model")
        if chosen is None:
            return self.budget
        if chosen not in self._others:
            self._others[chosen] = self.budget.of(chosen)
        return self._others[chosen]


def _cost(parameters: Parameters) -> int:
    return estimate_tokens(json.dumps(dict(parameters))) if parameters else 0


def _whole(compose: Callable[[Budget], Prompt], budget: Budget) -> Prompt:
    """The prompt, if nothing of what is asked had to be left out."""
    if (made := compose(budget)).shortened:
        raise ModelError(Trouble.WINDOW_EXCEEDED, "there is no room for what was asked")
    return made


def _after(text: str, sentence: str) -> str:
    """The sentence as a paragraph of its own, when some text stands before it."""
    return f"\n\n{sentence}" if text else sentence
