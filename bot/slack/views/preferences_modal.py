"""The view of the preferences modal, and the values of its inputs. https://docs.slack.dev/surfaces/modals.

Rule: pure. Text that people wrote is the initial value of inputs only, where Slack reads no token.
Facts: https://docs.slack.dev/reference/block-kit/blocks/input-block
"""

from __future__ import annotations

from typing import Any

from bot.domain import texts
from bot.domain.language import translated
from bot.domain.preferences import NEITHER, Preferences, Tone
from bot.slack.views.block_elements import Block, View, plain_text

PREFERENCES_MODAL = "preferences"  # callback_id of the modal

_INPUT = "wish"  # action_id of every input; the block_id is the name of the preference


def preferences_modal(preferences: Preferences) -> View:
    """Build the modal, with one input for each preference. The inputs hold the current values."""
    return {
        "type": "modal",
        "callback_id": PREFERENCES_MODAL,
        "title": plain_text(translated(texts.PREFERENCES_TITLE)),
        "submit": plain_text(translated(texts.SAVE)),
        "close": plain_text(translated(texts.CANCEL)),
        "blocks": [
            _input("name", _text_input(preferences.name)),
            _input("language", _text_input(preferences.language)),
            _input("tone", _tone_select(preferences.tone)),
            _input("about", _text_input(preferences.about, multiline=True)),
            {"type": "context", "elements": [plain_text(translated(texts.PREFERENCES_ARE_YOURS))]},
        ],
    }


def submitted_preferences(view: Any) -> dict[str, str]:
    """Return the values of a submitted modal, by the name of the preference. An empty input is an empty string.

    https://docs.slack.dev/reference/interaction-payloads/view-interactions-payload describes `view.state.values`.
    """
    match view:
        case {"state": {"values": dict(values)}}:
            return {name: _value(inputs) for name, inputs in values.items() if name in texts.PREFERENCE_LABELS}
        case _:
            return {}


def _value(inputs: Any) -> str:
    match inputs:
        case {"wish": {"value": str(text)}}:
            return text
        case {"wish": {"selected_option": {"value": str(option)}}}:
            return option
        case _:
            return ""


def _input(name: str, element: Block) -> Block:
    hint = {"hint": plain_text(translated(texts.PREFERENCE_HINTS[name]))} if name in texts.PREFERENCE_HINTS else {}
    label = plain_text(translated(texts.PREFERENCE_LABELS[name]))
    return {"type": "input", "block_id": name, "label": label, "element": element, "optional": True, **hint}


def _text_input(current: str, *, multiline: bool = False) -> Block:
    initial = {"initial_value": current} if current else {}
    return {"type": "plain_text_input", "action_id": _INPUT, "multiline": multiline, **initial}


def _tone_select(current: Tone | None) -> Block:
    options = {
        NEITHER: _option(translated(texts.NEITHER_TONE), NEITHER),
        **{tone.value: _option(translated(texts.TONES[tone.value]), tone.value) for tone in Tone},
    }
    initial = options[current.value if current else NEITHER]
    return {"type": "static_select", "action_id": _INPUT, "options": list(options.values()), "initial_option": initial}


def _option(text: str, value: str) -> Block:
    return {"text": plain_text(text), "value": value}
