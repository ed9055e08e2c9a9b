"""What the app answers to a gesture, and the payload it answers to."""

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


def gesture_of(workspace: Workspace) -> list[ChannelInteraction]:
    made: list[ChannelInteraction] = []

    def keep(change: Change) -> None:
        if isinstance(change, SlashCommandInvoked | MessageShortcutInvoked | MessageBlockAction):
            made.append(change)

    workspace.subscribe(keep)
    return made


def pressed(workspace: Workspace) -> tuple[Message, ChannelInteraction]:
    """Ana presses the button of a list that only she sees."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    shown = workspace.show_ephemeral(ana, desk, "Which?", by_app=True, blocks=LIST)
    made = gesture_of(workspace)
    workspace.interactions.press(ana, shown, "pick", "7")
    return shown, made[0]


def texts(workspace: Workspace) -> list[str]:
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    return [message.text for message in workspace.ephemerals(ana, desk)]


def test_command_payload() -> None:
    """A slash command's payload has Slack's fields, a response URL and no thread."""
    workspace = make_workspace()
    made = gesture_of(workspace)
    workspace.interactions.command(workspace.person("ana"), workspace.channel("dm-ana"), "/reset", "all")
    payload = payload_of(workspace, made[0])

    assert (payload["command"], payload["text"], payload["user_name"]) == ("/reset", "all", "ana")
    assert (payload["channel_id"], payload["channel_name"]) == ("D0ANASILVA", "directmessage")
    assert payload["response_url"].startswith("http://127.0.0.1")
    assert "thread_ts" not in payload


def test_shortcut_payload() -> None:
    """A message shortcut carries the message, its thread included."""
    workspace = make_workspace()
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    root = workspace.post(ana, desk, "one")
    reply = workspace.post(ana, desk, "two", root.ts)
    made = gesture_of(workspace)
    workspace.interactions.shortcut(ana, reply, "start_over")
    payload = payload_of(workspace, made[0])

    assert (payload["type"], payload["callback_id"]) == ("message_action", "start_over")
    assert (payload["message"]["ts"], payload["message"]["thread_ts"]) == (reply.ts, root.ts)
    assert payload["channel"]["id"] == desk.id


def test_button_payload() -> None:
    """A pressed button says which one, and where; an ephemeral message itself is not in the payload."""
    workspace = make_workspace()
    shown, gesture = pressed(workspace)
    payload = payload_of(workspace, gesture)

    (action,) = payload["actions"]
    assert (action["action_id"], action["value"], action["block_id"]) == ("pick", "7", "b1")
    assert payload["container"] == {
        "type": "message",
        "message_ts": shown.ts,
        "channel_id": shown.channel,
        "is_ephemeral": True,
    }
    assert "message" not in payload


def test_nobody_presses_what_they_do_not_see() -> None:
    """A button of somebody else's ephemeral message, or one that is not there, cannot be pressed."""
    workspace = make_workspace()
    shown, _ = pressed(workspace)

    with pytest.raises(NotAllowed):
        workspace.interactions.press(workspace.person("ben"), shown, "pick")
    with pytest.raises(NotAllowed):
        workspace.interactions.press(workspace.person("ana"), shown, "other")


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"text": "Done"}, ["Which?", "Done"]),
        ({"text": "Done", "replace_original": True}, ["Done"]),
        ({"delete_original": True}, []),
    ],
)
def test_answers_to_a_button(body: dict[str, Any], left: list[str]) -> None:
    """An answer adds an ephemeral message, replaces the pressed one or deletes it."""
    workspace = make_workspace()
    _, gesture = pressed(workspace)

    assert Responses(workspace).receive(gesture.response_url.token, body) is None
    assert texts(workspace) == left


def test_answer_in_the_channel_goes_into_a_thread() -> None:
    """Only an in_channel answer is for everybody, and may name a thread."""
    workspace = make_workspace()
    _, gesture = pressed(workspace)
    root = workspace.post(workspace.person("ben"), workspace.channel("help-desk"), "one")
    body = {"text": "Hello", "response_type": "in_channel", "thread_ts": root.ts}
    Responses(workspace).receive(gesture.response_url.token, body)

    (said,) = workspace.app_messages(workspace.channel("help-desk"))
    assert (said.text, said.thread_ts) == ("Hello", root.ts)


def test_a_response_url_wears_out() -> None:
    """It is good for five answers; bad answers do not count."""
    workspace = make_workspace()
    responses, (_, gesture) = Responses(workspace), pressed(workspace)
    token = gesture.response_url.token
    bad = [responses.receive(token, {}), responses.receive(token, {"blocks": [{"type": "surprise"}]})]

    assert bad == ["no_text", "invalid_blocks"]
    assert [responses.receive(token, {"text": "x"}) for _ in range(6)] == [None] * 5 + ["used_url"]


def test_a_response_url_expires() -> None:
    """It is good for thirty minutes."""
    clock = Clock()
    workspace = make_workspace(clock)
    _, gesture = pressed(workspace)
    clock.advance(minutes=30)

    assert Responses(workspace).receive(gesture.response_url.token, {"text": "late"}) == "expired_url"
