"""Tests of the app's responses to interactions, and of the interactions' payloads."""

from __future__ import annotations

from typing import Any

import pytest

from bot.playground.delivery.interaction_payloads import payload_of
from bot.playground.delivery.responses import Responses
from bot.playground.workspace.changes import (
    Change,
    ChannelInteraction,
    MessageBlockAction,
    MessageShortcutInvoked,
    SlashCommandInvoked,
)
from bot.playground.workspace.messages import Message
from bot.playground.workspace.rules import NotAllowed
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import Clock, make_workspace

BUTTON = {"type": "button", "action_id": "pick", "value": "7", "text": {"type": "plain_text", "text": "Pick"}}
LIST = ({"type": "actions", "block_id": "b1", "elements": [BUTTON]},)


def interactions_of(workspace: Workspace) -> list[ChannelInteraction]:
    """Collect the interactions from now on."""
    interactions: list[ChannelInteraction] = []

    def record(change: Change) -> None:
        if isinstance(change, SlashCommandInvoked | MessageShortcutInvoked | MessageBlockAction):
            interactions.append(change)

    workspace.subscribe(record)
    return interactions


def pressed(workspace: Workspace) -> tuple[Message, ChannelInteraction]:
    """Have Ana press the button of an ephemeral message. Return the message and the interaction."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    shown = workspace.show_ephemeral(ana, desk, "Which?", by_app=True, blocks=LIST)
    interactions = interactions_of(workspace)
    workspace.interactions.press(ana, shown, "pick", "7")
    return shown, interactions[0]


def texts(workspace: Workspace) -> list[str]:
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    return [message.text for message in workspace.ephemerals(ana, desk)]


def test_command_payload() -> None:
    """A slash command's payload has Slack's fields and a response URL, but no thread."""
    workspace = make_workspace()
    interactions = interactions_of(workspace)
    workspace.interactions.command(workspace.person("ana"), workspace.channel("dm-ana"), "/reset", "all")
    payload = payload_of(workspace, interactions[0])

    assert (payload["command"], payload["text"], payload["user_name"]) == ("/reset", "all", "ana")
    assert (payload["channel_id"], payload["channel_name"]) == ("D0ANASILVA", "directmessage")
    assert payload["response_url"].startswith("http://127.0.0.1")
    assert "thread_ts" not in payload


def test_shortcut_payload() -> None:
    """The payload of a message shortcut has the message with its thread."""
    workspace = make_workspace()
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    root = workspace.post(ana, desk, "one")
    reply = workspace.post(ana, desk, "two", root.ts)
    interactions = interactions_of(workspace)
    workspace.interactions.shortcut(ana, reply, "start_over")
    payload = payload_of(workspace, interactions[0])

    assert (payload["type"], payload["callback_id"]) == ("message_action", "start_over")
    assert (payload["message"]["ts"], payload["message"]["thread_ts"]) == (reply.ts, root.ts)
    assert payload["channel"]["id"] == desk.id


def test_button_payload() -> None:
    """A block_actions payload has the action and its container, but never an ephemeral message."""
    workspace = make_workspace()
    shown, interaction = pressed(workspace)
    payload = payload_of(workspace, interaction)

    (action,) = payload["actions"]
    assert (action["action_id"], action["value"], action["block_id"]) == ("pick", "7", "b1")
    assert payload["container"] == {
        "type": "message",
        "message_ts": shown.ts,
        "channel_id": shown.channel,
        "is_ephemeral": True,
    }
    assert "message" not in payload


def test_an_invisible_button_cannot_be_pressed() -> None:
    """A person cannot press a button of another person's ephemeral message, or one that does not exist."""
    workspace = make_workspace()
    shown, _ = pressed(workspace)

    with pytest.raises(NotAllowed):
        workspace.interactions.press(workspace.person("ben"), shown, "pick")
    with pytest.raises(NotAllowed):
        workspace.interactions.press(workspace.person("ana"), shown, "other")


@pytest.mark.parametrize(
    ("body", "remaining"),
    [
        ({"text": "Done"}, ["Which?", "Done"]),
        ({"text": "Done", "replace_original": True}, ["Done"]),
        ({"delete_original": True}, []),
    ],
)
def test_answers_to_a_button(body: dict[str, Any], remaining: list[str]) -> None:
    """A response adds an ephemeral message, or replaces or deletes the original."""
    workspace = make_workspace()
    _, interaction = pressed(workspace)

    assert Responses(workspace).receive(interaction.response_url.token, body) is None
    assert texts(workspace) == remaining


def test_answer_in_the_channel_goes_into_a_thread() -> None:
    """Only an in_channel response is visible to all, and only it can go into a thread."""
    workspace = make_workspace()
    _, interaction = pressed(workspace)
    root = workspace.post(workspace.person("ben"), workspace.channel("help-desk"), "one")
    body = {"text": "Hello", "response_type": "in_channel", "thread_ts": root.ts}
    Responses(workspace).receive(interaction.response_url.token, body)

    (message,) = workspace.app_messages(workspace.channel("help-desk"))
    assert (message.text, message.thread_ts) == ("Hello", root.ts)


def test_a_response_url_accepts_five_responses() -> None:
    """Invalid responses do not count."""
    workspace = make_workspace()
    responses, (_, interaction) = Responses(workspace), pressed(workspace)
    token = interaction.response_url.token
    errors = [responses.receive(token, {}), responses.receive(token, {"blocks": [{"type": "surprise"}]})]

    assert errors == ["no_text", "invalid_blocks"]
    assert [responses.receive(token, {"text": "x"}) for _ in range(6)] == [None] * 5 + ["used_url"]


def test_a_response_url_expires() -> None:
    """A response URL expires after thirty minutes."""
    clock = Clock()
    workspace = make_workspace(clock)
    _, interaction = pressed(workspace)
    clock.advance(minutes=30)

    assert Responses(workspace).receive(interaction.response_url.token, {"text": "late"}) == "expired_url"
