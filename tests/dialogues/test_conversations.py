"""The basic rules of a conversation: the messages that the bot answers, and those that it ignores."""

from __future__ import annotations

import pytest

from bot.prompt.marks import MISSING
from tests.support.room import Room, shown


async def test_a_mention_is_answered_in_its_thread(room: Room) -> None:
    """A mention in a public channel is answered in the thread of that message and nowhere else."""
    talk = room.guest("Ana").mentions("my VPN is down")

    assert await talk.answers(1) == ["I was shown: my VPN is down"]
    assert all(message.thread_ts == talk.root for message in room.workspace.app_messages(talk.channel))


async def test_a_private_channel_is_a_channel(room: Room) -> None:
    """A mention in a private channel is answered like any other."""
    talk = room.guest("Chidi").mentions("is the build red?", channel="it-team")

    assert await talk.answers(1) == ["I was shown: is the build red?"]


async def test_replies_need_no_mention(room: Room) -> None:
    """A reply in the bot's thread needs no mention, and the bot remembers the conversation."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)

    talk.says("still down")

    assert (await talk.answers(2))[-1] == ("I was shown: my VPN is down | I was shown: my VPN is down | still down")


async def test_a_direct_message_is_answered(room: Room) -> None:
    """A direct message needs no mention. Its thread is a conversation of its own."""
    talk = room.guest("Ben").writes("can you help?")
    assert await talk.answers(1) == ["I was shown: can you help?"]

    talk.says("with my badge")

    assert (await talk.answers(2))[-1].endswith("| with my badge")


async def test_two_direct_messages_are_two_conversations(room: Room) -> None:
    """Each direct message outside a thread starts a conversation that knows nothing of the other."""
    ben = room.guest("Ben")
    await ben.writes("the first thing").answers(1)

    second = ben.writes("the second thing")

    assert await second.answers(1) == ["I was shown: the second thing"]


async def test_a_mention_inside_a_thread_of_people_is_answered_there(room: Room) -> None:
    """The bot answers in the thread that people started. From then on it takes part there."""
    ana = room.guest("Ana")
    talk = ana.posts("who knows printers?")
    talk.says("not me", by=room.guest("Ben"))

    talk.says("@attendant do you?")
    assert (await talk.answers(1))[0].endswith("ana: do you?")
    talk.says("the big one")

    assert (await talk.answers(2))[-1].endswith("| ana: the big one")


async def test_people_in_one_thread_are_told_apart(room: Room) -> None:
    """When a second person joins, the model reads each message with its author's display name."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)

    talk.says("mine too", by=room.guest("Ben"))

    told = (await talk.answers(2))[-1]
    assert told.startswith("I was shown: my VPN is down | ")
    assert told.endswith("| [Until here only ana was writing.]\n\nben: mine too")


async def test_somebody_who_is_mentioned_is_named_to_the_model(room: Room) -> None:
    """A mention of a colleague reaches the model as a name, not as an id."""
    talk = room.guest("Ana").mentions("please give @chidi access to jira")

    assert await talk.answers(1) == ["I was shown: please give @chidi access to jira"]


async def test_a_message_for_another_person_gets_no_answer(room: Room) -> None:
    """In the bot's own thread, the bot ignores a reply that begins with a mention of a colleague."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)

    talk.says("@ben could you look at this?")
    talk.says("hi @ben, are you there?")
    await room.acknowledged()
    talk.says("and you, attendant?")

    assert (await talk.answers(2))[-1].endswith("\n\nand you, attendant?")


async def test_messages_that_are_not_for_the_bot_get_no_answer(room: Room) -> None:
    """Talk between people, other bots, joins and topics in a channel are acknowledged and ignored."""
    workspace, ana = room.workspace, room.guest("Ana")
    channel = workspace.channel("help-desk")
    people = ana.posts("lunch, anyone?")
    people.says("yes!", by=room.guest("Ben"))
    workspace.post_as_other_bot(channel, f"<@{workspace.app.user_id}> deploy done")
    workspace.admin.join(ana.person, channel)
    workspace.admin.set_topic(ana.person, channel, "Ask anything")
    workspace.edit(ana.person, people.says("tea?"), "coffee?")
    workspace.delete(ana.person, people.says("never mind"))
    await room.acknowledged()

    assert workspace.app_messages(channel) == []
    assert not room.model.requests


async def test_a_bot_in_the_bots_own_thread_gets_no_answer(room: Room) -> None:
    """The bot does not answer another bot that posts into a thread in which it takes part."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)

    room.workspace.post_as_other_bot(talk.channel, "build failed", thread_ts=talk.root)
    await room.acknowledged()

    assert len(talk.messages()) == 1
    assert len(room.model.requests) == 1


async def test_a_file_is_mentioned_to_the_model(room: Room) -> None:
    """A screenshot is answered, and the model knows that it cannot read the file."""
    workspace, ana = room.workspace, room.guest("Ana")
    message = workspace.share_file(
        ana.person, workspace.dm(ana.person), "what is this?", name="screen.png", mimetype="image/png", size_bytes=9
    )

    (text,) = await ana.talk(message).answers(1)

    assert "what is this?" in text
    assert "screen.png" in text


async def test_a_mention_without_words_is_answered(room: Room) -> None:
    """A mention without any words gets an answer."""
    talk = room.guest("Ana").mentions("")

    assert await talk.answers(1) == ["I was shown: (a message without text)"]


@pytest.mark.parametrize("room_settings", [{"slack_streaming": "off"}], ids=["post-and-edit"])
async def test_posting_and_editing_shows_the_same_answers(room: Room) -> None:
    """With streaming off, the bot shows the same conversation by posting and editing."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await room.until(lambda: talk.texts() == ["I was shown: my VPN is down"])

    talk.says("still down")

    await room.until(lambda: len(talk.texts()) == 2 and talk.texts()[-1].endswith("| still down"))
    assert not room.server.calls.of("chat.startStream")


async def test_history_stays_within_its_budget(room: Room) -> None:
    """Beyond the budget the oldest whole turns are left out. The newest message is always shown."""
    talk = room.guest("Ana").writes("first " + "x" * 30_000)
    await room.until(lambda: len(talk.messages()) >= 1 and not any(m.streaming_since for m in talk.messages()))

    talk.says("second")
    await room.until(lambda: talk.texts()[-1].endswith("second"))

    assert [text.endswith(f"{MISSING}\n\nsecond") for text in shown(room.model.requests[-1])] == [True]
