"""The blocks of the ephemeral message that asks a person to confirm `/attendant forget me`."""

from __future__ import annotations

from bot.domain import texts
from bot.domain.language import translated
from bot.slack.views.block_elements import Block, button, plain_text

FORGET_ME = "forget_me"  # action_id of the button


def forget_confirmation() -> list[Block]:
    """Build the question, and the button that confirms it."""
    return [
        {"type": "section", "text": plain_text(translated(texts.CONFIRM_FORGET_ME))},
        {"type": "actions", "elements": [button(translated(texts.FORGET_ME), FORGET_ME, "me", style="danger")]},
    ]
