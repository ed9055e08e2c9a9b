"""The chat service: one critical moment in each test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from bot.domain.events import Thread
from bot.domain.sessions import IdleLimits, Opened
from bot.errors import ModelError, Overloaded, SessionClosed, SessionLost, StoreUnavailable, Trouble
from bot.llm import LLM, Done, Usage
from bot.prompt.budget import Budget
from bot.prompt.history import ChatMessage, Turn, Utterance
from bot.store import chat_turns, claims, tables
from bot.store.chat_turns import NewTurn
from bot.store.history import PAGE
from bot.store.leases import LeaseRequest
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from bot.turns.chat_question import Question
from bot.turns.chat_service import ChatService
from bot.turns.leases import LeaseKeeper
from bot.turns.policies import WITHDRAWABLE
from bot.turns.request_limiter import RequestLimiter
from bot.turns.service import TurnService
from bot.turns.session_locks import SessionLocks
from bot.turns.summariser import Summariser
from bot.turns.token_accounts import TokenAccounts
from tests.support.builders import DAY, PLACES
from tests.support.interfered_store import InterferedStore
from tests.support.store_driver import StoreDriver
from tests.support.timeouts import GENEROUS_S
from tests.support.work_layer import Echo, RecordingAssistant

OURS = PLACES.session("key-1", "one")


class ChatStage:
    """A chat service with its parts."""

    def __init__(self, store: InterferedStore, llm: LLM, clock: SettableClock, *, budget: Budget | None = None) -> None:
        self.store = store
        self.driver = StoreDriver(store, clock)
        self.leases = LeaseKeeper(store, owner="here", clock=clock.now)
        budget = budget or Budget(window_tokens=2_000, answer_tokens=100, history_tokens=1_000)
        accounts = TokenAccounts(store, tokens_per_minute=1_000_000, clock=clock.now)
        self.summariser = Summariser(store, llm, budget, self.leases, accounts, clock=clock.now)
        self.assistant, idle = RecordingAssistant(llm, persona="You are helpful.", budget=budget), IdleLimits(DAY)
        self.chat = ChatService(
            TurnService(store, self.assistant, self.summariser, WITHDRAWABLE, clock=clock.now, idle=idle),
            self.assistant,
            self.leases,
            limiter=RequestLimiter(accounts, most=3, most_of_one=2),
            locks=SessionLocks(timeout_s=20),
            clock=clock.now,
            new_id=self.driver.new_id,
            idle=idle,
        )

    async def asks(
        self, text: str = "hello", *, owner: str = "key-1", session: str = "one"
    ) -> tuple[str, Opened | None]:
        """Return the whole answer, and how the session was found."""
        question = Question(owner, PLACES.session(owner, session), texts=(text,))
        async with self.chat.ask(question) as reply, aclosing(reply.words()) as words:
            *pieces, done = [piece async for piece in words]
        assert isinstance(done, Done)
        return "".join(map(str, pieces)), reply.opened

    async def rows(self) -> list[int]:
        """Return the numbers of sessions, turns and messages."""
        return [len(await self.driver.rows(table)) for table in (tables.SESSIONS, tables.TURNS, tables.MESSAGES)]


@pytest.fixture
async def stage(database_url: str, llm: ScriptedLLM, clock: SettableClock) -> AsyncIterator[ChatStage]:
    """Open a chat service on each database."""
    store = InterferedStore(database_url)
    yield ChatStage(store, llm, clock)
    await store.close()


async def test_a_question_takes_its_turn_before_it_costs_time(
    stage: ChatStage, llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many questions that are ready at once are composed, and asked, a few in each pass of the loop."""
    waiting, allowed = 0, asyncio.Semaphore(0)

    async def step() -> None:
        nonlocal waiting
        waiting += 1
        await allowed.acquire()

    monkeypatch.setattr(stage.chat.pacer, "step", step)
    llm.script("Try again.")
    asking = asyncio.create_task(stage.asks())
    seen = []
    for number in (1, 2):
        async with asyncio.timeout(GENEROUS_S):
            while waiting < number:  # noqa: ASYNC110 - the store's threads tell nobody
                await asyncio.sleep(0)
        seen.append((len(stage.assistant.answers), len(llm.calls)))
        allowed.release()
    for _ in range(2):  # for the word and the Done
        allowed.release()

    assert await asking == ("Try again.", Opened.CREATED)
    assert seen == [(0, 0), (1, 0)]


async def test_a_lease_that_ends_with_its_turn_is_not_lost(stage: ChatStage, llm: ScriptedLLM) -> None:
    """A renewal that runs while the turn is settled does not fail the answer."""
    llm.script("Try again.")
    stage.store.after[claims.settle] = lambda _: stage.leases.renew()

    assert await stage.asks() == ("Try again.", Opened.CREATED)


async def test_what_follows_a_turn_is_not_its_end(stage: ChatStage, llm: ScriptedLLM) -> None:
    """After the settlement another process may take the session's lease while the last bytes are sent."""
    llm.script("Try again.")

    async def next_one(_: object) -> None:
        await stage.store.run(chat_turns.begin, *_elsewhere(stage), new_id="s99", idle_after=DAY)
        await stage.leases.renew()

    stage.store.after[claims.settle] = next_one
    assert await stage.asks() == ("Try again.", Opened.CREATED)


async def test_a_lease_that_was_lost_ends_the_answer(stage: ChatStage, llm: ScriptedLLM) -> None:
    """When another process has taken the session, the answer ends and nothing of it is stored."""
    llm.script("Try ", PausedStep())
    asking = asyncio.create_task(stage.asks("first"))
    await llm.called(1)
    await stage.driver.lapse()
    other = await stage.store.run(chat_turns.begin, *_elsewhere(stage), new_id="s99", idle_after=DAY)
    await stage.leases.renew()

    with pytest.raises(SessionLost):
        await asking
    assert isinstance(other, chat_turns.ChatClaim)
    assert [row.text for row in await stage.driver.rows(tables.MESSAGES)] == ["second"]


@pytest.mark.parametrize("error", [SessionLost, SessionClosed])
async def test_an_interruption_closes_the_model_while_the_caller_reads_nothing(
    stage: ChatStage, llm: ScriptedLLM, error: type[Exception]
) -> None:
    """A slow caller has the first word. A lost lease or a reset closes the model's stream at once all the same."""
    llm.script("Try ", "again.")
    async with stage.chat.ask(Question("key-1", OURS, texts=("first",))) as reply, aclosing(reply.words()) as words:
        assert await anext(words) == "Try "
        if error is SessionLost:
            await stage.driver.lapse()
            await stage.store.run(chat_turns.begin, *_elsewhere(stage), new_id="s99", idle_after=DAY)
            await stage.leases.renew()
        else:
            await stage.driver.reset(OURS, chat_turns.speaker(OURS))
            await stage.leases.poll_interruptions()
        await asyncio.sleep(0)
        assert llm.closed_early == 1

        with pytest.raises(error):
            await anext(words)
    assert llm.closed_early == 1


@pytest.mark.parametrize("function", [chat_turns.begin, claims.settle])
async def test_a_client_that_leaves_during_a_commit_leaves_no_half_turn(
    stage: ChatStage, llm: ScriptedLLM, function: Any
) -> None:
    """A client that leaves while the turn begins has it withdrawn; one that leaves while it is settled does not.

    The session is free at once in both cases.
    """
    llm.script("one")
    if function is claims.settle:
        llm.script("two")
    cancelled = asyncio.Event()

    async def cancel(_: object) -> None:
        asking.cancel()
        cancelled.set()
        await asyncio.sleep(0)

    stage.store.after[function] = cancel
    asking = asyncio.create_task(stage.asks("first"))
    await asyncio.gather(asking, return_exceptions=True)
    stage.store.after.clear()
    _, opened = await stage.asks("second")

    assert (asking.cancelled(), cancelled.is_set()) == (True, True)
    assert opened is (Opened.CREATED if function is chat_turns.begin else Opened.CONTINUED)


async def test_a_client_that_leaves_while_the_database_is_busy_is_withdrawn(stage: ChatStage, llm: ScriptedLLM) -> None:
    """The queued withdrawal runs even if the task is cancelled twice, as HTTP servers do."""
    llm.script(PausedStep())
    llm.script("two")
    asking = asyncio.create_task(stage.asks("first"))
    await llm.called(1)

    async def cancel_again() -> None:
        asking.cancel()

    stage.store.before[chat_turns.withdraw] = cancel_again
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert await stage.asks("second") == ("two", Opened.CREATED)


async def test_an_unavailable_database_is_reported(stage: ChatStage, llm: ScriptedLLM) -> None:
    """An answer that cannot be stored raises StoreUnavailable, also after its last word."""
    llm.script("Try again.")

    async def away() -> None:
        raise StoreUnavailable("away")

    stage.store.before[claims.settle] = away
    with pytest.raises(StoreUnavailable):
        await stage.asks()
    assert await stage.rows() == [0, 0, 0]


async def test_a_failed_withdrawal_is_repeated_by_the_next_question(stage: ChatStage, llm: ScriptedLLM) -> None:
    """After the lease has run out, the next question withdraws the abandoned turn."""
    llm.script(ModelError(Trouble.TIMEOUT, "slow"))
    llm.script("two")

    async def away() -> None:
        raise StoreUnavailable("away")

    stage.store.before[chat_turns.withdraw] = away
    with pytest.raises(ModelError):
        await stage.asks("first")
    stage.store.before.clear()
    await stage.driver.lapse()

    assert await stage.asks("second") == ("two", Opened.CREATED)
    assert not llm.calls[1].knows("first")


async def test_no_more_than_the_limits_ask_at_once(stage: ChatStage, llm: ScriptedLLM) -> None:
    """The limits count running and waiting questions, in total and for each owner. A finished question makes room."""
    for _ in range(2):
        llm.script(PausedStep(), "late")
    asking = [asyncio.create_task(stage.asks()) for _ in range(2)]
    await llm.called(1)
    with pytest.raises(Overloaded):
        await stage.asks(session="two")
    asking.append(asyncio.create_task(stage.asks(owner="key-2")))
    await llm.called(2)
    with pytest.raises(Overloaded):
        await stage.asks(owner="key-3")

    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    llm.script("soon")
    assert (await stage.asks())[0] == "soon"
    assert stage.chat.running == 0


async def test_a_reset_while_the_answer_is_stored_is_seen(stage: ChatStage, llm: ScriptedLLM) -> None:
    """If the session is reset between the model's last word and the commit, the answer is not stored."""
    llm.script("Try again.")

    async def close() -> None:
        await stage.driver.reset(OURS, chat_turns.speaker(OURS))

    stage.store.before[claims.settle] = close
    with pytest.raises(SessionClosed):
        await stage.asks("first")
    stage.store.before.clear()
    llm.script("two")
    assert await stage.asks("second") == ("two", Opened.CREATED)


async def test_a_long_session_goes_on_with_a_summary(stage: ChatStage, llm: ScriptedLLM) -> None:
    """Turns that no longer fit are summarised after an answer, with the caller as the only person."""
    for number in range(4):
        llm.script("y" * 700)
        if number == 3:
            llm.script("the gist")
        await stage.asks(f"{number}" + "x" * 700)
    await stage.summariser.idle()
    llm.script("ok")
    await stage.asks("and now?")

    *_, summarised, last = llm.calls
    assert "The user: 0xxx" in summarised.messages[-1]["content"]
    assert last.knows("the gist")
    assert not last.knows("0xxx")
    assert last.messages[-1]["content"] == "and now?"


async def test_a_summary_of_a_callers_session_changes_nothing_for_others(stage: ChatStage, llm: ScriptedLLM) -> None:
    """A summary that the backend refuses, or counts far above its estimate, narrows nobody else's budget."""
    room = stage.assistant.room
    for number in range(4):
        llm.script("y" * 700)
        if number == 3:
            llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long", window=1_500))
            for _ in range(2):
                llm.script("the gist", usage=Usage(100_000, 0, 1))
        await stage.asks(f"{number}" + "x" * 700)
    await stage.summariser.idle()

    assert stage.assistant.room == room
    assert stage.assistant.budget.ratio == 1.0


async def test_a_caller_is_the_only_person_in_a_long_session(stage: ChatStage, clock: SettableClock) -> None:
    """No message of the caller begins with a name, also when only a part of the history is read."""
    echoing = ChatStage(stage.store, Echo(), clock)
    brought = tuple(Turn((Utterance("", f"{number} {'x' * 100}"),), "y") for number in range(PAGE + 1))
    question = Question("key-1", OURS, texts=("and now?",), earlier=brought)
    async with echoing.chat.ask(question) as reply, aclosing(reply.words()) as words:
        answer, _ = [piece async for piece in words]
    await echoing.summariser.stop()

    assert answer == "and now?"


@pytest.mark.parametrize("recalled", [(), (Turn((Utterance("", "a"),), "b"),)])
async def test_what_is_too_long_is_refused_and_leaves_nothing(stage: ChatStage, recalled: tuple[Turn, ...]) -> None:
    """A question that is too long is refused without a request to the model, and nothing is stored."""
    question = Question("key-1", OURS, texts=("x" * 20_000,), earlier=recalled)
    with pytest.raises(ModelError) as refused:
        async with stage.chat.ask(question):
            pass

    assert refused.value.trouble is Trouble.WINDOW_EXCEEDED
    assert await stage.rows() == [0, 0, 0]


async def test_without_a_session_the_window_is_the_limit(stage: ChatStage, llm: ScriptedLLM) -> None:
    """Without a session, HISTORY_TOKENS does not limit the messages."""
    llm.script("ok")
    for size, is_asked in ((4_500, True), (9_000, False)):
        messages: tuple[ChatMessage, ...] = ({"role": "user", "content": "xxxx " * (size // 5)},)
        with contextlib.suppress(ModelError) if not is_asked else contextlib.nullcontext():
            async with stage.chat.ask(Question("key-1", None, messages=messages)) as reply:
                assert is_asked
                assert await anext(reply.words()) == "ok"

    assert len(llm.calls) == 1


async def test_another_model_has_a_budget_of_its_own(stage: ChatStage, llm: ScriptedLLM) -> None:
    """The narrow window of a model that one caller chose does not change another model's budget."""
    messages: tuple[ChatMessage, ...] = ({"role": "user", "content": "xxxx " * 800},)
    narrow = {"model": "narrow"}
    llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long", window=600))
    llm.script("ok")
    for parameters, words in ((narrow, None), (narrow, None), ({}, "ok")):
        question = Question("key-1", None, messages=messages, parameters=parameters)
        with contextlib.suppress(ModelError) if words is None else contextlib.nullcontext():
            async with stage.chat.ask(question) as reply, aclosing(reply.words()) as pieces:
                assert await anext(pieces) == words

    assert [call.parameters for call in llm.calls] == [narrow, {}]


def _elsewhere(stage: ChatStage) -> tuple[LeaseRequest, Thread, NewTurn]:
    """Return the arguments with which another process begins."""
    return stage.driver.lease("there", DAY), OURS, NewTurn(("second",))
