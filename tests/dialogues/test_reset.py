"""Resets by text, slash command and shortcut: who may reset, and what is forgotten."""

from __future__ import annotations

import pytest

from bot.domain import texts
from bot.domain.sessions import ResetOutcome
from bot.manifest import START_OVER
from bot.playground.workspace.block_kit import buttons
from tests.support.room import Room

DONE = texts.reset(ResetOutcome.DONE)
NOTHING = texts.reset(ResetOutcome.NOTHING)


@pytest.mark.parametrize("text", ["!reset", "@attendant reset", "@attendant Reset.", "@attendant /reset"])
async def test_reset_in_a_thread_forgets_it(room: Room, text: str) -> None:
    """`!reset` or a mention with `reset` is confirmed in the thread, and the next message starts afresh."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)

    talk.says(text)
    assert (await talk.answers(2))[-1] == DONE
    talk.says("hello again")

    assert (await talk.answers(3))[-1] == "I was shown: hello again"


async def test_a_second_reset_says_there_was_nothing(room: Room) -> None:
    """A second reset says that there was nothing to reset."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    talk.says("!reset")
    await talk.answers(2)

    talk.says("!reset")

    assert (await talk.answers(3))[-1] == NOTHING


async def test_only_who_took_part_may_reset(room: Room) -> None:
    """A bystander's `!reset` is refused in a sentence, and the conversation goes on."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)

    talk.says("!reset", by=room.guest("Ben"))
    assert (await talk.answers(2))[-1] == texts.reset(ResetOutcome.NOT_YOURS)
    talk.says("still down")

    assert "my VPN is down" in (await talk.answers(3))[-1]


async def test_reset_where_the_bot_takes_no_part_is_left_alone(room: Room) -> None:
    """`!reset` in a thread of people may be meant for another bot."""
    talk = room.guest("Ana").posts("testing our own bot")

    talk.says("!reset")
    await room.acknowledged()

    assert talk.messages() == []


async def test_a_sentence_about_resetting_is_a_message(room: Room) -> None:
    """Only the bare word is the command: a password that wants resetting is a question."""
    talk = room.guest("Ana").mentions("reset my password please")

    assert await talk.answers(1) == ["I was shown: reset my password please"]


async def test_a_bare_reset_outside_threads_in_direct_messages(room: Room) -> None:
    """`!reset` outside a thread of the direct messages forgets all of them, as `/reset` does."""
    ana = room.guest("Ana")
    talks = [ana.writes("my VPN is down"), ana.writes("my screen flickers")]
    for talk in talks:
        await talk.answers(1)

    assert await ana.writes("!reset").answers(1) == [DONE]
    for talk in talks:
        talk.says("hello again")

    for talk in talks:
        assert (await talk.answers(2))[-1] == "I was shown: hello again"


async def test_slash_reset_in_a_direct_message(room: Room) -> None:
    """`/reset` in a direct message forgets all conversations there."""
    ana = room.guest("Ana")
    talk = ana.writes("my VPN is down")
    await talk.answers(1)

    assert (await ana.commands("/reset", channel=talk.channel.name)).text == texts.reset_count(1)
    talk.says("hello again")

    assert (await talk.answers(2))[-1] == "I was shown: hello again"


async def test_slash_reset_with_nothing_to_reset(room: Room) -> None:
    """`/reset` in a channel where the person has no conversation says so."""
    assert (await room.guest("Ana").commands("/reset")).text == texts.SLASH_NOTHING


async def test_slash_reset_with_one_conversation(room: Room) -> None:
    """The caller's only conversation in the channel is reset at once, another person's is not touched."""
    ana, ben = room.guest("Ana"), room.guest("Ben")
    talk, other = ana.mentions("my VPN is down"), ben.mentions("my badge is lost")
    await talk.answers(1)
    await other.answers(1)

    assert (await ana.commands("/attendant", "reset")).text == texts.reset_count(1)
    talk.says("hello again")
    other.says("found it")

    assert (await talk.answers(2))[-1] == "I was shown: hello again"
    assert "my badge is lost" in (await other.answers(2))[-1]


async def test_slash_reset_with_several_offers_a_list(room: Room) -> None:
    """Several conversations are offered as buttons; the one that is pressed is forgotten, the other is not."""
    ana = room.guest("Ana")
    first, second = ana.mentions("my VPN is down"), ana.mentions("my screen flickers")
    await first.answers(1)
    await second.answers(1)

    offer = await ana.commands("/reset")
    (pressed,) = [button for _, button in buttons(offer.blocks) if _is_about(room, button["value"], first.root)]
    room.workspace.interactions.press(ana.person, offer, pressed["action_id"], pressed["value"])
    await room.until(lambda: _last_told(room, ana.person.id) == texts.reset_count(1))
    first.says("hello again")
    second.says("and again")

    assert (await first.answers(2))[-1] == "I was shown: hello again"
    assert "my screen flickers" in (await second.answers(2))[-1]


async def test_slash_reset_all(room: Room) -> None:
    """`/reset all` forgets all of the caller's conversations in the channel without asking."""
    ana = room.guest("Ana")
    talks = [ana.mentions("my VPN is down"), ana.mentions("my screen flickers")]
    for talk in talks:
        await talk.answers(1)

    assert (await ana.commands("/reset", "all")).text == texts.reset_count(2)
    for talk in talks:
        talk.says("hello again")

    for talk in talks:
        assert (await talk.answers(2))[-1] == "I was shown: hello again"


async def test_slash_reset_with_a_link(room: Room) -> None:
    """A thread's link picks the conversation that is forgotten."""
    ana = room.guest("Ana")
    first, second = ana.mentions("my VPN is down"), ana.mentions("my screen flickers")
    await first.answers(1)
    await second.answers(1)

    link = f"https://harbour-and-co.slack.com/archives/{first.channel.id}/p{first.root.replace('.', '')}"
    assert (await ana.commands("/reset", link)).text == DONE
    second.says("still flickers")

    assert "my screen flickers" in (await second.answers(2))[-1]


async def test_the_message_shortcut_starts_over(room: Room) -> None:
    """*Start over* in the menu of any message of the thread forgets its conversation."""
    ana = room.guest("Ana")
    talk = ana.mentions("my VPN is down")
    await talk.answers(1)

    room.workspace.interactions.shortcut(ana.person, talk.messages()[0], START_OVER)
    assert (await ana.ephemerals("help-desk"))[-1].text == DONE
    talk.says("hello again")

    assert (await talk.answers(2))[-1] == "I was shown: hello again"


async def test_help(room: Room) -> None:
    """`/attendant help` lists the bot's commands."""
    assert "!reset" in (await room.guest("Ana").commands("/attendant", "help")).text


async def test_slash_command_from_a_thread(room: Room) -> None:
    """Slack itself refuses slash commands in threads; nothing reaches the bot, nothing is forgotten."""
    ana = room.guest("Ana")
    talk = ana.mentions("my VPN is down")
    await talk.answers(1)

    room.workspace.interactions.command(ana.person, talk.channel, "/reset", "", talk.root)
    talk.says("still down")

    assert "my VPN is down" in (await talk.answers(2))[-1]


def _is_about(room: Room, value: str, root: str) -> bool:
    """Whether a button's value is the session of the thread with this root."""
    from bot.store import sessions  # noqa: PLC0415 - the one look behind the scenes

    with room.services.store.engine.connect() as connection:
        thread = sessions.thread_of(connection, value)
    return thread is not None and thread.root == root


def _last_told(room: Room, person_id: str) -> str:
    told = [m for m in room.workspace.transcript.of_channel("C0HELPDESK") if m.only_for == person_id]
    return told[-1].text if told else ""
