"""bot.slack.views.preferences_modal: the view of the modal, and the values of a submission."""

import pytest

from bot.domain import texts
from bot.domain.preferences import Preferences, Tone
from bot.slack.views.preferences_modal import PREFERENCES_MODAL, preferences_modal, submitted_preferences

HOSTILE = "*bold* <!channel> <@U0ANASILVA> `code`"


def test_preferences_are_initial_values() -> None:
    """Slack reads no token in text that a person wrote."""
    view = preferences_modal(Preferences(HOSTILE, HOSTILE, Tone.BRIEF, HOSTILE))

    initial = [block["element"].get("initial_value") for block in view["blocks"][:4]]
    assert initial == [HOSTILE, HOSTILE, None, HOSTILE]


def test_the_modal_has_its_callback_id_and_an_input_for_each_preference() -> None:
    """The listener knows the modal by its callback_id, and each input by the name of a preference."""
    view = preferences_modal(Preferences())
    inputs = [block["block_id"] for block in view["blocks"] if block["type"] == "input"]

    assert (view["callback_id"], inputs) == (PREFERENCES_MODAL, list(texts.PREFERENCE_LABELS))


@pytest.mark.parametrize(
    "view",
    [None, {}, {"state": None}, {"state": {"values": {"admin": {"wish": {"value": "yes"}}}}}],
)
def test_a_view_without_known_inputs(view: object) -> None:
    """A view that has none of the modal's inputs has no values."""
    assert submitted_preferences(view) == {}
