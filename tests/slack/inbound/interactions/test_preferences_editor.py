"""bot.slack.inbound.interactions.preferences_editor: the Home tab and the preferences modal, over Socket Mode."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bot.domain import texts
from bot.domain.preferences import Preferences
from bot.playground.workspace.surfaces import ViewKind
from bot.slack.views.home_tab import EDIT_PREFERENCES
from tests.support.slack_inbound_stage import InboundStage, inbound_stage, json_log, logged
from tests.support.slack_stage import a_while


def shown(slack: InboundStage, kind: ViewKind = "home") -> str:
    """Return the blocks of the view that Ana sees."""
    view = slack.workspace.surfaces.of(slack.ana, kind)
    return str(view.body["blocks"]) if view else ""


def modal_errors(slack: InboundStage) -> Mapping[str, str]:
    """Return the errors in the modal that Ana sees."""
    view = slack.workspace.surfaces.of(slack.ana, "modal")
    return view.errors if view else {}


async def open_home_tab(slack: InboundStage) -> None:
    """Open the Home tab, and wait until it has a view."""
    slack.workspace.interactions.open_home(slack.ana)
    await slack.workspace.until(lambda: bool(shown(slack)))


async def open_modal(slack: InboundStage) -> None:
    """Open the modal from the Home tab."""
    await open_home_tab(slack)
    slack.workspace.interactions.press_at_home(slack.ana, EDIT_PREFERENCES)
    await slack.workspace.until(lambda: bool(shown(slack, "modal")))


async def test_the_first_home_tab() -> None:
    """The first Home tab shows no preferences, and help with this workspace's command names."""
    async with inbound_stage() as slack:
        await open_home_tab(slack)

        assert texts.NO_PREFERENCES in shown(slack)
        assert "/attendant status" in shown(slack)


async def test_the_messages_tab_is_ignored() -> None:
    """The app_home_opened event of the messages tab publishes no view."""
    async with inbound_stage() as slack:
        slack.workspace.interactions.open_home(slack.ana)
        await slack.acknowledged()
        (delivery,) = slack.server.deliveries.all()
        await slack.workspace.until(lambda: len(slack.server.calls.of("views.publish")) == 1)
        delivery.event["tab"] = "messages"
        slack.server.deliveries.redeliver(delivery, new_event_id=True)
        await slack.acknowledged()
        await a_while()

        assert len(slack.server.calls.of("views.publish")) == 1


async def test_the_home_tab_when_the_database_fails() -> None:
    """The Home tab shows an apology, and the preferences when it is opened again."""
    async with inbound_stage() as slack:
        slack.inbox.failures_left = 1
        await open_home_tab(slack)
        assert texts.SOMETHING_BROKE in shown(slack)
        slack.workspace.interactions.open_home(slack.ana)
        await slack.workspace.until(lambda: texts.NO_PREFERENCES in shown(slack))


async def test_the_edit_button_when_the_database_fails() -> None:
    """No modal opens, and the Home tab shows an apology."""
    async with inbound_stage() as slack:
        await open_home_tab(slack)
        slack.inbox.failures_left = 1
        slack.workspace.interactions.press_at_home(slack.ana, EDIT_PREFERENCES)
        await slack.workspace.until(lambda: texts.SOMETHING_BROKE in shown(slack))

        assert not shown(slack, "modal")


async def test_a_submission_when_the_database_fails() -> None:
    """The modal stays open with an error and the typed text. A second submission is saved."""
    async with inbound_stage() as slack:
        await open_modal(slack)
        slack.inbox.failures_left = 1
        slack.workspace.interactions.submit(slack.ana, {"name": "Rita"})
        await slack.workspace.until(lambda: bool(modal_errors(slack)))
        assert modal_errors(slack) == {"name": texts.SOMETHING_BROKE}
        slack.workspace.interactions.submit(slack.ana, {"name": "Rita"})
        await slack.workspace.until(lambda: not shown(slack, "modal"))

        assert slack.inbox.saved_preferences == {slack.ana.id: Preferences("Rita")}


async def test_a_command_when_slack_opens_no_modal(caplog: pytest.LogCaptureFixture) -> None:
    """If Slack refuses views.open, the person reads an apology, and the log line has Slack's code."""
    async with inbound_stage() as slack:
        slack.server.faults.refuse("views.open", "expired_trigger_id")
        assert (await slack.command("/attendant", "preferences")).text == texts.SOMETHING_BROKE
        (line,) = logged(caplog, "preferences_modal_not_opened")
        assert line["error"] == "expired_trigger_id"


async def test_an_app_without_a_home_tab(caplog: pytest.LogCaptureFixture) -> None:
    """The modal saves preferences even if the app was installed without a Home tab."""
    async with inbound_stage() as slack:
        slack.server.faults.refuse("views.publish", "not_enabled")
        slack.workspace.interactions.command(slack.ana, slack.help_desk, "/attendant", "preferences")
        await slack.workspace.until(lambda: bool(shown(slack, "modal")))
        slack.workspace.interactions.submit(slack.ana, {"name": "Rita", "about": "my-secret-device"})
        await slack.workspace.until(lambda: len(slack.server.calls.of("views.publish")) == 1)
        await slack.workspace.until(lambda: not shown(slack, "modal"))

    assert slack.inbox.saved_preferences[slack.ana.id].name == "Rita"
    assert [line["error"] for line in logged(caplog, "home_tab_not_published")] == ["not_enabled"]
    assert "my-secret-device" not in json_log(caplog)
