"""Fuzzed payloads, through Bolt itself: no listener breaks, and each request is acknowledged."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.slack.client import open_client
from bot.slack.inbound.bolt_app import build_app
from bot.slack.inbound.listeners.events import ACCEPTED_EVENTS, APP_HOME_OPENED
from bot.slack.views.forget_confirmation import FORGET_ME
from bot.slack.views.home_tab import EDIT_PREFERENCES
from bot.slack.views.kept_preferences import UNDO_PREFERENCES
from bot.slack.views.preferences_modal import PREFERENCES_MODAL
from bot.slack.views.session_picker import RESET_ALL, RESET_SESSION
from bot.testing import SettableClock
from tests.support.playground_stage import make_workspace, served
from tests.support.recorded_messages import SHAPES, TS, share
from tests.support.slack_inbound_stage import KnownPeople, RecordingInbox, services_of
from tests.support.slack_payloads import BOT
from tests.support.slack_stage import settings_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from([TS, "UBOT", "D1", "<@UBOT> hi"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
PLACES = st.sampled_from([("D1", "im"), ("C1", "channel"), ("G1", "group"), ("G2", "mpim")])
IDS = frozenset({"user", "channel", "team", "user_id", "channel_id", "thread_ts"})
BEFORE = {"type": "message", "user": "U1", "ts": TS, "text": "hello"}


def fuzzed(fields: dict[str, Any], *kept: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return these fields, some of them with any JSON in place of theirs, or left out. Those in `kept` stay.

    Bolt itself reads ids before any code of the bot, so these are always texts.
    """
    loose = [name for name in fields if name not in kept]
    names, ids = st.sampled_from(loose), st.text(max_size=6)
    changed = st.lists(names.flatmap(lambda name: st.tuples(st.just(name), ids if name in IDS else JSON)), max_size=3)
    absent = st.sets(names, max_size=2)
    return st.builds(
        lambda new, gone: {
            name: new.get(name, value) for name, value in fields.items() if name not in gone or name in new
        },
        changed.map(dict),
        absent,
    )


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Return an event of any subscribed type, of any message's shape, and with fuzz in its fields."""
    channel, channel_type = draw(PLACES)
    content, _ = SHAPES[draw(st.sampled_from(sorted(SHAPES)))]
    message = {**BEFORE, **content, "attachments": draw(st.sampled_from([[], [share()]]))}
    event = {**message, "channel": channel, "channel_type": channel_type, "event_ts": TS, "thread_ts": TS}
    event |= {"type": draw(st.sampled_from([*ACCEPTED_EVENTS, APP_HOME_OPENED])), "files": [{"id": "F1"}]}
    event |= {"tab": draw(st.sampled_from(["home", "messages"])), "old_channel_id": "C1", "new_channel_id": "C2"}
    event |= draw(
        st.sampled_from(
            [
                {},
                {"subtype": "message_changed", "message": message, "previous_message": BEFORE},
                {"subtype": "message_deleted", "deleted_ts": TS, "previous_message": message},
                {"tokens": {"bot": ["UBOT"]}, "action_token": "secret"},
            ]
        )
    )
    body = {"type": "event_callback", "team_id": "T1", "authorizations": [{"team_id": "T1"}], "event_id": "Ev1"}
    return {**body, "event": draw(fuzzed(event, "type"))}


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Return a command, a button, a shortcut or a modal, with fuzz in its fields."""
    channel, _ = draw(PLACES)
    shared = {"team": {"id": "T1"}, "user": {"id": "U1"}, "channel": {"id": channel}, "trigger_id": "1.2"}
    shared |= {"response_url": "http://127.0.0.1:9/x", "message": {"ts": TS}, "view": {"id": "V1", "callback_id": "?"}}
    action = {"action_id": draw(st.sampled_from(ACTIONS)), "block_id": "b", "value": "1", "type": "button"}
    view = {"id": "V1", "type": "modal", "callback_id": PREFERENCES_MODAL, "state": {"values": {}}}
    match draw(st.sampled_from(["command", "block_actions", "message_action", "view_submission"])):
        case "command":
            text = draw(st.sampled_from(["", "help", "reset", "status", "export", "forget me", "preferences"]))
            command = {"command": draw(st.sampled_from(["/attendant", "/reset"])), "team_id": "T1", "text": text}
            command |= {
                "user_id": "U1",
                "channel_id": channel,
                "trigger_id": "1.2",
                "response_url": "http://127.0.0.1:9/",
            }
            return draw(fuzzed(command, "command", "team_id"))
        case "block_actions":
            return {
                **draw(fuzzed(shared, "team")),
                "type": "block_actions",
                "actions": [draw(fuzzed(action, "action_id"))],
            }
        case "message_action":
            return {**draw(fuzzed(shared, "team")), "type": "message_action", "callback_id": "start_over"}
        case _:
            fields = draw(fuzzed(shared, "team"))
            return {**fields, "type": "view_submission", "view": {**draw(fuzzed(view, "callback_id", "type"))}}


ACTIONS = [UNDO_PREFERENCES, RESET_SESSION, RESET_ALL, FORGET_ME, EDIT_PREFERENCES]


async def acknowledged(bodies: list[dict[str, Any]]) -> RecordingInbox:
    """Send each payload through Bolt, and return the inbox when all listeners have ended."""
    inbox, playground = RecordingInbox(), make_workspace()
    async with served(playground) as server, open_client(settings_of(server)) as client:
        app = build_app(
            client, BOT, services_of(inbox), settings_of(server), clock=SettableClock().now, people=KnownPeople()
        )
        running = asyncio.all_tasks()
        for body in bodies:
            assert await status_of(app, body) == 200, body
        while listeners := asyncio.all_tasks() - running:
            await asyncio.wait(listeners)
    return inbox


async def status_of(app: AsyncApp, body: dict[str, Any]) -> int:
    """Return the status of Bolt's response. In Socket Mode, 200 is the acknowledgement."""
    response = await app.async_dispatch(AsyncBoltRequest(body=body, mode="socket_mode"))
    return int(response.status)


@pytest.mark.long
@pytest.mark.timeout(300)
@settings(max_examples=25)
@given(st.lists(events(), min_size=1, max_size=8))
async def test_any_event_is_acknowledged(bodies: list[dict[str, Any]]) -> None:
    """Events of all types, with any JSON in their fields, are acknowledged, and no listener fails."""
    assert (await acknowledged(bodies)).failed_deliveries == 0


@pytest.mark.long
@pytest.mark.timeout(300)
@settings(max_examples=25)
@given(st.lists(requests(), min_size=1, max_size=6))
async def test_any_interaction_is_acknowledged(bodies: list[dict[str, Any]]) -> None:
    """So are commands, buttons, shortcuts and modals, in a DM, a channel, a private channel and a group DM."""
    assert (await acknowledged(bodies)).failed_deliveries == 0
