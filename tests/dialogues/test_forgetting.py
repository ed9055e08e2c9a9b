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
    """Return whether the bytes of the database's files contain the word."""
    files = [Path(room.database + suffix) for suffix in ("", "-wal", "-shm")]
    return any(word.encode() in file.read_bytes() for file in files if file.exists())


async def forget_me(room: Room, guest: Guest, count: int) -> None:
    """Send `forget me` and confirm it."""
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
async def test_invariant_6_forgotten_texts_are_in_no_file(room: Room, forget: Way) -> None:
    """No file of the database holds a word of a forgotten conversation, neither questions nor answers."""
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


async def test_erase_reports_a_vacuum_that_was_blocked(room: Room) -> None:
    """While another process reads, erase reports that the file may still hold texts. A second run succeeds."""
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


async def test_forget_me_erases_a_person_everywhere(room: Room) -> None:
    """The person is forgotten in every channel and in direct messages. Other people's messages stay."""
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


async def test_forget_me_ends_the_running_answer(room: Room) -> None:
    """The running answer ends with a note that says so."""
    hold = room.hold_model("Have you tried ")
    ana = room.guest("Ana")
    talk = ana.mentions("my VPN is down")
    await room.until(lambda: any("Have you tried" in text for text in talk.texts()))
    await hold.reached()

    await forget_me(room, ana, 1)

    assert await talk.answers(1) == [f"Have you tried \n\n{texts.interrupted(Interrupted.ERASED)}"]


async def test_forget_me_needs_a_confirmation(room: Room) -> None:
    """The command alone erases nothing. `forget it` is an unknown command."""
    ana = room.guest("Ana")
    talk = ana.mentions("my VPN is down")
    await talk.answers(1)

    assert (await ana.commands("/attendant", "forget me")).blocks
    assert (await ana.commands("/attendant", "forget it")).text.startswith(texts.UNKNOWN_COMMAND)
    talk.says("go on")

    assert "my VPN is down" in (await talk.answers(2))[-1]


async def test_nothing_is_remembered_of_a_new_person(room: Room) -> None:
    """For a person who never wrote, the command says that nothing is remembered."""
    await forget_me(room, room.guest("Chidi"), 0)


async def exported(room: Room, guest: Guest) -> Any:
    """Return the export file that arrives in the person's direct messages after the command."""
    assert (await guest.commands("/attendant", "export")).text == texts.EXPORT_COMES
    place = room.workspace.dm(guest.person)
    await room.until(lambda: any(message.files for message in room.workspace.app_messages(place)))
    told, sent = room.workspace.app_messages(place)
    assert (told.text, sent.files[0]["name"]) == (texts.EXPORT, texts.EXPORT_FILE)
    content = room.workspace.uploads[sent.files[0]["id"]].content
    assert content is not None
    return json.loads(content)


async def test_an_export_has_all_stored_data_of_the_person(room: Room) -> None:
    """The file has the person's messages with place, time and answer. It has no message of other people."""
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


async def test_an_export_has_the_persons_thread_context(room: Room) -> None:
    """The person's messages from before the bot was called into a thread are stored, so the export has them."""
    ana = room.guest("Ana")
    talk = ana.posts("who knows printers?")
    talk.says("@attendant what can we do?", by=room.guest("Ben"))
    await talk.answers(1)
    await room.settled()

    document = await exported(room, ana)

    [told] = document["background"]
    assert (told["text"], told["id"], document["messages"]) == ("who knows printers?", talk.root, [])


async def test_a_failed_export_is_reported(room: Room) -> None:
    """If the app may not upload files, the person reads a sentence that says so."""
    workspace = room.workspace
    workspace.app = dataclasses.replace(workspace.app, scopes=workspace.app.scopes - {"files:write"})
    ana = room.guest("Ana")

    await ana.commands("/attendant", "export")

    assert texts.EXPORT_FAILED in {message.text for message in await ana.ephemerals("help-desk", 2)}
