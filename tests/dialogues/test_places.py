"""People and places of real workspaces: channels that get a new id, guests, other organisations, the first visit."""

from __future__ import annotations

import dataclasses
import sqlite3

from bot.domain import texts
from bot.domain.events import Author
from bot.playground.workspace.people import Person
from tests.support.room import Guest, Room, shown

NEW_ID = "C0SHARED00"


async def test_a_conversation_goes_on_in_a_channel_with_a_new_id(room: Room) -> None:
    """The thread, its session and its memory move to the channel's new id. A reply there needs no mention."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    shared = room.workspace.admin.share(talk.channel, NEW_ID)
    await room.acknowledged()
    talk = dataclasses.replace(talk, channel=shared)

    talk.says("still down")

    assert (await talk.answers(2))[-1].startswith("I was shown: my VPN is down | ")


async def test_a_running_answer_moves_with_its_channel(room: Room) -> None:
    """The answer that runs while the channel gets a new id ends there, whole and once."""
    hold = room.hold_model("The first words, ")
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()
    await room.until(lambda: bool(talk.messages()))
    shared = room.workspace.admin.share(talk.channel, NEW_ID)
    talk = dataclasses.replace(talk, channel=shared)
    await room.acknowledged()
    hold.release()

    await talk.reads("I was shown: my VPN is down")


async def test_a_moved_channel_is_moved_once(room: Room) -> None:
    """The event may come again. A thread that goes on under the new id stays as it is."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    shared = room.workspace.admin.share(talk.channel, NEW_ID)
    await room.acknowledged()
    [moved] = room.server.deliveries.events("channel_id_changed")
    room.server.deliveries.redeliver(moved, new_event_id=True)
    await room.acknowledged()
    talk = dataclasses.replace(talk, channel=shared)
    talk.says("still down")

    assert (await talk.answers(2))[-1].startswith("I was shown: my VPN is down | ")


async def test_the_messages_tab_greets_once(room: Room) -> None:
    """A person who opens the DM for the first time is greeted, and never again."""
    ana = room.guest("Ana")
    dm, greeting = room.workspace.dm(ana.person), texts.GREETING.format("attendant", "/attendant")
    for _ in range(3):
        room.workspace.interactions.open_messages(ana.person)
    await room.until(lambda: len(room.workspace.app_messages(dm)) == 1)
    await room.acknowledged()
    await ana.commands("/attendant", "help")  # any later answer shows that no second greeting is on its way

    assert [message.text for message in room.workspace.app_messages(dm)] == [greeting]


async def test_a_person_who_has_written_is_not_greeted(room: Room) -> None:
    """A DM that is in use gets no greeting."""
    ana = room.guest("Ana")
    await ana.writes("hello").answers(1)
    await room.settled()
    room.workspace.interactions.open_messages(ana.person)
    await room.acknowledged()
    await ana.commands("/attendant", "help")

    assert len(room.workspace.app_messages(room.workspace.dm(ana.person))) == 1


async def test_a_greeting_is_forgotten_with_the_person(room: Room) -> None:
    """`forget me` erases the note that the person was greeted."""
    ana = room.guest("Ana")
    room.workspace.interactions.open_messages(ana.person)
    await room.until(lambda: len(room.workspace.app_messages(room.workspace.dm(ana.person))) == 1)
    assert _greeted(room) == [ana.person.id]

    await room.services.personal_data.forget("slack", room.workspace.team.id, Author(ana.person.id, ana.person.team))

    assert _greeted(room) == []


async def test_guests_and_people_of_other_organisations_are_marked(room: Room) -> None:
    """The model reads who is no member of the workspace."""
    workspace = room.workspace
    desk = workspace.channel("help-desk")
    guest = Person("U0GUSGUEST", "gus", "Gus Guest", workspace.team.id, is_guest=True)
    partner = Person("U0MIAOTHER", "mia", "Mia Other", "T0OTHER")
    for person in (guest, partner):
        desk = workspace.admin.add_guest(desk, person)
    talk = room.guest("Ana").mentions("who can help?")
    await talk.answers(1)
    for count, person in enumerate((guest, partner), 2):
        talk.says(f"@attendant me, {count}", by=Guest(room, person))
        await talk.answers(count)

    conversation = shown(room.model.requests[-1])
    assert "gus (a guest): me, 2" in conversation[2]
    assert conversation[4] == "mia (from another organisation): me, 3"


def _greeted(room: Room) -> list[str]:
    with sqlite3.connect(room.database) as connection:
        return [user for (user,) in connection.execute("SELECT user_id FROM greetings")]
