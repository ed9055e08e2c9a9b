"""One turn: choose what the model is shown, stream its answer, and say what is to be remembered of it.

Rule: the stream of an answer never raises to its reader. A model's trouble becomes the answer's last sentence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bot import history, wording
from bot.errors import ModelError, Trouble
from bot.history import ChatMessage, Turn
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters
from bot.sessions import Interrupted

log = logging.getLogger(__name__)

BUFFERED_DELTAS = 256  # pieces of text a slow platform may lag behind; then the model waits


@dataclass(frozen=True, slots=True)
class Said:
    """What became of the answer, once its stream has ended."""

    text: str  # the model's own words
    trouble: Trouble | None = None
    detail: str = ""  # of the trouble, for operators
    done: Done | None = None
    interrupted: Interrupted | None = None


class Answer:
    """The answer to one turn: read `deltas()` or `words()` to the end, then `said` tells what became of it."""

    def __init__(
        self,
        llm: LLM,
        messages: Sequence[ChatMessage],
        shorter: Sequence[ChatMessage],
        parameters: Parameters = NO_PARAMETERS,
    ) -> None:
        """`shorter` is what the model is shown when `messages` turn out to exceed its window."""
        self.said = Said("")
        self._llm = llm
        self._parameters = parameters
        self._attempts = (messages,) if shorter == messages else (messages, shorter)
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()  # None: the model has ended
        self._room = asyncio.Semaphore(BUFFERED_DELTAS)
        self._read: list[str] = []
        self._asking: asyncio.Task[None] | None = None
        self._interrupted: Interrupted | None = None

    async def deltas(self) -> AsyncGenerator[str, None]:
        """The answer piece by piece, for people: the model's words, then what is to be said of how they ended."""
        async with aclosing(self.words()) as words:
            async for delta in words:
                yield delta
        if last := self.ending():
            yield last

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

    def _conclude(self, asking: asyncio.Task[None]) -> None:
        if self._interrupted:
            self.said = Said("".join(self._read), done=self.said.done, interrupted=self._interrupted)  # as seen
            return
        error = ModelError(Trouble.CUT, "cancelled") if asking.cancelled() else asking.exception()
        if error is not None:
            self._fail(error)

    def ending(self) -> str:
        """What is to be said after the model's own words, now that it has ended."""
        said = self.said
        if said.interrupted is not None:
            says_so = said.text or said.interrupted is Interrupted.STOPPED
            return _after(said.text, wording.interrupted(said.interrupted)) if says_so else ""
        if said.trouble is not None:
            return _after(said.text, wording.trouble(said.trouble))
        truncated = said.done is not None and said.done.truncated
        return _after(said.text, wording.TRUNCATED) if truncated else ""

    async def _ask(self) -> None:
        """Pass the model's text on; once more with less history when its window was exceeded."""
        *earlier, last = self._attempts
        for messages in earlier:
            try:
                await self._pass_on(messages)
            except ModelError as error:
                if error.trouble is not Trouble.WINDOW_EXCEEDED or self.said.text:
                    raise
                log.warning("the model's window was exceeded; trying again with less history: %s", error.detail)
            else:
                return
        await self._pass_on(last)

    async def _pass_on(self, messages: Sequence[ChatMessage]) -> None:
        pieces: list[str] = []
        try:
            async with aclosing(self._llm.stream(messages, self._parameters)) as stream:
                async for piece in stream:
                    if isinstance(piece, Done):
                        self.said = Said("".join(pieces), done=piece)
                        return
                    await self._room.acquire()
                    pieces.append(piece)
                    self._queue.put_nowait(piece)
        finally:
            if self.said.done is None:
                self.said = Said("".join(pieces))
        raise ModelError(Trouble.CUT, "the model's stream ended early")

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, ModelError):
            log.error("the model's stream broke in a way that nobody foresaw", exc_info=error)
            error = ModelError(Trouble.CUT, "unforeseen")
        self.said = Said(self.said.text, trouble=error.trouble, detail=error.detail)


class Responder:
    """Answers turns with one model, one persona and one budget. Chat platforms and HTTP alike."""

    def __init__(self, llm: LLM, *, persona: str, history_tokens: int) -> None:
        """`persona` is the whole system message; `history_tokens` bounds what is sent besides it."""
        self.history_tokens = history_tokens
        self._llm = llm
        self._persona = persona

    def answer(
        self,
        turns: Sequence[Turn],
        names: Mapping[str, str],
        *,
        instructions: str = "",
        following: Sequence[ChatMessage] = (),
        parameters: Parameters = NO_PARAMETERS,
    ) -> Answer:
        """The answer to the last of these turns, which are one session's, oldest first.

        `instructions` stand below the persona. `following` are messages after the last turn: calls of tools, results.
        """
        several = len(history.speakers(turns)) > 1
        rendered = [history.render(turn, names, several=several) for turn in turns]
        rendered[-1] += following
        whole, half = (history.fit(rendered, self.history_tokens // part) for part in (1, 2))
        system = self._system(instructions)
        return Answer(self._llm, [system, *whole], [system, *half], parameters)

    def complete(
        self, messages: Sequence[ChatMessage], *, instructions: str = "", parameters: Parameters = NO_PARAMETERS
    ) -> Answer:
        """The answer to these messages as they are, below the persona and the instructions."""
        shown = [self._system(instructions), *messages]
        return Answer(self._llm, shown, shown, parameters)

    def _system(self, instructions: str) -> ChatMessage:
        # One message, not two: the templates of some models know only one, and only in the first place.
        return {"role": "system", "content": f"{self._persona}\n\n{instructions}" if instructions else self._persona}


def _after(text: str, sentence: str) -> str:
    """The sentence as a paragraph of its own, when some text stands before it."""
    return f"\n\n{sentence}" if text else sentence
