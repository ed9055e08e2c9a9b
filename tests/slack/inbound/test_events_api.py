"""bot.slack.inbound.events_api: the translation of Events API payloads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import Author, ChannelGone, MessageReceived, StopRequested, Thread, Uninstalled
from bot.slack.inbound.events_api import CHANNEL_LOST_EVENTS, read_event
from tests.support.slack_payloads import BOT, ROOT, TS, payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([TS, "message", "UBOT", "D1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
EVENT_KEYS = [
    "type",
    "subtype",
    "user",
    "channel",
    "channel_type",
    "ts",
    "thread_ts",
    "text",
    "files",
    "bot_id",
    "team",
    "deleted_ts",
    "message",
    "previous_message",
    "edited",
    "event_ts",
    "tokens",
]
KINDS = [
    {"type": "message"},
    {"type": "message", "subtype": "message_deleted"},
    {"type": "message", "subtype": "message_changed"},
    {"type": "agent_session_stopped"},
    {"type": "app_uninstalled"},
    {"type": "tokens_revoked"},
    {"type": "channel_deleted"},
    {"type": "member_left_channel"},
]


def test_slacks_stop_button() -> None:
    """A click on Slack's own Stop button has a thread, a person and a time, but no message."""
    event = {"type": "agent_session_stopped", "channel": "D1", "thread_ts": ROOT, "user": "U1", "event_ts": TS}
    translated = read_event({"team_id": "T1", "event": {**event, "streaming_message_ts": [TS]}}, BOT)

    thread = Thread("slack", "T1", "D1", ROOT, direct=True)
    assert translated == StopRequested(thread, Author("U1", "T1"), asked_at=TS)


@pytest.mark.parametrize("event_type", CHANNEL_LOST_EVENTS)
def test_a_lost_channel(event_type: str) -> None:
    """Every event by which the bot loses a channel is translated to ChannelGone."""
    event = {"type": event_type, "channel": "C1", "user": "UBOT", "event_ts": TS}

    assert read_event({"team_id": "T1", "event": event}, BOT) == ChannelGone("slack", "T1", "C1")


@pytest.mark.parametrize("event", [{"user": "U1", "channel": "C1"}, {"user": "UBOT"}, {"user": "UBOT", "channel": {}}])
def test_the_departure_of_a_member_is_ignored(event: dict[str, Any]) -> None:
    """The departure of a person is ignored. So is an event without a channel."""
    assert read_event({"team_id": "T1", "event": {"type": "member_left_channel", **event}}, BOT) is None


@pytest.mark.parametrize(
    "event", [{"type": "app_uninstalled"}, {"type": "tokens_revoked", "tokens": {"bot": ["UBOT"]}}]
)
def test_an_uninstallation(event: dict[str, Any]) -> None:
    """The removal of the app, and the revocation of the bot token, are translated to Uninstalled."""
    assert read_event({"team_id": "T1", "event": event}, BOT) == Uninstalled("slack", "T1")


@pytest.mark.parametrize("tokens", [{"oauth": ["U1"]}, {"oauth": ["U1"], "bot": []}, None])
def test_a_revoked_user_token_is_ignored(tokens: Any) -> None:
    """The revocation of a user token is ignored."""
    assert read_event({"team_id": "T1", "event": {"type": "tokens_revoked", "tokens": tokens}}, BOT) is None


@given(JSON)
def test_any_body_is_ignored(event: Any) -> None:
    """Any JSON in place of the event is ignored, and nothing raises."""
    assert read_event({"event": event, "team_id": "T1"}, BOT) is None


@given(st.sampled_from([{}, *KINDS]), st.dictionaries(st.sampled_from(EVENT_KEYS), JSON), JSON)
def test_any_event_is_translated(kind: dict[str, Any], event: dict[str, Any], authorizations: Any) -> None:
    """Any JSON in the fields of an event raises nothing, and the translated event can be stored."""
    translated = read_event({**payload(**event | kind), "authorizations": authorizations}, BOT)
    assert translated is None or "\0" not in str(translated)


def test_slack_connect_channels() -> None:
    """In a Slack Connect channel the thread belongs to the installation, and the author to their own workspace."""
    body = payload(user="U9", team="T9", user_team="T9")
    translated = read_event({**body, "team_id": "T9"}, BOT)

    assert isinstance(translated, MessageReceived)
    assert (translated.thread.workspace, translated.author) == ("T1", Author("U9", "T9"))
