"""The blocks of the messages that are more than text: the list of conversations to choose from, and a question.

Rule: pure. What people wrote stands in `plain_text` objects only, where nothing is a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.domain import texts
from bot.domain.sessions import OpenSession
from bot.slack.text import message_length

RESET_SESSION = "reset_session"  # action_id of a session's button; its value is the session's id
RESET_ALL = "reset_all"  # action_id of the button below them
FORGET_ME = "forget_me"

_OPENING_CHARACTERS = 80

Block = dict[str, Any]


def sessions_to_reset(sessions: Sequence[OpenSession], count: int, now: datetime) -> list[Block]:
    """The newest of `count` open sessions, each with a button; how many more there are; a button for all of them.

    https://docs.slack.dev/reference/block-kit/blocks/section-block
    """
    listed = sessions[: message_length.LISTED_SESSIONS]
    more = count - len(listed)
    return [
        {"type": "section", "text": plain(texts.CHOOSE_SESSION)},
        *(_session(session, now) for session in listed),
        *([{"type": "section", "text": plain(texts.more_conversations(more))}] if more > 0 else []),
        {"type": "actions", "elements": [button(texts.FORGET_ALL, RESET_ALL, "all", style="danger")]},
    ]


def to_confirm_forgetting() -> list[Block]:
    """What will be erased, and the button that erases it."""
    return [
        {"type": "section", "text": plain(texts.CONFIRM_FORGET_ME)},
        {"type": "actions", "elements": [button(texts.FORGET_ME, FORGET_ME, "me", style="danger")]},
    ]


def _session(session: OpenSession, now: datetime) -> Block:
    opening = " ".join(session.opening.split())[:_OPENING_CHARACTERS] or texts.NO_WORDS
    return {
        "type": "section",
        "block_id": session.id,
        "text": plain(f"{opening}\n{texts.last_active(now - session.last_active_at)}"),
        "accessory": button(texts.FORGET, RESET_SESSION, session.id),
    }


def button(text: str, action_id: str, value: str, **style: str) -> Block:
    """A button; its text is plain."""
    return {"type": "button", "text": plain(text), "action_id": action_id, "value": value, **style}


def plain(text: str) -> Block:
    """A text in which nothing is a token."""
    return {"type": "plain_text", "text": text, "emoji": False}
