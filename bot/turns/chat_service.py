"""Answers questions of callers who wait for the answer, over HTTP or in Python: the same turns, without a platform.

Rule: one turn at a time in a session; later questions wait, up to a timeout. An unsettled turn is withdrawn, so that a
caller that goes away, or a model that fails, leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial

from bot.domain.events import Thread
from bot.domain.sessions import IdleLimits
from bot.errors import IdempotencyKeyReused, ModelError, SessionBusy, SessionClosed, SessionLost
from bot.llm import Done, Retry, answer_limit
from bot.llm.callers import CallersParameters
from bot.prompt.compose import PromptParts
from bot.prompt.history import Past, Turn, Utterance, speakers
from bot.store import chat_turns
from bot.store.chat_turns import ChatClaim, NewTurn, Outdated
from bot.store.repeated_turns import Repeated
from bot.store.settlement import Settlement, TurnState
from bot.turns.answer import AnswerStream
from bot.turns.assistant import Assistant
from bot.turns.chat_question import Question
from bot.turns.chat_reply import ChatReply, Reply, name_of, repeated, whole_answer
from bot.turns.cpu import compute
from bot.turns.interruption import Interruption
from bot.turns.leases import LeaseKeeper
from bot.turns.pacer import Pacer
from bot.turns.recall import Recall
from bot.turns.request_limiter import RequestLimiter
from bot.turns.running_turn import RunningTurn
from bot.turns.service import TurnService, log_trouble
from bot.turns.session_locks import SessionLocks

CALLER = "The user"  # in summaries
TAKEN_OVER = "another process may have the session by now"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.5  # while another replica answers in the session, doubling

Running = RunningTurn[ChatClaim]


class ChatService:
    """Answers questions: one at a time in each session, many sessions at once."""

    def __init__(
        self,
        turns: TurnService[ChatClaim],
        assistant: Assistant,
        leases: LeaseKeeper,
        *,
        limiter: RequestLimiter,
        locks: SessionLocks,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        idle: IdleLimits,
    ) -> None:
        self._turns = turns
        self._recall = Recall(turns)
        self._assistant = assistant
        self._leases = leases
        self._limiter = limiter
        self._locks = locks
        self._clock = clock
        self._new_id = new_id
        self._idle = idle
        self.pacer = Pacer()
        self._open: set[Running] = set()

    @property
    def running(self) -> int:
        """How many questions are being answered here, or wait for the earlier ones of their session."""
        return self._limiter.running

    @asynccontextmanager
    async def ask(self, question: Question) -> AsyncIterator[ChatReply]:
        """Open the reply to a question for the block.

        Raises SessionBusy when the session stays taken for too long, OutOfTokens, IdempotencyKeyReused, Overloaded,
        StorageFull, and StoreUnavailable.
        """
        with self._limiter.admit(question.owner):
            question = await compute(question.size, question.without_secrets, self._assistant.redactor)
            if question.thread is None:
                answer = await self._begin(question)
                async with self._reserved(question, answer):
                    yield self._reply(question, answer)
                return
            await self._refuse_hopeless(question, question.thread)
            async with self._locks.lock(question.thread) as until:
                begun = await self._claim(question, question.thread, until)
                if isinstance(begun, Repeated):
                    yield repeated(begun)
                    return
                try:
                    answer = await self._answer(begun, question)
                    async with self._reserved(question, answer, begun):
                        yield self._reply(question, answer, begun)
                finally:
                    await self._give_up(begun)

    def uncancelled(self) -> AbstractContextManager[None]:
        """Keep `stop` from cancelling this task while the block runs, because the caller works on its own."""
        return self._limiter.uncancelled()

    async def stop(self) -> None:
        """Cancel the answers that run here; return when all of them are settled or withdrawn."""
        await self._limiter.cancel_all()
        for turn in tuple(self._open):  # their readers left them open
            await self._give_up(turn)

    async def _refuse_hopeless(self, question: Question, thread: Thread) -> None:
        """Raise OutOfTokens before anything is stored, when the tokens cannot suffice even without a history."""
        if question.tokens_left is None:
            return
        most = self._assistant.budget.window + (answer_limit(question.parameters) or 0)
        if "model" not in question.parameters and question.tokens_left >= most:
            return  # they suffice for any prompt of our model, and this one need not be composed once more
        # A long history may crowd out all messages of the question but the last one.
        newest = Turn(tuple(Utterance(question.owner, text) for text in question.texts[-1:]))
        parts = _parts(question, Past(), newest) if question.messages is None else None
        try:
            answer = await self._begin(question, parts)
        except ModelError:  # the window has no room for the question
            return
        if answer.need.least > question.tokens_left and not await self._turns.was_answered(
            thread, question.idempotency_key
        ):
            await self._limiter.check(question.owner, answer)

    @asynccontextmanager
    async def _reserved(
        self, question: Question, answer: AnswerStream, turn: Running | None = None
    ) -> AsyncIterator[None]:
        """Reserve the answer's tokens for the block. If it was settled, the rest may pay for a summary."""
        try:
            async with self._limiter.reserved(question.owner, answer):
                yield
        finally:
            if turn in self._open and turn.over:  # settled, and not withdrawn by a shutdown
                self._turns.compact(turn.claim, answer, _names_of_caller, caller=question.owner)

    async def _claim(self, question: Question, thread: Thread, until: float) -> Running | Repeated:
        """Begin the question's turn, when no other process answers in the session any more."""
        new = await self._new_turn(question, thread)
        pause_s, idle_after = FIRST_PAUSE_S, self._idle.of(thread.channel)
        while True:
            begun = await self._leases.claim(
                self._turns.policy, chat_turns.begin, thread, new, new_id=self._new_id(), idle_after=idle_after
            )
            if begun is not None and not isinstance(begun, Outdated):
                break
            if asyncio.get_running_loop().time() + pause_s > until:
                raise SessionBusy("another question is being answered")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            if begun is not None:  # another process has answered in the session
                new = await self._new_turn(question, thread)
        if isinstance(begun, Repeated) and not begun.same:
            raise IdempotencyKeyReused("another request had this key")
        return begun

    async def _new_turn(self, question: Question, thread: Thread) -> NewTurn:
        if not question.earlier:
            return NewTurn(question.texts, idempotency_key=question.idempotency_key, most_bytes=question.most_bytes)
        lacking, after = await self._recall.lacking(thread, question.earlier)
        return NewTurn(question.texts, lacking, question.idempotency_key, after, question.most_bytes)

    async def _answer(self, turn: Running, question: Question) -> AnswerStream:
        """Gather the session's turns, and begin the answer."""
        self._open.add(turn)
        if question.messages is not None:
            return await self._begin(question, interruption=turn.interruption)
        claim = turn.claim
        past = await self._turns.past(claim.session_id, claim.turn_id)
        past = replace(past, window=replace(past.window, several=False))  # all questions are one caller's
        parts = _parts(question, past, Turn(claim.utterances, id=claim.turn_id))
        return await self._begin(question, parts, interruption=turn.interruption)

    async def _begin(
        self, question: Question, parts: PromptParts | None = None, *, interruption: Interruption | None = None
    ) -> AnswerStream:
        """Begin the answer to a turn with these parts; without them, to the question's messages as they are."""
        begin: Callable[..., AnswerStream] = (
            partial(self._assistant.answer, parts, whole=True)
            if parts is not None
            else partial(self._assistant.complete, question.messages or (), instructions=question.instructions)
        )
        await self.pacer.step()
        return await compute(
            question.size + (parts.size if parts is not None else 0),
            begin,
            parameters=CallersParameters(question.parameters, question.owner),
            can_restart=question.reads_whole,
            interruption=interruption,
        )

    def _reply(self, question: Question, answer: AnswerStream, turn: Running | None = None) -> ChatReply:
        words = partial(self._words, question, answer, turn)
        if turn is None:
            return ChatReply(self._clock(), words, cost=lambda: answer.cost.tokens)
        claim = turn.claim
        name = name_of(claim.session_id, claim.fence)
        return ChatReply(claim.began_at, words, claim.opened, name, cost=lambda: answer.cost.tokens)

    async def _words(
        self, question: Question, answer: AnswerStream, turn: Running | None
    ) -> AsyncGenerator[Reply, None]:
        """Yield the model's words; settle the turn; then yield the Done."""
        await self.pacer.step()  # asking the model takes a millisecond
        async with aclosing(answer.words()) as words:
            async for word in words:
                await self.pacer.step()
                if isinstance(word, str) or (question.reads_whole and isinstance(word, Retry)):
                    yield word
        if turn is not None and answer.result.interrupted is not None:
            raise SessionLost(TAKEN_OVER) if turn.lost else SessionClosed("the session was reset meanwhile")
        request = {"request": question.request}
        log_trouble(answer.result, request if turn is None else turn.claim.log_fields | request)
        done = whole_answer(answer)
        if turn is not None and not done.tool_calls:
            await self._settle(turn, answer, done, question)
        yield done

    async def _settle(self, turn: Running, answer: AnswerStream, done: Done, question: Question) -> None:
        """Store a whole answer. Raises SessionClosed, or SessionLost when another process has the session."""
        self._leases.release(turn)  # the last bytes are not sent under the lease
        settlement = Settlement.by(done, TurnState.ANSWERED, answer.result.text, new_window=answer.new_window)
        if not await self._turns.settle(turn, settlement, request=question.request):
            if turn.lost or await self._leases.is_lost(turn.claim):
                raise SessionLost(TAKEN_OVER)
            raise SessionClosed("the session was reset meanwhile")

    async def _give_up(self, turn: Running) -> None:
        """Withdraw a turn that was not settled."""
        self._open.discard(turn)
        await self._leases.give_up(turn)


def _parts(question: Question, past: Past, newest: Turn) -> PromptParts:
    return PromptParts(past, newest, instructions=question.instructions, following=question.following, one_caller=True)


async def _names_of_caller(turns: Sequence[Turn]) -> Mapping[str, str]:
    """Return the name under which a summary speaks of the caller."""
    return dict.fromkeys(speakers(turns), CALLER)
