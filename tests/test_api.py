"""The attendant in Python: separate chats by id, one persona for all, and the same sessions over HTTP."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from bot import Attendant
from bot.config.settings import Settings
from bot.domain import texts
from bot.domain.sessions import ResetOutcome
from bot.errors import ModelError, SessionClosed, SessionNotFound, StartupError, Trouble
from bot.testing import PausedStep, ScriptedLLM
from tests.support.gateway_stage import GatewayStage
from tests.support.timeouts import GENEROUS_S
from tests.support.work_layer import Echo


def settings(database_url: str) -> Settings:
    """Return settings that name this database and nothing else."""
    return Settings.load({"DATABASE_URL": database_url})


async def test_each_chat_has_its_own_memory(database_url: str, llm: ScriptedLLM) -> None:
    """Each chat has a UUID and its own memory. All chats share the persona."""
    for answer in ("Hello Alice", "Alice", "I do not know"):
        llm.script(answer)
    async with Attendant.open(settings(database_url), llm=llm) as attendant:
        one, two = await attendant.create_chat(), await attendant.create_chat()
        await attendant.send_message(one, "My name is Alice")
        answers = [await attendant.send_message(chat, "What's my name?") for chat in (one, UUID(two))]

    assert answers == ["Alice", "I do not know"]
    assert [call.knows("Alice") for call in llm.calls] == [True, True, False]
    assert len({call.messages[0]["content"] for call in llm.calls}) == 1
    assert UUID(one) != UUID(two)


async def test_many_chats_at_once(empty_sqlite_url: str) -> None:
    """Chats do not wait for each other, and nothing leaks between them."""
    async with Attendant.open(settings(empty_sqlite_url), llm=Echo()) as attendant:
        chats = [await attendant.create_chat() for _ in range(50)]
        told = await asyncio.gather(*(attendant.send_message(chat, chat) for chat in chats))

    assert told == chats


@pytest.mark.parametrize("chat", ["00000000-0000-4000-8000-000000000000", "nonsense", ""])
async def test_an_unknown_chat_is_an_error(empty_sqlite_url: str, llm: ScriptedLLM, chat: str) -> None:
    """The error is a ValueError with a message that callers know. The model is not called."""
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        with pytest.raises(SessionNotFound, match=r"^Chat session not found$") as raised:
            await attendant.send_message(chat, "hello")

    assert isinstance(raised.value, ValueError)


async def test_a_chat_outlives_the_process(database_url: str, llm: ScriptedLLM) -> None:
    """A chat continues after the attendant was closed and opened again."""
    llm.script("Hello Alice")
    llm.script("Alice")
    async with Attendant.open(settings(database_url), llm=llm) as attendant:
        chat = await attendant.create_chat()
        await attendant.send_message(chat, "My name is Alice")
    async with Attendant.open(settings(database_url), llm=llm) as attendant:
        await attendant.send_message(chat, "What's my name?")

    assert llm.calls[1].knows("My name is Alice")


async def test_an_answer_comes_piece_by_piece(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """The caller gets the first piece while the model still streams. A truncated answer ends with a note."""
    hold = PausedStep()
    llm.script("Try ", hold, "again.", truncated=True)
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        pieces = attendant.stream_message(await attendant.create_chat(), "hello")
        first = await anext(pieces)
        hold.release()

        assert [first, *[piece async for piece in pieces]] == ["Try ", "again.", f"\n\n{texts.TRUNCATED}"]


async def test_a_half_read_answer_is_withdrawn(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """An answer is withdrawn if its stream is closed, left open, or read by a task. The end does not wait."""
    for _ in range(3):
        llm.script("Try ", PausedStep())
    llm.script("anew")
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        chats = [await attendant.create_chat() for _ in range(3)]
        streams = [attendant.stream_message(chat, "My name is Alice") for chat in chats]
        await anext(streams[0])
        await streams[0].aclose()
        await anext(streams[1])
        sending = asyncio.create_task(attendant.send_message(chats[2], "My name is Alice"))
        await llm.called(3)
    await asyncio.gather(sending, return_exceptions=True)
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        await attendant.send_message(chats[1], "hello")

    assert sending.cancelled()
    assert not llm.calls[3].knows("Alice")
    await streams[1].aclose()


async def test_a_reader_that_has_stopped_is_not_cancelled(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """A task that works between two pieces, or has ended, is not cancelled and does not delay the end of the block."""
    for _ in range(2):
        llm.script("Try ", PausedStep())
    work = asyncio.Event()

    async def show(stream: AsyncGenerator[str, None], *, goes_on: bool) -> str:
        piece = await anext(stream)
        if goes_on:
            await work.wait()
        return piece

    async with asyncio.timeout(GENEROUS_S), Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        chats = [await attendant.create_chat() for _ in range(2)]
        streams = [attendant.stream_message(chat, "hello") for chat in chats]
        ended = asyncio.create_task(show(streams[0], goes_on=False))
        reading = asyncio.create_task(show(streams[1], goes_on=True))
        await ended
        await llm.called(2)
        await asyncio.sleep(0)
    work.set()

    assert await reading == "Try "
    for stream in streams:
        await stream.aclose()


async def test_one_chat_answers_one_message_after_the_other(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """The second message is answered after the first, and sees its answer."""
    hold = PausedStep()
    llm.script(hold, "one")
    llm.script("two")
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        chat = await attendant.create_chat()
        sending = [asyncio.create_task(attendant.send_message(chat, said)) for said in ("first", "second")]
        await hold.reached()
        hold.release()

        assert await asyncio.gather(*sending) == ["one", "two"]
    assert [message["content"] for message in llm.calls[1].messages[1:]] == ["first", "one", "second"]


async def test_a_model_in_trouble_is_an_error(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """The error has the reason. The question is not remembered, so that the caller can repeat it."""
    llm.script("half", ModelError(Trouble.CUT, "for operators"))
    llm.script("whole")
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        chat = await attendant.create_chat()
        with pytest.raises(ModelError) as raised:
            await attendant.send_message(chat, "hello")
        await attendant.send_message(chat, "hello")

    assert raised.value.trouble is Trouble.CUT
    assert len(llm.calls[1].messages) == 2


async def test_a_chat_is_reset(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """A caller that waits for an answer gets SessionClosed. The next message starts a new session."""
    hold = PausedStep()
    llm.script(hold)
    llm.script("anew")
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        chat = await attendant.create_chat()
        assert await attendant.reset_chat(chat) is ResetOutcome.NOTHING
        sending = asyncio.create_task(attendant.send_message(chat, "My name is Alice"))
        await hold.reached()

        assert await attendant.reset_chat(chat) is ResetOutcome.DONE
        with pytest.raises(SessionClosed):
            await sending
        assert await attendant.send_message(chat, "hello") == "anew"
    assert not llm.calls[1].knows("Alice")


async def test_a_keys_chats_go_on_over_http_and_back(gate: GatewayStage) -> None:
    """The chats continue under their id and key. Without the key they are unknown."""
    gate.clock.advance(datetime.now(UTC) - gate.clock.now())
    async with Attendant.open(gate.settings, key=gate.key) as attendant:
        chat = await attendant.create_chat()
        await attendant.send_message(chat, "My name is Alice")
        over_http = await gate.asks("What's my name?", session=chat)
        back = await attendant.send_message(chat, "And now?")
        await gate.asks("hello", session="made over http")
        other = await attendant.send_message("made over http", "What did I say?")

    assert over_http.state == "continued"
    assert ("My name is Alice" in over_http.text, "What's my name?" in back, "hello" in other) == (True, True, True)
    async with Attendant.open(gate.settings) as attendant:
        with pytest.raises(SessionNotFound):
            await attendant.send_message(chat, "hello")


async def test_a_wrong_key_is_an_error_of_one_line(gate: GatewayStage) -> None:
    """The error is one line with the remedy, without the key."""
    for key in ("nonsense", gate.key[:-1] + ("1" if gate.key[-1] == "0" else "0")):
        with pytest.raises(StartupError, match=r"^[^\n]+attendant keys create NAME$") as raised:
            await Attendant.open(gate.settings, key=key).__aenter__()

        assert key not in str(raised.value)


def test_importing_the_package_loads_nothing() -> None:
    """`import bot` imports none of its modules. They are imported when Attendant is first used."""
    script = "import sys, bot; print(len([name for name in sys.modules if name.startswith('bot.')])); bot.Attendant"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == "0"


@pytest.mark.parametrize("text", [None, 7])
async def test_a_message_that_is_no_text_is_refused(empty_sqlite_url: str, llm: ScriptedLLM, text: Any) -> None:
    """The TypeError names the type. The model is not called."""
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        chat = await attendant.create_chat()
        with pytest.raises(TypeError, match=f"a message is a str, not {type(text).__name__}"):
            await attendant.send_message(chat, text)

    assert llm.calls == []


async def test_an_attendant_is_closed_after_its_block(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """After the block every method raises an error that says so."""
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        chat = await attendant.create_chat()

    calls: list[Any] = [
        attendant.create_chat,
        partial(attendant.send_message, chat, "hi"),
        partial(attendant.memory, chat),
    ]
    for late in calls:
        with pytest.raises(RuntimeError, match=r"closed.*async with"):
            await late()


@pytest.mark.parametrize("pieces", [("Try ", "again."), ("Try again.",)])
async def test_an_answer_cannot_be_read_after_its_block(
    empty_sqlite_url: str, llm: ScriptedLLM, pieces: tuple[str, ...]
) -> None:
    """The next piece raises an error that says that the attendant is closed. Nothing of the answer is remembered."""
    llm.script(*pieces)
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        chat = await attendant.create_chat()
        stream = attendant.stream_message(chat, "hello")
        await anext(stream)

    with pytest.raises(RuntimeError, match=r"closed.*async with"):
        await anext(stream)
    async with Attendant.open(settings(empty_sqlite_url), llm=llm) as attendant:
        assert await attendant.memory(chat) is None
