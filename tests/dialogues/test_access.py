"""Who may use the bot: each entrance passes the gatekeeper, and people who are not admitted are told so, politely."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from bot.domain import access_texts
from bot.manifest import START_OVER
from bot.playground.workspace.people import Person
from bot.slack.views.home_tab import EDIT_PREFERENCES
from tests.support.room import Guest, Room, shown

GUS = Person("U0GUSGUEST", "gus", "Gus Guest", "T0HARBOUR", is_guest=True)
MIA = Person("U0MIAOTHER", "mia", "Mia Other", "T0OTHER")


def with_settings(**settings: Any) -> pytest.MarkDecorator:
    """Give the room's bot these settings."""
    return pytest.mark.parametrize("room_settings", [settings], ids=str)


def joined(room: Room, person: Person) -> Guest:
    """Have a person join the help desk."""
    room.workspace.admin.add_guest(room.workspace.channel("help-desk"), person)
    return Guest(room, person)


async def is_silent(room: Room) -> None:
    """Check that the model was not asked, once every event is handled."""
    await room.acknowledged()
    await room.settled()
    assert not room.model.requests


@with_settings(access_deny=("U0ANASILVA",))
async def test_a_refused_person_is_told_once_a_day(room: Room) -> None:
    """The first mention of a day gets a line that only its author sees. Others are answered."""
    ana, desk = room.guest("Ana"), room.workspace.channel("help-desk")
    ana.mentions("my VPN is down")
    [told] = await ana.ephemerals("help-desk")
    ana.mentions("hello?")
    await is_silent(room)

    assert told.text == access_texts.REFUSED
    assert len(room.workspace.ephemerals(ana.person, desk)) == 1
    assert room.workspace.ephemerals(room.guest("Ben").person, desk) == []
    await room.guest("Ben").mentions("mine is down, too").answers(1)


@with_settings(access_deny=("U0ANASILVA",))
async def test_an_edit_is_no_way_in(room: Room) -> None:
    """A message that an edit makes a mention is not answered either."""
    talk = room.guest("Ana").posts("my VPN is down")
    await room.acknowledged()
    talk.edits(None, "@attendant my VPN is down")
    await is_silent(room)


@with_settings(access_deny=("U0ANASILVA",))
async def test_a_reply_in_anothers_thread_is_no_way_in(room: Room) -> None:
    """In a thread that the bot answers in, a refused person's reply is not answered; nor does `!reset` work."""
    talk = room.guest("Ben").mentions("my VPN is down")
    await talk.answers(1)
    talk.says("and mine?", by=room.guest("Ana"))
    talk.says("!reset", by=room.guest("Ana"))
    await room.acknowledged()
    await room.settled()
    talk.says("still down")
    await talk.answers(2)

    assert len(room.model.requests) == 2
    assert not any("and mine?" in text for text in shown(room.model.requests[-1]))


@with_settings(access_deny=("U0ANASILVA",))
async def test_commands_and_shortcuts_reply_with_the_line(room: Room) -> None:
    """A command and a message shortcut say so to the person alone."""
    ana, ben = room.guest("Ana"), room.guest("Ben")
    command = await ana.commands("/attendant", "status")
    talk = ben.mentions("my VPN is down")
    await talk.answers(1)
    room.workspace.interactions.shortcut(ana.person, talk.opening, START_OVER)
    shortcut = (await ana.ephemerals("help-desk", 2))[-1]

    assert (command.text, shortcut.text) == (access_texts.REFUSED, access_texts.REFUSED)


@with_settings(access_deny=("U0ANASILVA",))
async def test_the_home_tab_says_so(room: Room) -> None:
    """The Home tab holds the line, and no preferences."""
    home = await room.guest("Ana").opens_home()

    assert access_texts.REFUSED in home
    assert EDIT_PREFERENCES not in home


@with_settings(access_allow=("S0SUPPORT",))
async def test_a_user_group(room: Room) -> None:
    """Members of a listed group are admitted. Who joins is admitted after five minutes, without a restart."""
    room.workspace.user_groups["S0SUPPORT"] = frozenset({room.guest("Ben").person.id})
    await room.guest("Ben").mentions("hello").answers(1)
    ana = room.guest("Ana")
    assert (await ana.commands("/attendant", "status")).text == access_texts.REFUSED
    room.workspace.user_groups["S0SUPPORT"] |= {ana.person.id}
    room.clock.advance(timedelta(minutes=6))

    assert (await ana.commands("/attendant", "status")).text != access_texts.REFUSED
    assert len(room.server.calls.of("usergroups.users.list")) == 2


@with_settings(access_allow=("S0SUPPORT",))
async def test_a_group_that_cannot_be_read(room: Room) -> None:
    """Without the scope, people are asked to try again, and the log names the error."""
    app = room.workspace.app
    room.workspace.app = dataclasses.replace(app, scopes=app.scopes - {"usergroups:read"})

    assert (await room.guest("Ben").commands("/attendant", "status")).text == access_texts.TRY_AGAIN


@with_settings(answer_guests="never")
async def test_guests_can_be_left_out(room: Room) -> None:
    """With ANSWER_GUESTS=never a guest gets the line, and members are answered."""
    gus = joined(room, GUS)
    gus.mentions("hello")
    [told] = await gus.ephemerals("help-desk")
    await is_silent(room)

    assert told.text == access_texts.REFUSED_GUEST
    await room.guest("Ana").mentions("hello").answers(1)


async def test_people_of_other_organisations_mention_the_bot(room: Room) -> None:
    """By default they are answered where they mention the bot, and not where they only reply."""
    talk = room.guest("Ana").mentions("who can help?")
    await talk.answers(1)
    mia = joined(room, MIA)
    talk.says("me, perhaps", by=mia)
    await room.acknowledged()
    await room.settled()
    talk.says("@attendant and what is it about?", by=mia)
    await talk.answers(2)

    assert len(room.model.requests) == 2


@with_settings(answer_externals="never")
async def test_people_of_other_organisations_can_be_left_out(room: Room) -> None:
    """With ANSWER_EXTERNALS=never their mentions get the line."""
    mia = joined(room, MIA)
    mia.mentions("hello")
    [told] = await mia.ephemerals("help-desk")
    await is_silent(room)

    assert told.text == access_texts.REFUSED_EXTERNAL


@with_settings(access_deny=("C0GENERAL0",))
async def test_a_channel_can_be_left_out(room: Room) -> None:
    """In a denied channel the bot says that it does not answer there. Elsewhere it answers the same person."""
    ana = room.guest("Ana")
    ana.mentions("hello", "general")
    [told] = await ana.ephemerals("general")
    await is_silent(room)

    assert told.text == access_texts.REFUSED_CHANNEL
    await ana.mentions("hello").answers(1)
