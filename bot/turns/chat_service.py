"""Exchange: somebody asks and waits for the answer, over HTTP or in Python. The same sessions and turns, no platform.

Rule: one turn at a time in a session; who comes meanwhile waits, for a bounded time. What was not settled is withdrawn:
a caller that goes away, or a model that fails, leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from bot.domain.events import Thread
from bot.domain.sessions import IdleLimits, Memory, OpenSession, ResetOutcome, is_idle
from bot.errors import IdempotencyKeyReused, SessionBusy, SessionClosed, SessionLost, StoreUnavailable
from bot.llm import NO_PARAMETERS, Done, Parameters
from bot.prompt.history import ChatMessage, Past, Turn, speakers
from bot.store import chat_turns, leases
from bot.store import history as settled_turns
from bot.store import threads as thread_rows
from bot.store.chat_turns import Begun, IdempotencyKey, Repeated
from bot.store.claims import Settlement, TurnState
from bot.store.engine import Store
from bot.turns.answer import AnswerStream, Responder
from bot.turns.chat_reply import ChatReply, name_of, repeated, words_of
from bot.turns.inbox import Inbox
from bot.turns.leases import LeaseKeeper
from bot.turns.running_turn import RunningTurn
from bot.turns.session_locks import SessionLocks
from bot.turns.summariser import Summariser

log = logging.getLogger(__name__)

CALLER = "The user"  # in summaries
TAKEN_OVER = "the session may be another process's by now"
LOOK_FIRST_S, LOOK_MOST_S = 0.02, 0.5  # pauses while another replica answers in the session, doubling


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller asks."""

    owner: str
    thread: Thread | None  # None: nothing is remembered
    said: tuple[str, ...] = ()
    recalled: tuple[Turn, ...] = ()  # earlier turns that the caller sent along
    following: tuple[ChatMessage, ...] = ()  # what came after `said`: calls of tools, and their results
    messages: tuple[ChatMessage, ...] | None = None  # for the model as they are, instead of a session's turns
    instructions: str = ""  # they stand below the persona
    parameters: Parameters = field(default_factory=lambda: NO_PARAMETERS)
    idempotency_key: IdempotencyKey | None = None
    request: str | None = None  # its name in the log, where it has one


def place(owner: str, name: str) -> Thread:
    """Where the session lives that its owner calls so: over HTTP by the header's text, in Python by the chat's id."""
    return Thread(chat_turns.PLATFORM, owner, "", _digest(name), direct=True)


def place_of_one(owner: str, idempotency_key: str) -> Thread:
    """Where a question with this key lives that belongs to no session, so that it is answered once."""
    return Thread(chat_turns.PLATFORM, owner, "once", _digest(idempotency_key), direct=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()  # of one length, whatever the caller says


class ChatService:
    """Takes questions: one at a time in each session, many sessions at once."""

    def __init__(
        self,
        store: Store,
        responder: Responder,
        summariser: Summariser,
        held: LeaseKeeper,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        idle: IdleLimits,
        line: SessionLocks,
    ) -> None:
        self._store = store
        self._responder = responder
        self._summariser = summariser
        self._held = held
        self._clock = clock
        self._new_id = new_id
        self._idle = idle
        self._line = line
        self._unsettled: dict[int, Begun] = {}  # by turn

    @property
    def running(self) -> int:
        """How many questions are being answered here, or wait for those before them."""
        return self._line.length

    @asynccontextmanager
    async def ask(self, question: Question) -> AsyncIterator[ChatReply]:
        """The reply, open inside the block.

        Raises SessionBusy when the session stays taken for too long, IdempotencyKeyReused, Overloaded, and
        StoreUnavailable.
        """
        with self._line.inside(question.owner):
            if question.thread is None:
                answer = self._complete(question)
                yield ChatReply(
                    self._clock(),
                    lambda: words_of(answer, {"request": question.request}),
                    prompt_tokens=lambda: answer.prompt.tokens,
                )
                return
            async with self._line.alone(question.thread) as until:
                begun, asked_at = await self._begin(question.thread, question, until)
                if isinstance(begun, Repeated):
                    yield repeated(begun)
                    return
                async with self._replied(begun, asked_at, question) as reply:
                    yield reply

    def aside(self) -> AbstractContextManager[None]:
        """While the block runs a caller who has asked is at work of its own: stopping leaves it alone."""
        return self._line.aside()

    async def stop(self) -> None:
        """End what is being answered here; return when nothing of it is left."""
        await self._line.dissolve()
        for begun in tuple(self._unsettled.values()):  # whose reader left it open, and went on
            await self._withdraw(begun)

    async def make(self, thread: Thread) -> None:
        """Have a place for a session, so that it is known. Raises StoreUnavailable."""
        await self._store.run(thread_rows.ensure, thread)

    async def knows(self, thread: Thread) -> bool:
        """Whether there is, or was, a session in this place. Raises StoreUnavailable."""
        return await self._store.run(thread_rows.find, thread) is not None

    async def find(self, thread: Thread) -> OpenSession | None:
        """The open session in this place. Raises StoreUnavailable."""
        found, idle_after = await self._store.run(chat_turns.find, thread), self._idle.of(thread.channel)
        idle = found is not None and is_idle(found.last_active_at, now=self._clock(), idle_after=idle_after)
        return None if idle else found

    async def memory(self, thread: Thread) -> Memory | None:
        """What is remembered in this place. Raises StoreUnavailable."""
        if (found := await self._store.run(chat_turns.find, thread)) is None:
            return None
        filled = self._responder.filled(past := await self._past(found.id, settled_turns.NEWEST))
        idle_after, in_short = self._idle.of(thread.channel), past.cut.after > 0
        return Memory.of(found, filled, in_short=in_short, now=self._clock(), idle_after=idle_after)

    async def _begin(self, thread: Thread, question: Question, until: float) -> tuple[Begun | Repeated, float]:
        """What was begun, and when its lease was asked for, by the monotonic clock."""
        pause_s, asked_at = LOOK_FIRST_S, time.monotonic()
        while (begun := await self._try(thread, question)) is None:
            if asyncio.get_running_loop().time() + pause_s > until:
                raise SessionBusy("another question is being answered")
            await asyncio.sleep(pause_s)
            pause_s, asked_at = min(2 * pause_s, LOOK_MOST_S), time.monotonic()
        if isinstance(begun, Repeated) and not begun.same:
            raise IdempotencyKeyReused("another request had this key")
        return begun, asked_at

    async def _try(self, thread: Thread, question: Question) -> Begun | Repeated | None:
        beginning = asyncio.ensure_future(
            self._store.run(
                chat_turns.begin,
                thread,
                question.said,
                recalled=question.recalled,
                idempotency_key=question.idempotency_key,
                owner=self._held.owner,
                now=self._clock(),
                lease=self._held.lease,
                new_id=self._new_id(),
                idle_after=self._idle.of(thread.channel),
            )
        )
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:  # it may have been committed all the same
            if isinstance(begun := await beginning, Begun):
                self._unsettled[begun.claim.turn_id] = begun
                await self._withdraw(begun)
            raise

    @asynccontextmanager
    async def _replied(self, begun: Begun, asked_at: float, question: Question) -> AsyncIterator[ChatReply]:
        self._unsettled[begun.claim.turn_id] = begun
        try:
            with self._held.holding(begun.claim, asked_at) as running:
                answer = await self._answer(begun, question)
                running.begin(answer)

                name = name_of(begun.claim.session_id, begun.claim.turn_id)
                words = partial(self._words, begun, answer, running, _where(begun) | {"request": question.request})
                yield ChatReply(begun.began_at, words, begun.opened, name, prompt_tokens=lambda: answer.prompt.tokens)
        finally:
            await self._withdraw(begun)

    async def _words(
        self, begun: Begun, answer: AnswerStream, running: RunningTurn, where: Mapping[str, object]
    ) -> AsyncGenerator[str | Done, None]:
        with _lost_if(running):
            async with aclosing(words_of(answer, where)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Done) and not piece.tool_calls:
                        self._held.let_go(begun.claim)  # what follows its end is no more under its lease
                        await self._settle(begun, answer, piece, where)
                    yield piece

    async def _settle(self, begun: Begun, answer: AnswerStream, done: Done, where: Mapping[str, object]) -> None:
        """Remember a whole answer. Raises SessionClosed, or SessionLost when it was taken over meanwhile."""
        settled = Settlement.by(done, TurnState.ANSWERED, answer.said.text, cut=answer.cut)
        if not await self._store.run(chat_turns.settle, begun, settled, truncated=done.truncated, now=self._clock()):
            fences = await self._store.run(leases.fences, [begun.claim.thread_id])
            if fences.get(begun.claim.thread_id) != begun.claim.fence:
                raise SessionLost(TAKEN_OVER)
            raise SessionClosed("the session was reset meanwhile")
        self._unsettled.pop(begun.claim.turn_id, None)
        log.info("turn answered", extra={**where, **settled.figures})
        if answer.prompt.fold is not None and begun.claim.session_id is not None:
            self._summariser.fold(begun.claim.session_id, answer.prompt.fold, _called)

    async def _answer(self, begun: Begun, question: Question) -> AnswerStream:
        if question.messages is not None:
            return self._complete(question)
        past = await self._past(begun.claim.session_id or "", begun.claim.turn_id)
        return self._responder.answer(
            [*past.turns, Turn(begun.claim.said, id=begun.claim.turn_id)],
            {},
            cut=replace(past.cut, several=False),  # whoever asks here, it is one and the same
            instructions=question.instructions,
            following=question.following,
            parameters=question.parameters,
            whole=True,
        )

    async def _past(self, session_id: str, turn_id: int) -> Past:
        budget = self._responder.budget.history_tokens
        return await self._store.run(settled_turns.before, session_id, turn_id, budget_tokens=budget)

    def _complete(self, question: Question) -> AnswerStream:
        return self._responder.complete(
            question.messages or (), instructions=question.instructions, parameters=question.parameters
        )

    async def _withdraw(self, begun: Begun) -> None:
        """Take the turn back, unless it was settled, or taken back, before."""
        if self._unsettled.pop(begun.claim.turn_id, None) is None:
            return
        withdrawing = asyncio.ensure_future(self._store.run(chat_turns.withdraw, begun))
        try:
            await asyncio.shield(withdrawing)
        except asyncio.CancelledError:  # once more: it must not drop out of the database's queue
            await asyncio.wait([withdrawing])
            raise
        except StoreUnavailable as error:  # then its lease runs out, and whoever comes next does it
            log.warning("a turn could not be withdrawn (%s)", error, extra=_where(begun))


@contextmanager
def _lost_if(running: RunningTurn) -> Iterator[None]:
    """Inside the block what ends because its lease was lost tells so."""
    try:
        yield
    except SessionClosed:
        if running.lost:
            raise SessionLost(TAKEN_OVER) from None
        raise


async def _called(turns: Sequence[Turn]) -> Mapping[str, str]:
    """What a summary calls whoever asked in these turns."""
    return dict.fromkeys(speakers(turns), CALLER)


def _where(begun: Begun) -> dict[str, object]:
    claim = begun.claim
    return {"place": str(claim.thread), "session": claim.session_id, "turn": claim.turn_id}


async def reset(exchange: ChatService, inbox: Inbox, thread: Thread) -> ResetOutcome:
    """Forget what was said in this place. What sat idle has expired, swept or not. Raises StoreUnavailable."""
    if await exchange.find(thread) is None:
        return ResetOutcome.NOTHING
    return await inbox.reset(thread, chat_turns.speaker(thread))
