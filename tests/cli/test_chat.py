"""The chat in the terminal: typed lines are messages or commands."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot import Attendant
from bot.cli.chat import talk
from bot.cli.terminal_text import BOLD, NORMAL
from bot.config.settings import Settings
from bot.domain import session_texts, texts
from bot.domain.sessions import ResetOutcome, StopOutcome
from bot.errors import ModelError, Trouble
from bot.testing import ScriptedLLM

NOTHING_RUNS = texts.fixed_reply(StopOutcome.NOTHING_RUNS)


async def shown(database_url: str, llm: ScriptedLLM, *typed: str, on_terminal: bool = False) -> list[str]:
    """Return the terminal's paragraphs after these lines were typed."""

    async def lines() -> AsyncIterator[str]:
        for line in typed:
            yield line

    written: list[str] = []
    async with Attendant.open(Settings.load({"DATABASE_URL": database_url}), llm=llm) as attendant:
        await talk(attendant, lines(), written.append, on_terminal=on_terminal)
    return "".join(written).split("\n\n")[:-1]


async def test_a_conversation_goes_on_until_it_is_reset(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """The chat answers each line before it reads the next one. It ignores blank lines."""
    for answer in ("one", "two", "three"):
        llm.script(answer)
    told = await shown(empty_sqlite_url, llm, "my VPN is down", "", "second", "!reset", "third")

    assert told == ["one", "two", texts.reset(ResetOutcome.DONE), "three"]
    assert [call.knows("my VPN is down") for call in llm.calls] == [True, True, False]


async def test_a_stop_is_no_reset(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """If no answer runs, the chat says so after `!stop`, even on the first line. The history stays."""
    llm.script("one")
    llm.script("two")
    told = await shown(empty_sqlite_url, llm, "!stop", "my VPN is down", "!stop", "second")

    assert told == [NOTHING_RUNS, "one", NOTHING_RUNS, "two"]
    assert llm.calls[1].knows("my VPN is down")


async def test_status_shows_the_memory_in_figures(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """`!status` shows figures and does not call the model. Before the first message there are none."""
    llm.script("one")
    nothing, _, told = await shown(empty_sqlite_url, llm, "!status", "my VPN is down", "!status")

    assert nothing == session_texts.memory(None)
    assert "one answer" in told


async def test_a_model_in_trouble_ends_in_a_sentence(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """A failure prints a sentence instead of a traceback, and the chat continues."""
    llm.script("half of", ModelError(Trouble.CUT, "for operators"))
    llm.script("whole")
    told = await shown(empty_sqlite_url, llm, "first", "second")

    assert told == ["half of", texts.trouble(Trouble.CUT), "whole"]


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\x00", "\u202e"])
async def test_a_model_cannot_steer_the_terminal(empty_sqlite_url: str, llm: ScriptedLLM, character: str) -> None:
    """Only text, line breaks and tabs reach the terminal."""
    llm.script(f"a{character}b\tc")

    assert await shown(empty_sqlite_url, llm, "hello") == ["ab\tc"]


async def test_a_terminal_shows_bold_text(empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """On a terminal marks become bold text, also at the end of an answer. In a pipe they stay."""
    for _ in range(2):
        llm.script("Turn it *off* and **", "on**")

    assert await shown(empty_sqlite_url, llm, "hello", on_terminal=True) == [
        f"Turn it {BOLD}off{NORMAL} and {BOLD}on{NORMAL}"
    ]
    assert await shown(empty_sqlite_url, llm, "hello") == ["Turn it *off* and **on**"]
