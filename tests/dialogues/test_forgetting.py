"""Forgetting by reset, expiry, deletion, `forget me` and the rest, and the commands that show the memory."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.cli import admin
from bot.domain import texts
from bot.domain.sessions import Interrupted
from bot.errors import AttendantError
from bot.slack.views.forget_confirmation import FORGET_ME
from bot.store.erasure import Scope
from tests.support.openai_server import says
from tests.support.room import Guest, Room, Talk

QUESTION, ANSWER = "pelargonium", "chrysanthemum"
Way = Callable[[Room, Talk], Awaitable[None]]


def in_the_files(room: Room, word: str) -> bool:
    """Whether the word stands anywhere in the bytes of the database's files."""
    files = [Path(room.database + suffix) for suffix in ("", "-wal", "-shm")]
    return any(word.encode() in file.read_bytes() for file in files if file.exists())


async def forget_me(room: Room, guest: Guest, count: int) -> None:
    """Ask to be forgotten, and confirm it."""
    question = await guest.commands("/attendant", "forget me")
    assert question.text == texts.CONFIRM_FORGET_ME
    room.workspace.interactions.press(guest.person, question, FORGET_ME)
    channel = room.workspace.channel("help-desk")
    await room.until(
        lambda: room.workspace.ephemerals(guest.person, channel)[-1].text == texts.forgotten(count),
    )


async def by_reset(room: Room, talk: Talk) -> None:
    talk.says("!reset")
    await talk.answers(2)
    await room.settled()


async def by_expiry(room: Room, talk: Talk) -> None:
    del talk
    room.clock.advance(timedelta(days=1, seconds=1))
    assert await room.services.scheduler.expire() == 1


async def by_deletion(room: Room, talk: Talk) -> None:
    talk.deletes()
    await room.acknowledged()


async def by_edit(room: Room, talk: Talk) -> None:
    talk.edits(None, "@attendant never mind")
    await room.acknowledged()


async def by_forget_me(room: Room, talk: Talk) -> None:
    await forget_me(room, Guest(room, talk.person), 1)


async def by_the_operator(room: Room, talk: Talk) -> None:
    assert await admin.erase(room.settings, Scope(person=talk.person.id)) == 1


async def by_archiving(room: Room, talk: Talk) -> None:
    room.workspace.admin.archive(talk.person, talk.channel)
    await room.acknowledged()


async def by_deleting_the_channel(room: Room, talk: Talk) -> None:
    room.workspace.admin.delete_channel(talk.channel)
    await room.acknowledged()


async def by_removing_the_bot(room: Room, talk: Talk) -> None:
    room.workspace.admin.remove_bot(talk.channel)
    await room.acknowledged()


async def by_uninstalling(room: Room, talk: Talk) -> None:
    del talk
    room.workspace.admin.uninstall()
    await room.acknowledged()


WAYS: list[Way] = [
    by_reset,
    by_expiry,
    by_deletion,
    by_edit,
    by_forget_me,
    by_the_operator,
    by_archiving,
    by_deleting_the_channel,
    by_removing_the_bot,
    by_uninstalling,
]


@pytest.mark.parametrize("forget", WAYS)
async def test_invariant_6_what_is_forgotten_is_nowhere(room: Room, forget: Way) -> None:
    """No word of a forgotten conversation is in any file of the database, neither questions nor answers."""
    room.model.script(says(ANSWER))
    talk = room.guest("Ana").mentions(QUESTION)
    assert await talk.answers(1) == [ANSWER]
    await room.settled()
    await room.services.store.vacuum()
    assert in_the_files(room, QUESTION)
    assert in_the_files(room, ANSWER)

    await forget(room, talk)
    await room.services.scheduler.vacuum()

    assert not in_the_files(room, QUESTION)
    assert in_the_files(room, ANSWER) is (forget is by_edit)  # the answer is in Slack


async def test_the_operator_hears_that_words_may_be_left(room: Room) -> None:
    """During a long read by another process, erase reports that the file may hold words. Run again, it succeeds."""
    talk = room.guest("Ana").mentions(QUESTION)
    await talk.answers(1)
    await room.settled()

    async def erase() -> int | None:
        scope = Scope(person=talk.person.id)
        return await admin.erase(room.settings, scope, wait_s=0.1)

    with closing(sqlite3.connect(room.database, isolation_level=None)) as other:
        other.executescript("BEGIN; SELECT count(*) FROM messages")
        with pytest.raises(AttendantError, match=r"Erased 1 messages, but .* Run the same command again"):
            await erase()
        assert in_the_files(room, QUESTION)

    assert await erase() == 0
    assert not in_the_files(room, QUESTION)


async def test_who_asks_to_be_forgotten_is_forgotten_everywhere(room: Room) -> None:
    """A person is forgotten in every channel and in direct messages. The words of others stay."""
    ana, ben = room.guest("Ana"), room.guest("Ben")
    shared, private = ana.mentions("my PIN is 1234"), ana.writes("my PIN is 1234")
    await shared.answers(1)
    await private.answers(1)
    shared.says("my VPN is down", by=ben)
    await shared.answers(2)
    await room.settled()

    await forget_me(room, ana, 2)
    private.says("what is my PIN?")
    assert (await private.answers(2))[-1] == "I was shown: what is my PIN?"
    shared.says("what did we say?", by=ben)

    assert (await shared.answers(3))[-1].startswith("I was shown: my VPN is down | ")


async def test_forget_me_ends_what_is_being_answered(room: Room) -> None:
    """The running answer ends where it is, and says that it does."""
    hold = room.hold_model("Have you tried ")
    ana = room.guest("Ana")
    talk = ana.mentions("my VPN is down")
    await room.until(lambda: any("Have you tried" in text for text in talk.texts()))
    await hold.reached()

    await forget_me(room, ana, 1)

    assert await talk.answers(1) == [f"Have you tried \n\n{texts.interrupted(Interrupted.ERASED)}"]


async def test_being_forgotten_wants_to_be_confirmed(room: Room) -> None:
    """The command alone erases nothing; other words after it are none of its words."""
    ana = room.guest("Ana")
    talk = ana.mentions("my VPN is down")
    await talk.answers(1)

    assert (await ana.commands("/attendant", "forget me")).blocks
    assert (await ana.commands("/attendant", "forget it")).text.startswith(texts.UNKNOWN_COMMAND)
    talk.says("go on")

    assert "my VPN is down" in (await talk.answers(2))[-1]


async def test_nothing_is_remembered_of_somebody_new(room: Room) -> None:
    """For a person who never wrote, the command says that nothing is remembered."""
    await forget_me(room, room.guest("Chidi"), 0)


async def exported(room: Room, guest: Guest) -> Any:
    """Return the file that comes in a person's direct messages after they asked for it."""
    assert (await guest.commands("/attendant", "export")).text == texts.EXPORT_COMES
    place = room.workspace.dm(guest.person)
    await room.until(lambda: any(message.files for message in room.workspace.app_messages(place)))
    told, sent = room.workspace.app_messages(place)
    assert (told.text, sent.files[0]["name"]) == (texts.EXPORT, texts.EXPORT_FILE)
    content = room.workspace.uploads[sent.files[0]["id"]].content
    assert content is not None
    return json.loads(content)


async def test_an_export_holds_all_that_is_kept(room: Room) -> None:
    """The person's own messages, with where and when, and the answers; nothing that others wrote."""
    ana = room.guest("Ana")
    talk = ana.mentions("my VPN is dwn")
    await talk.answers(1)
    talk.says("mine too", by=room.guest("Ben"))
    await talk.answers(2)
    await room.settled()
    talk.edits(None, "@attendant my VPN is down")
    await room.acknowledged()

    document = await exported(room, ana)

    [message] = document["messages"]
    assert (document["about"], document["complete"], document["background"]) == (texts.EXPORT_ABOUT, True, [])
    assert (document["workspace"], document["person"]) == (room.workspace.team.id, ana.person.id)
    assert (message["channel"], message["thread"], message["id"]) == (talk.channel.id, talk.root, talk.root)
    assert (message["text"], message["answer"]) == ("my VPN is down", "I was shown: my VPN is dwn")
    assert message["edited_at"] is not None


async def test_an_export_holds_what_was_said_before(room: Room) -> None:
    """A person's messages from before the bot was called into a thread are stored, so their export holds them."""
    ana = room.guest("Ana")
    talk = ana.posts("who knows printers?")
    talk.says("@attendant what can we do?", by=room.guest("Ben"))
    await talk.answers(1)
    await room.settled()

    document = await exported(room, ana)

    [told] = document["background"]
    assert (told["text"], told["id"], document["messages"]) == ("who knows printers?", talk.root, [])


async def test_an_export_that_cannot_be_sent_is_told(room: Room) -> None:
    """Where the app may not send files the person reads so, instead of waiting for one."""
    workspace = room.workspace
    workspace.app = dataclasses.replace(workspace.app, scopes=workspace.app.scopes - {"files:write"})
    ana = room.guest("Ana")

    await ana.commands("/attendant", "export")

    assert texts.EXPORT_FAILED in {message.text for message in await ana.ephemerals("help-desk", 2)}
