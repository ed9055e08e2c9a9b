"""The status commands: in the thread, and by slash command."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from bot.domain import session_texts
from tests.support.openai_server import says
from tests.support.room import Room

NOTHING = session_texts.memory(None)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("text", ["!status", "@attendant status", "@attendant /Status."])
async def test_a_status_shows_the_memory_of_the_thread(room: Room, text: str) -> None:
    """The status gives start, turns, share of the window and expiry. It quotes no text and does not ask the model."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    room.clock.advance(HOUR)
    talk.says("still down")
    await talk.answers(2)
    await room.settled()
    room.clock.advance(2 * HOUR)

    talk.says(text, by=room.guest("Ben"))

    told = (await talk.answers(3))[-1]
    assert "started 3 hours ago, 2 answers, 0% of" in told
    assert "forget it in 22 hours unless" in told
    assert len(room.model.requests) == 2


@pytest.mark.parametrize("room_settings", [{"history_tokens": 200}])
async def test_a_status_shows_the_used_share_of_the_window(room: Room) -> None:
    """The longer the conversation, the larger the share of the window in the status."""
    room.model.script(says("x" * 300))
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()

    talk.says("!status")

    share = re.search(r"one answer, (\d+)% of", (await talk.answers(2))[-1])
    assert share is not None
    assert 30 < int(share[1]) < 90


async def test_a_status_does_not_extend_a_session(room: Room) -> None:
    """The conversation expires at its old time. Then the status says that nothing is remembered."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.clock.advance(23 * HOUR)
    talk.says("!status")
    assert "in 1 hour unless" in (await talk.answers(2))[-1]
    room.clock.advance(HOUR + timedelta(seconds=1))

    talk.says("!status")

    assert (await talk.answers(3))[-1] == NOTHING


async def test_after_a_reset_nothing_is_remembered(room: Room) -> None:
    """The status after a reset says that nothing is remembered."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    talk.says("!reset")
    await talk.answers(2)

    talk.says("!status")

    assert (await talk.answers(3))[-1] == NOTHING


async def test_a_status_in_a_thread_without_the_bot_needs_a_mention(room: Room) -> None:
    """A bare `!status` in a thread of people may be meant for another bot. A mention is answered."""
    talk = room.guest("Ana").posts("testing our own bot")
    talk.says("!status")
    await room.acknowledged()
    assert talk.messages() == []

    talk.says("@attendant status")

    assert await talk.answers(1) == [NOTHING]


async def test_a_sentence_about_the_status_is_a_message(room: Room) -> None:
    """Only the bare word is the command."""
    talk = room.guest("Ana").mentions("status of my ticket?")

    assert await talk.answers(1) == ["I was shown: status of my ticket?"]


async def test_the_slash_command_lists_open_conversations(room: Room) -> None:
    """The list has the caller's conversations in the channel, each with a link, its start and its expiry."""
    ana = room.guest("Ana")
    assert (await ana.commands("/attendant", "status")).text == session_texts.status(0, [], 24 * HOUR)
    talk = ana.mentions("my VPN is down")
    await room.guest("Ben").mentions("my badge is lost").answers(1)
    await talk.answers(1)
    await room.settled()
    room.clock.advance(HOUR)

    first, line = (await ana.commands("/attendant", "status")).text.splitlines()

    assert "one open conversation" in first
    assert f"/archives/{talk.channel.id}/p{talk.root.replace('.', '')}|" in line
    assert line.endswith(": started 1 hour ago, one answer, forgotten in 23 hours")


@pytest.mark.parametrize(
    "room_settings", [{"session_idle_hours_by_channel": (("C0HELPDESK", 2.0),)}], ids=["two hours"]
)
async def test_a_status_shows_the_channels_own_limit(room: Room) -> None:
    """In a channel with an idle limit of its own, both commands show that limit."""
    ana = room.guest("Ana")
    talk, direct = ana.mentions("my VPN is down"), ana.writes("and my screen flickers")
    await talk.answers(1)
    await direct.answers(1)
    await room.settled()

    talk.says("!status")
    direct.says("!status")

    assert "in 2 hours unless" in (await talk.answers(2))[-1]
    assert "in 1 day unless" in (await direct.answers(2))[-1]
    assert "after 2 hours without" in (await ana.commands("/attendant", "status")).text
