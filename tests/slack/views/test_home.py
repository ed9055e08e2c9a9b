"""bot.slack's Home tab and its modal, over Socket Mode: what is shown, what is kept, and what is said of trouble."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bot.domain import texts as wording
from bot.domain.preferences import Preferences, Tone
from bot.playground.workspace.surfaces import ViewKind
from bot.slack.views.preference_blocks import EDIT_PREFERENCES, PREFERENCES_MODAL, home, modal, wishes_in
from tests.support.slack_stage import Ears, a_while, ears

HOSTILE = "*bold* <!channel> <@U0ANASILVA> `code`"


def shown(slack: Ears, kind: ViewKind = "home") -> str:
    """What Ana sees there, all of it."""
    view = slack.workspace.surfaces.of(slack.ana, kind)
    return str(view.body["blocks"]) if view else ""


def complaints(slack: Ears) -> Mapping[str, str]:
    """What is wrong with the modal that Ana sees."""
    view = slack.workspace.surfaces.of(slack.ana, "modal")
    return view.errors if view else {}


async def opened(slack: Ears) -> None:
    """Open the Home tab, and wait until something is shown there."""
    slack.workspace.interactions.open_home(slack.ana)
    await slack.workspace.until(lambda: bool(shown(slack)))


async def edited(slack: Ears) -> None:
    """Open the modal from the Home tab."""
    await opened(slack)
    slack.workspace.interactions.press_at_home(slack.ana, EDIT_PREFERENCES)
    await slack.workspace.until(lambda: bool(shown(slack, "modal")))


async def test_the_home_tab_says_how_the_bot_is_used() -> None:
    """Opened for the first time it says that nothing is kept yet, and what one can do, by the names of this place."""
    async with ears() as slack:
        await opened(slack)

        assert wording.NO_PREFERENCES in shown(slack)
        assert "/attendant status" in shown(slack)


async def test_the_messages_tab_is_left_alone() -> None:
    """Slack tells of it under the same name; nothing is shown anywhere."""
    async with ears() as slack:
        slack.workspace.interactions.open_home(slack.ana)
        await slack.acknowledged()
        (delivery,) = slack.server.deliveries.all()
        await slack.workspace.until(lambda: len(slack.server.calls.of("views.publish")) == 1)
        delivery.event["tab"] = "messages"
        slack.server.deliveries.redeliver(delivery, new_event_id=True)
        await slack.acknowledged()
        await a_while()

        assert len(slack.server.calls.of("views.publish")) == 1


async def test_what_people_wrote_is_plain() -> None:
    """In the Home tab and in the modal nothing that somebody wrote is a token of Slack's."""
    kept = Preferences(HOSTILE, HOSTILE, Tone.BRIEF, HOSTILE)
    texts = [text for block in home(kept, "")["blocks"] for text in block.get("fields", ())]

    assert [text["text"] for text in texts if text["type"] == "plain_text"] == [
        HOSTILE,
        HOSTILE,
        "Brief answers",
        HOSTILE,
    ]
    assert HOSTILE not in str([text for text in texts if text["type"] != "plain_text"])
    assert [block["element"].get("initial_value") for block in modal(kept)["blocks"][:4]] == [
        HOSTILE,
        HOSTILE,
        None,
        HOSTILE,
    ]


@pytest.mark.parametrize(
    "view",
    [None, {}, {"state": None}, {"state": {"values": {"admin": {"wish": {"value": "yes"}}}}}],
)
def test_a_view_without_wishes(view: object) -> None:
    """What has none of our inputs holds no wishes."""
    assert wishes_in(view) == {}


async def test_preferences_when_the_store_is_away() -> None:
    """The Home tab says so in a sentence, and shows them when it is opened again."""
    async with ears() as slack:
        slack.ledger.out_of_order = 1
        await opened(slack)
        assert wording.SOMETHING_BROKE in shown(slack)
        slack.workspace.interactions.open_home(slack.ana)
        await slack.workspace.until(lambda: wording.NO_PREFERENCES in shown(slack))


async def test_a_button_when_the_store_is_away() -> None:
    """No modal opens; the Home tab says so."""
    async with ears() as slack:
        await opened(slack)
        slack.ledger.out_of_order = 1
        slack.workspace.interactions.press_at_home(slack.ana, EDIT_PREFERENCES)
        await slack.workspace.until(lambda: wording.SOMETHING_BROKE in shown(slack))

        assert not shown(slack, "modal")


async def test_a_submission_when_the_store_is_away() -> None:
    """The modal stays open with a sentence in it, what was written too, and a second try is kept."""
    async with ears() as slack:
        await edited(slack)
        slack.ledger.out_of_order = 1
        slack.workspace.interactions.submit(slack.ana, {"name": "Rita"})
        await slack.workspace.until(lambda: bool(complaints(slack)))
        assert complaints(slack) == {"name": wording.SOMETHING_BROKE}
        slack.workspace.interactions.submit(slack.ana, {"name": "Rita"})
        await slack.workspace.until(lambda: not shown(slack, "modal"))

        assert slack.ledger.wishes == {slack.ana.id: Preferences("Rita")}


async def test_a_command_when_the_modal_cannot_be_opened(caplog: pytest.LogCaptureFixture) -> None:
    """Slack refuses it, for instance because the trigger is too old: the caller reads a sentence, the log the code."""
    async with ears() as slack:
        slack.server.faults.refuse("views.open", "expired_trigger_id")
        assert (await slack.command("/attendant", "preferences")).text == wording.SOMETHING_BROKE
        assert "the preferences were not opened: expired_trigger_id" in caplog.text


async def test_an_app_without_a_home_tab(caplog: pytest.LogCaptureFixture) -> None:
    """Where the app was installed without one, saving in the modal works all the same."""
    async with ears() as slack:
        slack.server.faults.refuse("views.publish", "not_enabled")
        slack.workspace.interactions.command(slack.ana, slack.help_desk, "/attendant", "preferences")
        await slack.workspace.until(lambda: bool(shown(slack, "modal")))
        slack.workspace.interactions.submit(slack.ana, {"name": "Rita", "about": "my-secret-device"})
        await slack.workspace.until(lambda: len(slack.server.calls.of("views.publish")) == 1)
        await slack.workspace.until(lambda: not shown(slack, "modal"))

    assert slack.ledger.wishes[slack.ana.id].name == "Rita"
    assert "my-secret-device" not in caplog.text


async def test_the_modal_is_ours() -> None:
    """Its callback is the one that is listened for, and each input is one of the fields that are kept."""
    made = modal(Preferences())
    inputs = [block["block_id"] for block in made["blocks"] if block["type"] == "input"]

    assert (made["callback_id"], inputs) == (PREFERENCES_MODAL, list(wording.PREFERENCE_LABELS))
