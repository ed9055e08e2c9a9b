"""Tests of the events for each change, and of their payloads."""

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
    """Collect the events of every change from now on."""
    received: list[dict[str, Any]] = []
    workspace.subscribe(lambda change: received.extend(events_of(workspace, change)))
    return received


def test_one_mention_makes_two_events(workspace: Workspace) -> None:
    """A mention sends a message event and an app_mention event with the same ts and client_msg_id."""
    received = events(workspace)
    message = workspace.post(workspace.person("ana"), workspace.channel("help-desk"), "@attendant hi")

    assert [event["type"] for event in received] == ["message", "app_mention"]
    assert {event["ts"] for event in received} == {message.ts}
    assert {event["client_msg_id"] for event in received} == {message.client_msg_id}
    assert [event.get("channel_type") for event in received] == ["channel", None]


@pytest.mark.parametrize(("channel", "kind"), [("help-desk", "channel"), ("it-team", "group"), ("dm-ana", "im")])
def test_channel_types(workspace: Workspace, channel: str, kind: str) -> None:
    """A message event has its channel_type. A direct message never sends an app_mention."""
    received = events(workspace)
    workspace.post(workspace.person("ana"), workspace.channel(channel), "@attendant hi")

    assert received[0]["channel_type"] == kind
    assert len(received) == (1 if kind == "im" else 2)


def test_reply_names_its_thread(workspace: Workspace) -> None:
    """A reply has thread_ts and parent_user_id. A root has neither."""
    received = events(workspace)
    ana, ben, desk = workspace.person("ana"), workspace.person("ben"), workspace.channel("help-desk")
    root = workspace.post(ana, desk, "one")
    workspace.post(ben, desk, "two", root.ts)

    assert "thread_ts" not in received[0]
    assert (received[1]["thread_ts"], received[1]["parent_user_id"]) == (root.ts, ana.id)


def test_edit_and_deletion(workspace: Workspace) -> None:
    """message_changed holds both versions, message_deleted the last one. Both are hidden."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    message = workspace.post(ana, desk, "teh")
    received = events(workspace)
    workspace.delete(ana, workspace.edit(ana, message, "the"))

    changed, deleted = received
    assert (changed["subtype"], changed["message"]["text"]) == ("message_changed", "the")
    assert changed["previous_message"]["text"] == "teh"
    assert changed["message"]["edited"]["user"] == ana.id
    assert (deleted["subtype"], deleted["deleted_ts"]) == ("message_deleted", message.ts)
    assert changed["hidden"]
    assert deleted["hidden"]


def test_changes_of_bots_messages_send_events(workspace: Workspace) -> None:
    """Changes and deletions of messages by this app and other bots send events with the author's bot_id."""
    desk, app = workspace.channel("help-desk"), workspace.app
    own = Message(channel=desk.id, ts=workspace.new_ts(), user=app.user_id, bot_id=app.bot_id, text="on")
    for message in (workspace.post_as_other_bot(desk, "on fire"), workspace.add(own)):
        received = events(workspace)
        workspace.remove(workspace.change(message, text="off"))

        changed, deleted = received
        assert (changed["subtype"], deleted["subtype"]) == ("message_changed", "message_deleted")
        assert deleted["previous_message"]["bot_id"] == changed["message"]["bot_id"] == message.bot_id
        assert (changed["previous_message"]["text"], deleted["previous_message"]["text"]) == (message.text, "off")


def test_the_edit_of_a_mention_is_a_mention_again(workspace: Workspace) -> None:
    """An edited mention sends app_mention again, without the previous message. An unfurl does not."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    message = workspace.post(ana, desk, "@attendant teh")
    received = events(workspace)
    edited = workspace.edit(ana, message, "@attendant the")
    workspace.change(edited, blocks=())

    assert [event["type"] for event in received] == ["message", "app_mention", "message"]
    assert received[1]["edited"]["user"] == ana.id
    assert "previous_message" not in received[1]


def test_own_messages_come_back(workspace: Workspace) -> None:
    """The bot's own message is an event with bot_id, app_id and bot_profile, and without client_msg_id."""
    received = events(workspace)
    app, desk = workspace.app, workspace.channel("help-desk")
    workspace.add(
        Message(channel=desk.id, ts=workspace.new_ts(), user=app.user_id, bot_id=app.bot_id, text="<@U0ATTENDANT>")
    )

    (event,) = received
    assert (event["user"], event["bot_id"], event["app_id"]) == (app.user_id, app.bot_id, app.id)
    assert event["bot_profile"]["id"] == app.bot_id
    assert "client_msg_id" not in event


def test_other_kinds_of_messages(workspace: Workspace) -> None:
    """Joins, topics, other bots, /me and files have their own subtypes."""
    received = events(workspace)
    ben, team = workspace.person("ben"), workspace.channel("it-team")
    team = workspace.admin.join(ben, team)
    workspace.admin.set_topic(ben, team, "A & B")
    workspace.post_as_other_bot(team, "deployed")
    workspace.post(ben, team, "waves", subtype="me_message")
    workspace.share_file(ben, team, "see", name="a.png", mimetype="image/png", size_bytes=5)

    kinds = ["group_join", "group_topic", "bot_message", "me_message", "file_share"]
    assert [event["subtype"] for event in received] == kinds
    assert "user" not in received[2]
    assert received[4]["files"][0]["size"] == 5


def test_no_events_without_permission(workspace: Workspace) -> None:
    """The app gets no event for foreign channels and ephemerals, or without the scope or the subscription."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    received = events(workspace)
    workspace.show_ephemeral(ana, desk, "psst")
    workspace.channels["C9"] = away = Channel("C9", "away", "channel", frozenset({ana.id}))
    workspace.post(ana, away, "@attendant hi")
    workspace.app = dataclasses.replace(workspace.app, scopes=frozenset({"app_mentions:read"}))
    workspace.post(ana, desk, "no scope")
    manifest = dataclasses.replace(workspace.app.manifest, events=("message.channels",))
    workspace.app = dataclasses.replace(workspace.app, manifest=manifest)
    workspace.post(ana, desk, "@attendant not subscribed")

    assert received == []


def test_people_from_another_workspace_are_marked(workspace: Workspace) -> None:
    """In a shared channel, an outsider's message has the outsider's team, and its envelope is_ext_shared_channel."""
    eve = Person("U0EVEOTHER", "eve", "Eve Other", "T0OTHERCO")
    workspace.people[eve.id] = eve
    workspace.channels["C9"] = Channel(
        "C9", "joint", "channel", frozenset({eve.id, workspace.app.user_id}), shared=True
    )
    received = events(workspace)
    workspace.post(eve, workspace.channels["C9"], "hello")
    envelope = event_callback(workspace, received[0], "Ev1")

    assert (received[0]["team"], received[0]["user_team"]) == ("T0OTHERCO", "T0OTHERCO")
    assert envelope["is_ext_shared_channel"]
    assert envelope["authorizations"][0]["team_id"] == "T0HARBOUR"


def test_envelope(workspace: Workspace) -> None:
    """An event_callback has the app, the team and the time of the event."""
    received = events(workspace)
    workspace.post(workspace.person("ana"), workspace.channel("help-desk"), "hi")
    envelope = event_callback(workspace, received[0], "Ev1")

    assert (envelope["type"], envelope["event_id"], envelope["event_time"]) == ("event_callback", "Ev1", 1795253400)
    assert (envelope["api_app_id"], envelope["team_id"]) == (workspace.app.id, workspace.team.id)
    assert envelope["authorizations"][0]["user_id"] == workspace.app.user_id
