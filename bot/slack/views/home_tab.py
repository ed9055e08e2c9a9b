"""The view of the Home tab: a person's preferences, and help. https://docs.slack.dev/surfaces/app-home.

Rule: pure. Text that people wrote is in `plain_text` objects only, where Slack reads no token.
"""

from __future__ import annotations

from bot.domain import texts
from bot.domain.language import translated
from bot.domain.preferences import ModelsChange, Preferences
from bot.slack.views.block_elements import Block, View, button, plain_text
from bot.slack.views.kept_preferences import undo_button

EDIT_PREFERENCES = "edit_preferences"  # action_id of the button


def home_tab(preferences: Preferences, help_text: str, change: ModelsChange | None = None, user: str = "") -> View:
    """Build the Home tab. `help_text` is mrkdwn. `change` is the model's last change, which the person can undo."""
    fields = [_field(name, value) for name, value in preferences.wishes.items()]
    edit = button(translated(texts.EDIT_PREFERENCES), EDIT_PREFERENCES, "edit")
    return {
        "type": "home",
        "blocks": [
            {"type": "header", "text": plain_text(translated(texts.YOUR_PREFERENCES))},
            *(fields or [{"type": "section", "text": plain_text(translated(texts.NO_PREFERENCES))}]),
            {"type": "actions", "elements": [edit, *([undo_button(change, user)] if change else [])]},
            {"type": "context", "elements": [plain_text(translated(texts.PREFERENCES_ARE_YOURS))]},
            {"type": "divider"},
            {"type": "header", "text": plain_text(translated(texts.HOW_TO_USE_ME))},
            {"type": "section", "text": {"type": "mrkdwn", "text": help_text}},
        ],
    }


def home_tab_error() -> View:
    """Build the Home tab for a failure. The person gets the next try by opening the tab again."""
    return {"type": "home", "blocks": [{"type": "section", "text": plain_text(translated(texts.SOMETHING_BROKE))}]}


def _field(name: str, value: str) -> Block:
    label = {"type": "mrkdwn", "text": f"*{translated(texts.PREFERENCES_SHOWN[name])}*"}
    shown = translated(texts.TONES[value]) if name == "tone" else value
    return {"type": "section", "fields": [label, plain_text(shown)]}
