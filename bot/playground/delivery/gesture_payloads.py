"""The payloads of slash commands, shortcuts, buttons and modals. Pure.

docs.slack.dev: interactivity/implementing-slash-commands, reference/interaction-payloads.
"""

from __future__ import annotations

from typing import assert_never

from bot.playground.workspace.changes import (
    ButtonPressed,
    CommandGiven,
    Gesture,
    ShortcutChosen,
    ViewButtonPressed,
    ViewGesture,
    ViewSubmitted,
)
from bot.playground.workspace.message_json import message_json
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Person
from bot.playground.workspace.state import WorkspaceState
from bot.playground.workspace.view_json import view_json


def payload_of(state: WorkspaceState, gesture: Gesture | ViewGesture) -> Json:
    """What the app receives of a gesture, over Socket Mode as it is, over HTTP as a form."""
    match gesture:
        case CommandGiven():
            return _command(state, gesture)
        case ShortcutChosen():
            return _shortcut(state, gesture)
        case ButtonPressed():
            return _button(state, gesture)
        case ViewButtonPressed():
            return _view_button(state, gesture)
        case ViewSubmitted():
            return _submission(state, gesture)
        case _:
            assert_never(gesture)


def _command(state: WorkspaceState, given: CommandGiven) -> Json:
    return {
        "token": state.app.verification_token,
        "team_id": state.team.id,
        "team_domain": state.team.domain,
        "channel_id": given.channel.id,
        "channel_name": given.channel.payload_name,
        "user_id": given.person.id,
        "user_name": given.person.name,
        "command": given.command,
        "text": given.text,
        "api_app_id": state.app.id,
        "is_enterprise_install": "false",
        "response_url": given.response.url,
        "trigger_id": given.trigger_id,
    }


def _shortcut(state: WorkspaceState, chosen: ShortcutChosen) -> Json:
    return {
        "type": "message_action",
        **_context(state, chosen),
        "action_ts": chosen.ts,
        "callback_id": chosen.callback_id,
        "message_ts": chosen.message.ts,
        "message": message_json(state, chosen.message),
    }


def _button(state: WorkspaceState, pressed: ButtonPressed) -> Json:
    message = pressed.message
    # An ephemeral message is not stored by Slack, so its payload carries none.
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


def _view_button(state: WorkspaceState, pressed: ViewButtonPressed) -> Json:
    return {
        "type": "block_actions",
        **_who(state, pressed),
        "api_app_id": state.app.id,
        "container": {"type": "view", "view_id": pressed.view.id},
        "view": view_json(state, pressed.view),
        "actions": [_action(pressed.button, pressed)],
    }


def _submission(state: WorkspaceState, submitted: ViewSubmitted) -> Json:
    return {
        "type": "view_submission",
        **_who(state, submitted),
        "api_app_id": state.app.id,
        "view": view_json(state, submitted.view, submitted.values),
        "response_urls": [],
    }


def _action(button: Json, pressed: ButtonPressed | ViewButtonPressed) -> Json:
    action: Json = {key: button[key] for key in ("action_id", "text", "value", "type") if key in button}
    return {**action, "block_id": pressed.block_id, "action_ts": pressed.ts}


def _context(state: WorkspaceState, gesture: ShortcutChosen | ButtonPressed) -> Json:
    return {
        **_who(state, gesture),
        "channel": {"id": gesture.channel.id, "name": gesture.channel.payload_name},
        "response_url": gesture.response.url,
    }


def _who(state: WorkspaceState, gesture: ShortcutChosen | ButtonPressed | ViewGesture) -> Json:
    return {
        "token": state.app.verification_token,
        "team": {"id": state.team.id, "domain": state.team.domain},
        "enterprise": None,
        "is_enterprise_install": False,
        "user": _user(gesture.person),
        "trigger_id": gesture.trigger_id,
    }


def _user(person: Person) -> Json:
    return {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team}


def _container(message: Message) -> Json:
    made = {"type": "message", "message_ts": message.ts, "channel_id": message.channel}
    thread = {"thread_ts": message.thread_ts} if message.thread_ts else {}
    return {**made, **thread, "is_ephemeral": message.only_for is not None}
