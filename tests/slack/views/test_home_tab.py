"""bot.slack.views.home_tab: the view of the Home tab."""

from bot.domain.preferences import Preferences, Tone
from bot.slack.views.home_tab import home_tab

HOSTILE = "*bold* <!channel> <@U0ANASILVA> `code`"


def test_preferences_are_plain_text() -> None:
    """Slack reads no token in text that a person wrote."""
    view = home_tab(Preferences(HOSTILE, HOSTILE, Tone.BRIEF, HOSTILE), "")
    fields = [field for block in view["blocks"] for field in block.get("fields", ())]

    plain = [field["text"] for field in fields if field["type"] == "plain_text"]
    assert plain == [HOSTILE, HOSTILE, "Brief answers", HOSTILE]
    assert HOSTILE not in str([field for field in fields if field["type"] != "plain_text"])
