"""Recall: a client's history is compared while nothing waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from bot.prompt.history import Turn, Utterance
from bot.store import chat_turns, claims, recalled_turns
from bot.store.chat_turns import NewTurn
from bot.store.settlement import Settlement, TurnState
from bot.testing import ScriptedLLM, SettableClock
from bot.turns import recall
from bot.turns.chat_question import Question
from bot.turns.cpu import INLINE
from tests.support.builders import DAY
from tests.support.interfered_store import InterferedStore
from tests.support.timeouts import GENEROUS_S
from tests.turns.test_chat_service import OURS, ChatStage

SHORT = (Turn((Utterance("", "a"),), "b"),)
LONG = (Turn((Utterance("", "a"),), "b" * INLINE),)


@pytest.fixture
async def stage(database_url: str, llm: ScriptedLLM, clock: SettableClock) -> AsyncIterator[ChatStage]:
    """Open a chat service on each database."""
    store = InterferedStore(database_url)
    yield ChatStage(store, llm, clock)
    await store.close()


async def answer(stage: ChatStage, earlier: Sequence[Turn]) -> str:
    """Return the answer to a question with these earlier turns."""
    question = Question("key-1", OURS, texts=("and now?",), earlier=tuple(earlier))
    async with stage.chat.ask(question) as reply, aclosing(reply.words()) as words:
        return "".join([piece async for piece in words if isinstance(piece, str)])


async def test_nothing_waits_for_a_long_comparison(
    stage: ChatStage, llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a long history is compared, the event loop runs, and so do transactions and other sessions' questions."""
    loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def compare(*_: object, **__: object) -> Sequence[Turn]:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(GENEROUS_S)
        return SHORT

    monkeypatch.setattr(recall, "missing_turns", compare)
    for text in ("hi", "fine"):
        llm.script(text)
    asking = asyncio.create_task(answer(stage, LONG))
    await begun.wait()
    other = await stage.asks("hello", session="other")
    go_on.set()

    assert (other[0], await asking) == ("hi", "fine")


async def test_a_short_comparison_needs_no_thread(
    stage: ChatStage, llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most histories are short, and a thread would cost more than the comparison."""
    compared: list[int] = []

    def compare(*_: object, **__: object) -> Sequence[Turn]:
        compared.append(threading.get_ident())
        return ()

    monkeypatch.setattr(recall, "missing_turns", compare)
    llm.script("fine")

    assert await answer(stage, SHORT) == "fine"
    assert compared == [threading.get_ident()]


async def test_a_session_that_changes_during_the_comparison_is_compared_again(
    stage: ChatStage, llm: ScriptedLLM
) -> None:
    """Another process may bring the same turns meanwhile. They are not doubled."""

    async def bring(_: Any) -> None:
        stage.store.after.clear()
        lease, new = stage.driver.lease("there", DAY), NewTurn(("elsewhere",), SHORT, None, 0)
        claim = await stage.store.run(chat_turns.begin, lease, OURS, new, new_id="s99", idle_after=DAY)
        assert isinstance(claim, chat_turns.ChatClaim)
        settlement = Settlement(TurnState.ANSWERED, "answered")
        assert await stage.store.run(claims.settle, claim, settlement, now=stage.driver.now)

    stage.store.after[recalled_turns.read] = bring
    llm.script("fine")

    assert await answer(stage, SHORT) == "fine"
    shown = [message["content"] for message in llm.calls[-1].messages[1:]]
    assert shown == ["a", "b", "elsewhere", "answered", "and now?"]
