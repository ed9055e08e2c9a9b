"""The payloads of slash commands, shortcuts, buttons and modals. Pure.

docs.slack.dev: interactivity/implementing-slash-commands, reference/interaction-payloads.
"""

from __future__ import annotations

from typing import assert_never

from bot.playground.workspace.changes import (
    Interaction,
    MessageBlockAction,
    MessageShortcutInvoked,
    SlashCommandInvoked,
    ViewBlockAction,
    ViewInteraction,
    ViewSubmitted,
)
from bot.playground.workspace.message_json import message_json
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Person
from bot.playground.workspace.state import WorkspaceState
from bot.playground.workspace.view_json import view_json


def payload_of(state: WorkspaceState, interaction: Interaction) -> Json:
    """Return the payload of an interaction. Socket Mode sends it as JSON, HTTP as a form."""
    match interaction:
        case SlashCommandInvoked():
            return _command(state, interaction)
        case MessageShortcutInvoked():
            return _shortcut(state, interaction)
        case MessageBlockAction():
            return _message_action(state, interaction)
        case ViewBlockAction():
            return _view_action(state, interaction)
        case ViewSubmitted():
            return _submission(state, interaction)
        case _:
            assert_never(interaction)


def _command(state: WorkspaceState, invoked: SlashCommandInvoked) -> Json:
    return {
        "token": state.app.verification_token,
        "team_id": state.team.id,
        "team_domain": state.team.domain,
        "channel_id": invoked.channel.id,
        "channel_name": invoked.channel.payload_name,
        "user_id": invoked.person.id,
        "user_name": invoked.person.name,
        "command": invoked.command,
        "text": invoked.text,
        "api_app_id": state.app.id,
        "is_enterprise_install": "false",
        "response_url": invoked.response_url.url,
        "trigger_id": invoked.trigger_id,
    }


def _shortcut(state: WorkspaceState, invoked: MessageShortcutInvoked) -> Json:
    return {
        "type": "message_action",
        **_context(state, invoked),
        "action_ts": invoked.ts,
        "callback_id": invoked.callback_id,
        "message_ts": invoked.message.ts,
        "message": message_json(state, invoked.message),
    }


def _message_action(state: WorkspaceState, pressed: MessageBlockAction) -> Json:
    message = pressed.message
    # Slack does not store ephemeral messages, so the payload contains none.
    source = {} if message.only_for else {"message": message_json(state, message)}
    return {
        "type": "block_actions",
        **_context(state, pressed),
        "api_app_id": state.app.id,
        "container": _container(message),
        **source,
        "state": {"values": {}},
        "actions": [_action(pressed.button, pressed)],
    }


def _view_action(state: WorkspaceState, pressed: ViewBlockAction) -> Json:
    return {
        "type": "block_actions",
        **_common(state, pressed),
        "api_app_id": state.app.id,
        "container": {"type": "view", "view_id": pressed.view.id},
        "view": view_json(state, pressed.view),
        "actions": [_action(pressed.button, pressed)],
    }


def _submission(state: WorkspaceState, submitted: ViewSubmitted) -> Json:
    return {
        "type": "view_submission",
        **_common(state, submitted),
        "api_app_id": state.app.id,
        "view": view_json(state, submitted.view, submitted.values),
        "response_urls": [],
    }


def _action(button: Json, pressed: MessageBlockAction | ViewBlockAction) -> Json:
    action: Json = {key: button[key] for key in ("action_id", "text", "value", "type") if key in button}
    return {**action, "block_id": pressed.block_id, "action_ts": pressed.ts}


def _context(state: WorkspaceState, interaction: MessageShortcutInvoked | MessageBlockAction) -> Json:
    return {
        **_common(state, interaction),
        "channel": {"id": interaction.channel.id, "name": interaction.channel.payload_name},
        "response_url": interaction.response_url.url,
    }


def _common(state: WorkspaceState, interaction: MessageShortcutInvoked | MessageBlockAction | ViewInteraction) -> Json:
    return {
        "token": state.app.verification_token,
        "team": {"id": state.team.id, "domain": state.team.domain},
        "enterprise": None,
        "is_enterprise_install": False,
        "user": _user(interaction.person),
        "trigger_id": interaction.trigger_id,
    }


def _user(person: Person) -> Json:
    return {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team}


def _container(message: Message) -> Json:
    container = {"type": "message", "message_ts": message.ts, "channel_id": message.channel}
    thread = {"thread_ts": message.thread_ts} if message.thread_ts else {}
    return {**container, **thread, "is_ephemeral": message.only_for is not None}
