"""Which events a change makes, and how Slack writes them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bot.playground.delivery.event_payloads import event_callback, events_of
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import make_workspace


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def events(workspace: Workspace) -> list[dict[str, Any]]:
    """Collects the events of every change from now on."""
    heard: list[dict[str, Any]] = []
    workspace.subscribe(lambda change: heard.extend(events_of(workspace, change)))
    return heard


def test_one_mention_makes_two_events(workspace: Workspace) -> None:
    """A mention comes as a message and as an app_mention, of the same ts and client_msg_id."""
    heard = events(workspace)
    message = workspace.post(workspace.person("ana"), workspace.channel("help-desk"), "@attendant hi")

    assert [event["type"] for event in heard] == ["message", "app_mention"]
    assert {event["ts"] for event in heard} == {message.ts}
    assert {event["client_msg_id"] for event in heard} == {message.client_msg_id}
    assert [event.get("channel_type") for event in heard] == ["channel", None]


@pytest.mark.parametrize(("channel", "kind"), [("help-desk", "channel"), ("it-team", "group"), ("dm-ana", "im")])
def test_channel_types(workspace: Workspace, channel: str, kind: str) -> None:
    """A message names its conversation's type; one in a direct message is never an app_mention."""
    heard = events(workspace)
    workspace.post(workspace.person("ana"), workspace.channel(channel), "@attendant hi")

    assert heard[0]["channel_type"] == kind
    assert len(heard) == (1 if kind == "im" else 2)


def test_reply_names_its_thread(workspace: Workspace) -> None:
    """A reply carries thread_ts and its parent's author; a root carries neither."""
    heard = events(workspace)
    ana, ben, desk = workspace.person("ana"), workspace.person("ben"), workspace.channel("help-desk")
    root = workspace.post(ana, desk, "one")
    workspace.post(ben, desk, "two", root.ts)

    assert "thread_ts" not in heard[0]
    assert (heard[1]["thread_ts"], heard[1]["parent_user_id"]) == (root.ts, ana.id)


def test_edit_and_deletion(workspace: Workspace) -> None:
    """An edit is message_changed with both versions, a deletion message_deleted with the old one; both are hidden."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    message = workspace.post(ana, desk, "teh")
    heard = events(workspace)
    workspace.delete(ana, workspace.edit(ana, message, "the"))

    changed, deleted = heard
    assert (changed["subtype"], changed["message"]["text"]) == ("message_changed", "the")
    assert changed["previous_message"]["text"] == "teh"
    assert changed["message"]["edited"]["user"] == ana.id
    assert (deleted["subtype"], deleted["deleted_ts"]) == ("message_deleted", message.ts)
    assert changed["hidden"]
    assert deleted["hidden"]


def test_what_bots_wrote_is_changed_and_deleted(workspace: Workspace) -> None:
    """The app hears of it as of what people wrote, and of its own messages, too; the author is told as a bot."""
    desk, app = workspace.channel("help-desk"), workspace.app
    own = Message(channel=desk.id, ts=workspace.new_ts(), user=app.user_id, bot_id=app.bot_id, text="on")
    for message in (workspace.post_as_other_bot(desk, "on fire"), workspace.add(own)):
        heard = events(workspace)
        workspace.remove(workspace.change(message, text="off"))

        changed, deleted = heard
        assert (changed["subtype"], deleted["subtype"]) == ("message_changed", "message_deleted")
        assert deleted["previous_message"]["bot_id"] == changed["message"]["bot_id"] == message.bot_id
        assert (changed["previous_message"]["text"], deleted["previous_message"]["text"]) == (message.text, "off")


def test_the_edit_of_a_mention_is_a_mention_again(workspace: Workspace) -> None:
    """Slack repeats app_mention, marked as edited, and without what the message was before; an unfurl does not."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    message = workspace.post(ana, desk, "@attendant teh")
    heard = events(workspace)
    edited = workspace.edit(ana, message, "@attendant the")
    workspace.change(edited, blocks=())

    assert [event["type"] for event in heard] == ["message", "app_mention", "message"]
    assert heard[1]["edited"]["user"] == ana.id
    assert "previous_message" not in heard[1]


def test_own_messages_come_back(workspace: Workspace) -> None:
    """What the bot posts is a message event with its bot_id, app_id and profile, and no client_msg_id."""
    heard = events(workspace)
    app, desk = workspace.app, workspace.channel("help-desk")
    workspace.add(
        Message(channel=desk.id, ts=workspace.new_ts(), user=app.user_id, bot_id=app.bot_id, text="<@U0ATTENDANT>")
    )

    (event,) = heard
    assert (event["user"], event["bot_id"], event["app_id"]) == (app.user_id, app.bot_id, app.id)
    assert event["bot_profile"]["id"] == app.bot_id
    assert "client_msg_id" not in event


def test_other_kinds_of_messages(workspace: Workspace) -> None:
    """Joins, topics, other bots, /me and files have their subtypes."""
    heard = events(workspace)
    ben, team = workspace.person("ben"), workspace.channel("it-team")
    team = workspace.admin.join(ben, team)
    workspace.admin.set_topic(ben, team, "A & B")
    workspace.post_as_other_bot(team, "deployed")
    workspace.post(ben, team, "waves", subtype="me_message")
    workspace.share_file(ben, team, "see", name="a.png", mimetype="image/png", size_bytes=5)

    kinds = ["group_join", "group_topic", "bot_message", "me_message", "file_share"]
    assert [event["subtype"] for event in heard] == kinds
    assert "user" not in heard[2]
    assert heard[4]["files"][0]["size"] == 5


def test_silence_where_the_bot_may_not_hear(workspace: Workspace) -> None:
    """Nothing is told of conversations without the bot, of ephemerals, or without the scope or the subscription."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    heard = events(workspace)
    workspace.show_ephemeral(ana, desk, "psst")
    workspace.channels["C9"] = away = Channel("C9", "away", "channel", frozenset({ana.id}))
    workspace.post(ana, away, "@attendant hi")
    workspace.app = dataclasses.replace(workspace.app, scopes=frozenset({"app_mentions:read"}))
    workspace.post(ana, desk, "no scope")
    manifest = dataclasses.replace(workspace.app.manifest, events=("message.channels",))
    workspace.app = dataclasses.replace(workspace.app, manifest=manifest)
    workspace.post(ana, desk, "@attendant not subscribed")

    assert heard == []


def test_people_from_outside_are_told_apart(workspace: Workspace) -> None:
    """In a shared channel an outsider's message names the outsider's team, and the envelope says it is shared."""
    eve = Person("U0EVEOTHER", "eve", "Eve Other", "T0OTHERCO")
    workspace.people[eve.id] = eve
    workspace.channels["C9"] = Channel(
        "C9", "joint", "channel", frozenset({eve.id, workspace.app.user_id}), shared=True
    )
    heard = events(workspace)
    workspace.post(eve, workspace.channels["C9"], "hello")
    envelope = event_callback(workspace, heard[0], "Ev1")

    assert (heard[0]["team"], heard[0]["user_team"]) == ("T0OTHERCO", "T0OTHERCO")
    assert envelope["is_ext_shared_channel"]
    assert envelope["authorizations"][0]["team_id"] == "T0HARBOUR"


def test_envelope(workspace: Workspace) -> None:
    """An event travels in an event_callback that names the app, the team and the event's time."""
    heard = events(workspace)
    workspace.post(workspace.person("ana"), workspace.channel("help-desk"), "hi")
    envelope = event_callback(workspace, heard[0], "Ev1")

    assert (envelope["type"], envelope["event_id"], envelope["event_time"]) == ("event_callback", "Ev1", 1795253400)
    assert (envelope["api_app_id"], envelope["team_id"]) == (workspace.app.id, workspace.team.id)
    assert envelope["authorizations"][0]["user_id"] == workspace.app.user_id
