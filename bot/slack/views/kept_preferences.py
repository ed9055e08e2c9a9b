"""The blocks of the ephemeral message that shows what the model kept of a person's wishes, with a button to undo it.

Rule: pure. Text that people wrote is in `plain_text` objects only, where Slack reads no token.
"""

from __future__ import annotations

import re

from bot.domain import texts
from bot.domain.language import translated
from bot.domain.preferences import ModelsChange
from bot.slack.views.block_elements import Block, button, plain_text

_VALUE = re.compile(r"(?P<user>\S+) (?P<turn>[0-9]{1,18})")
UNDO_PREFERENCES = "undo_preferences"  # action_id of the button


def kept_preferences(change: ModelsChange, user: str) -> list[Block]:
    """Build the change, whole, and the button for this person."""
    return [
        {"type": "section", "text": plain_text(texts.kept(change.wishes))},
        {"type": "actions", "elements": [undo_button(change, user)]},
    ]


def undo_button(change: ModelsChange, user: str) -> Block:
    """Build the button that undoes a change. Its value is the person and the turn."""
    return button(translated(texts.UNDO), UNDO_PREFERENCES, f"{user} {change.turn_id}")


def undone_change(value: str) -> tuple[str, int]:
    """Return the person and the turn from the value of a pressed button. A malformed value names nobody and turn 0."""
    known = _VALUE.fullmatch(value)
    return (known["user"], int(known["turn"])) if known else ("", 0)
