"""Events API payloads for the tests of their translation."""

from typing import Any

from bot.domain.events import MessageReceived
from bot.slack.identity import BotIdentity
from bot.slack.inbound.events_api import read_event

BOT = BotIdentity("T1", "Harbour", "https://harbour.slack.com/", "UBOT", "BBOT", "attendant")
TS, ROOT, EDITED = "1712345678.000200", "1712345678.000100", "1712345688.000200"


def payload(**event: Any) -> dict[str, Any]:
    """Build the payload of a message in a channel. The arguments replace fields of the event."""
    message = {"type": "message", "user": "U1", "team": "T1", "channel": "C1", "channel_type": "channel", "ts": TS}
    return {
        "type": "event_callback",
        "team_id": "T1",
        "authorizations": [{"team_id": "T1"}],
        "event": {**message, "text": "hello", **event},
    }


def message(**event: Any) -> MessageReceived:
    """Translate such a payload, which must be a message."""
    translated = read_event(payload(**event), BOT)
    assert isinstance(translated, MessageReceived)
    return translated
