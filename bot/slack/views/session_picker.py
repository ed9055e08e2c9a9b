"""The blocks of the ephemeral message in which a person picks the sessions to reset.

Rule: pure. Text that people wrote is in `plain_text` objects only, where Slack reads no token.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain import session_texts, texts
from bot.domain.language import translated
from bot.domain.sessions import OpenSession
from bot.slack.views.block_elements import Block, button, plain_text

RESET_SESSION = "reset_session"  # action_id of a session's button; the button's value is the session id
RESET_ALL = "reset_all"  # action_id of the last button
MAX_SESSIONS = 20  # https://docs.slack.dev/reference/block-kit/blocks: a message has at most 50 blocks

_OPENING_CHARACTERS = 80


def session_picker(sessions: Sequence[OpenSession], count: int, now: datetime) -> list[Block]:
    """Build the list of the newest of `count` open sessions, with a button for each, and one for all.

    https://docs.slack.dev/reference/block-kit/blocks/section-block
    """
    listed = sessions[:MAX_SESSIONS]
    more = count - len(listed)
    return [
        {"type": "section", "text": plain_text(translated(texts.CHOOSE_SESSION))},
        *(_session(session, now) for session in listed),
        *([{"type": "section", "text": plain_text(session_texts.more_conversations(more))}] if more > 0 else []),
        {"type": "actions", "elements": [button(translated(texts.FORGET_ALL), RESET_ALL, "all", style="danger")]},
    ]


def _session(session: OpenSession, now: datetime) -> Block:
    opening = " ".join(session.opening.split())[:_OPENING_CHARACTERS] or translated(texts.NO_WORDS)
    return {
        "type": "section",
        "block_id": session.id,
        "text": plain_text(f"{opening}\n{session_texts.last_active(now - session.last_active_at)}"),
        "accessory": button(translated(texts.FORGET), RESET_SESSION, session.id),
    }
