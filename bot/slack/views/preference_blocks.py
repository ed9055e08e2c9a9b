"""The views of a person's preferences: the Home tab, and the modal in which they are changed.

Rule: pure. What people wrote stands in `plain_text` objects and in inputs only, where nothing is a token.
Facts: https://docs.slack.dev/surfaces/app-home, .../surfaces/modals and .../reference/block-kit/blocks/input-block
"""

from __future__ import annotations

from typing import Any

from bot.domain import texts
from bot.domain.preferences import NEITHER, Preferences, Tone
from bot.slack.views.blocks import Block, button, plain

EDIT_PREFERENCES = "edit_preferences"  # action_id of the Home tab's button
PREFERENCES_MODAL = "preferences"  # callback_id of the modal

_INPUT = "wish"  # action_id of each input; its block_id is the field's name

View = dict[str, Any]


def home(kept: Preferences, help_text: str) -> View:
    """The Home tab: what is kept in mind for this person, and how to use the bot. `help_text` is mrkdwn."""
    shown = [_shown(field, wish) for field, wish in kept.wishes.items()]
    return {
        "type": "home",
        "blocks": [
            {"type": "header", "text": plain(texts.YOUR_PREFERENCES)},
            *(shown or [{"type": "section", "text": plain(texts.NO_PREFERENCES)}]),
            {"type": "actions", "elements": [button(texts.EDIT_PREFERENCES, EDIT_PREFERENCES, "edit")]},
            {"type": "context", "elements": [plain(texts.PREFERENCES_ARE_YOURS)]},
            {"type": "divider"},
            {"type": "header", "text": plain(texts.HOW_TO_USE_ME)},
            {"type": "section", "text": {"type": "mrkdwn", "text": help_text}},
        ],
    }


def apology() -> View:
    """The Home tab when something broke; it is shown anew whenever it is opened."""
    return {"type": "home", "blocks": [{"type": "section", "text": plain(texts.SOMETHING_BROKE)}]}


def modal(kept: Preferences) -> View:
    """The modal with an input for each field, which holds what is kept."""
    return {
        "type": "modal",
        "callback_id": PREFERENCES_MODAL,
        "title": plain(texts.PREFERENCES_TITLE),
        "submit": plain(texts.SAVE),
        "close": plain(texts.CANCEL),
        "blocks": [
            _input("name", _text(kept.name)),
            _input("language", _text(kept.language)),
            _input("tone", _tones(kept.tone)),
            _input("about", _text(kept.about, multiline=True)),
            {"type": "context", "elements": [plain(texts.PREFERENCES_ARE_YOURS)]},
        ],
    }


def wishes_in(view: Any) -> dict[str, str]:
    """What was written and chosen in a submitted modal, by field; an empty input is an empty wish.

    `view.state.values`: https://docs.slack.dev/reference/interaction-payloads/view-interactions-payload
    """
    match view:
        case {"state": {"values": dict(values)}}:
            return {field: _wish(inputs) for field, inputs in values.items() if field in texts.PREFERENCE_LABELS}
        case _:
            return {}


def _wish(inputs: Any) -> str:
    match inputs:
        case {"wish": {"value": str(written)}}:
            return written
        case {"wish": {"selected_option": {"value": str(chosen)}}}:
            return chosen
        case _:
            return ""


def _shown(field: str, wish: str) -> Block:
    label = {"type": "mrkdwn", "text": f"*{texts.PREFERENCES_SHOWN[field]}*"}
    return {"type": "section", "fields": [label, plain(texts.TONES[wish] if field == "tone" else wish)]}


def _input(field: str, element: Block) -> Block:
    hint = {"hint": plain(texts.PREFERENCE_HINTS[field])} if field in texts.PREFERENCE_HINTS else {}
    label = plain(texts.PREFERENCE_LABELS[field])
    return {"type": "input", "block_id": field, "label": label, "element": element, "optional": True, **hint}


def _text(written: str, *, multiline: bool = False) -> Block:
    given = {"initial_value": written} if written else {}
    return {"type": "plain_text_input", "action_id": _INPUT, "multiline": multiline, **given}


def _tones(chosen: Tone | None) -> Block:
    options = {
        NEITHER: _option(texts.NEITHER_TONE, NEITHER),
        **{tone.value: _option(texts.TONES[tone.value], tone.value) for tone in Tone},
    }
    initial = options[chosen.value if chosen else NEITHER]
    return {"type": "static_select", "action_id": _INPUT, "options": list(options.values()), "initial_option": initial}


def _option(text: str, value: str) -> Block:
    return {"text": plain(text), "value": value}
