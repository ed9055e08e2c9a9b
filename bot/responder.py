"""One turn: choose what the model is shown, stream its answer, and say what is to be remembered of it.

Rule: the stream of an answer never raises to its reader. A model's trouble becomes the answer's last sentence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from bot import prompt, wording
from bot.budget import Budget
from bot.errors import ModelError, Trouble
from bot.history import NOTHING_CUT, ChatMessage, Cut, Past, Turn
from bot.llm import LLM, Done
from bot.prompt import Prompt
from bot.sessions import Interrupted
from bot.tokens import estimate_tokens
from bot.tools import Tool
from bot.tools.rounds import Rounds

log = logging.getLogger(__name__)

BUFFERED_DELTAS = 256  # pieces of text a slow platform may lag behind; then the model waits
MOST_ATTEMPTS = 3  # at a request that exceeds the model's window, each shorter than the one before


@dataclass(frozen=True, slots=True)
class Said:
    """What became of the answer, once its stream has ended."""

    text: str  # the model's own words
    trouble: Trouble | None = None
    detail: str = ""  # of the trouble, for operators
    done: Done | None = None
    interrupted: Interrupted | None = None


class Answer:
    """The answer to one turn: read `deltas()` to its end, then `said` tells what became of it."""

    def __init__(self, llm: LLM, compose: Callable[[], Prompt], budget: Budget, cut: Cut) -> None:
        """`compose` makes the prompt within the budget as it is at that moment; `cut` is the session's until now."""
        self.said = Said("")
        self.prompt = compose()
        self._llm = llm
        self._compose = compose
        self._budget = budget
        self._cut = cut
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()  # None: the model has ended
        self._room = asyncio.Semaphore(BUFFERED_DELTAS)
        self._read: list[str] = []
        self._asking: asyncio.Task[None] | None = None
        self._interrupted: Interrupted | None = None
        self.ended = False  # all of it was read

    @property
    def cut(self) -> Cut | None:
        """Where the shown part of the session begins from now on; None where that has not changed."""
        return self.prompt.cut if self.prompt.cut != self._cut else None

    async def deltas(self) -> AsyncGenerator[str, None]:
        """The answer piece by piece. Closing the iterator, or interrupting the answer, ends the model's stream."""
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
            if last := self._last(asking):
                yield last
            self.ended = True
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    def interrupt(self, why: Interrupted) -> None:
        """End the answer here; one last line says so, where anything was said at all or a person asked for the end."""
        self._interrupted = why
        if self._asking is not None:
            self._asking.cancel()

    def _last(self, asking: asyncio.Task[None]) -> str:
        """What is to be said after the model's own words, now that it has ended."""
        if self._interrupted:
            self.said = Said("".join(self._read), done=self.said.done, interrupted=self._interrupted)  # as seen
            says_so = self.said.text or self._interrupted is Interrupted.STOPPED
            line = wording.interrupted(self._interrupted)
            return _after(self.said.text, line) if says_so and line else ""
        error = ModelError(Trouble.CUT, "cancelled") if asking.cancelled() else asking.exception()
        if error is not None:
            return self._failed(error)
        truncated = self.said.done is not None and self.said.done.truncated
        notes = [wording.TRUNCATED] * truncated + [wording.SHORTENED] * self.prompt.shortened
        return _after(self.said.text, "\n".join(notes)) if notes else ""

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
        """Learn from the refusal, and compose a prompt that is shorter; False when there is none."""
        self._budget.exceeded(self.prompt.tokens, error.window)
        refused, self.prompt = self.prompt, self._compose()
        return self.prompt.tokens < refused.tokens

    async def _pass_on(self, messages: Sequence[ChatMessage]) -> None:
        pieces: list[str] = []
        try:
            async with aclosing(self._llm.stream(messages)) as stream:
                async for piece in stream:
                    if isinstance(piece, Done):
                        self.said = Said("".join(pieces), done=piece)
                        if piece.usage is not None and piece.rounds == 1:  # else it counts more than this prompt
                            self._budget.learn(self.prompt.tokens, piece.usage.prompt)
                        return
                    await self._room.acquire()
                    pieces.append(piece)
                    self._queue.put_nowait(piece)
        finally:
            if self.said.done is None:
                self.said = Said("".join(pieces))
        raise ModelError(Trouble.CUT, "the model's stream ended early")

    def _failed(self, error: BaseException) -> str:
        if not isinstance(error, ModelError):
            log.error("the model's stream broke in a way that nobody foresaw", exc_info=error)
            error = ModelError(Trouble.CUT, "unforeseen")
        self.said = Said(self.said.text, trouble=error.trouble, detail=error.detail)
        return _after(self.said.text, wording.trouble(error.trouble))


class Responder:
    """Answers turns with one model, one persona and one budget. Chat platforms and HTTP alike."""

    def __init__(self, llm: LLM, *, persona: str, budget: Budget, besides: int = 0) -> None:
        """`persona` is the whole system message; `besides` is what the tools cost that are offered, in tokens."""
        self.budget = budget
        self._llm = llm
        self._persona = persona
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
        cut: Cut = NOTHING_CUT,
        about: str = "",
        tools: Sequence[Tool] = (),
    ) -> Answer:
        """The answer to the last of these turns, which are one session's, oldest first, from its cut on.

        `about` is what the model shall know of the newest message's author, or of this moment, and then forget.
        `tools` are what it may do besides talking.
        """
        *earlier, newest = turns
        past = Past(tuple(earlier), cut)
        llm = Rounds(self._llm, tools) if tools else self._llm
        besides = self._besides if tools else 0
        compose = partial(prompt.compose, self._persona, past, newest, names, self.budget, about=about, besides=besides)
        return Answer(llm, compose, self.budget, cut)


def _after(text: str, sentence: str) -> str:
    """The sentence as a paragraph of its own, when some text stands before it."""
    return f"\n\n{sentence}" if text else sentence
