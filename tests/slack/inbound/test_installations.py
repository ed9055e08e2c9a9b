"""bot.slack.inbound.installations: requests for another workspace's installation of the app are ignored."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import Author, MessageReceived
from bot.manifest import START_OVER
from bot.playground.delivery.delivery import Delivery, DeliveryKind
from bot.slack.inbound.installations import teams_of
from bot.slack.views.forget_confirmation import FORGET_ME
from bot.slack.views.home_tab import EDIT_PREFERENCES
from bot.slack.views.preferences_modal import PREFERENCES_MODAL
from bot.slack.views.session_picker import RESET_ALL, RESET_SESSION
from tests.slack.inbound.test_http_mode import http_stage
from tests.support.slack_inbound_stage import InboundStage, inbound_stage, json_log, logged
from tests.support.slack_payloads import ROOT, TS

OTHER = "T0ELSEWHERE"
Fields = dict[str, Any]


@asynccontextmanager
async def over_http() -> AsyncIterator[InboundStage]:
    """Connect the app by signed HTTP."""
    async with http_stage() as (stage, _):
        yield stage


TRANSPORTS = pytest.mark.parametrize("opened", [inbound_stage, over_http], ids=["socket_mode", "http"])


def event(team: object, /, **fields: Any) -> tuple[DeliveryKind, Fields]:
    """Return an event that `team` authorized."""
    authorization = {"enterprise_id": None, "team_id": team, "user_id": "UBOT", "is_bot": True}
    named = {"team_id": team, "context_team_id": team, "authorizations": [authorization]}
    inner = {"user": "U1", "channel": "C1", "channel_type": "channel", "ts": TS, "event_ts": TS, **fields}
    return "events_api", {"type": "event_callback", "event_id": "Ev1", **named, "event": inner}


def interaction(team: object, kind: str, /, **fields: Any) -> tuple[DeliveryKind, Fields]:
    """Return an interaction with the installation of `team`."""
    common = {"type": kind, "team": {"id": team}, "user": {"id": "U1", "team_id": team}, "trigger_id": "1.2"}
    place = {"channel": {"id": "C1"}, "container": {"type": "message"}, "response_url": "http://127.0.0.1:9/"}
    return "interactive", {**common, **place, **fields}


def command(team: object) -> tuple[DeliveryKind, Fields]:
    """Return a use of `/reset all`."""
    typed = {"command": "/reset", "text": "all", "user_id": "U1", "channel_id": "C1", "trigger_id": "1.2"}
    return "slash_commands", {**typed, "team_id": team, "response_url": "http://127.0.0.1:9/"}


def button(team: object, action_id: str) -> tuple[DeliveryKind, Fields]:
    """Return a click on a button of the bot."""
    action = {"action_id": action_id, "block_id": "1", "type": "button", "value": "session-1", "action_ts": TS}
    return interaction(team, "block_actions", actions=[action])


def submission(team: object, **view: Any) -> tuple[DeliveryKind, Fields]:
    """Return the submitted preferences modal."""
    values = {"name": {"wish": {"type": "plain_text_input", "value": "Ana"}}}
    shown = {"type": "modal", "callback_id": PREFERENCES_MODAL, "state": {"values": values}, "id": "V1", **view}
    return interaction(team, "view_submission", view=shown)


REQUESTS: dict[str, Callable[[object], tuple[DeliveryKind, Fields]]] = {
    "message": lambda team: event(team, type="message", text="our secret"),
    "mention": lambda team: event(team, type="app_mention", text="<@UBOT> our secret"),
    "deletion": lambda team: event(team, type="message", subtype="message_deleted", deleted_ts=ROOT),
    "stop button": lambda team: event(team, type="agent_session_stopped", thread_ts=ROOT),
    "lost channel": lambda team: event(team, type="channel_deleted"),
    "uninstallation": lambda team: event(team, type="app_uninstalled"),
    "home tab": lambda team: event(team, type="app_home_opened", tab="home"),
    "command": command,
    "shortcut": lambda team: interaction(
        team, "message_action", callback_id=START_OVER, message={"ts": TS}, message_ts=TS, action_ts=TS
    ),
    "reset button": lambda team: button(team, RESET_SESSION),
    "reset all button": lambda team: button(team, RESET_ALL),
    "forget me button": lambda team: button(team, FORGET_ME),
    "preferences button": lambda team: button(team, EDIT_PREFERENCES),
    "modal": submission,
}


async def delivered(slack: InboundStage, request: tuple[DeliveryKind, Fields]) -> Delivery:
    """Deliver a request, and wait for its end."""
    delivery = slack.server.deliveries.send(Delivery(*request))
    await slack.workspace.until(lambda: delivery.done)
    return delivery


def effects(slack: InboundStage) -> list[object]:
    """Return everything that the app stored or sent."""
    inbox, calls = slack.inbox, {call.method for call in slack.server.calls.all()}
    return [
        *inbox.accepted,
        *inbox.resets,
        *inbox.forgotten,
        *inbox.saved_preferences,
        *(calls - {"auth.test", "apps.connections.open"}),
    ]


@TRANSPORTS
@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
async def test_a_request_for_another_workspace_is_acknowledged_and_ignored(
    opened: Callable[[], AbstractAsyncContextManager[InboundStage]],
    request_of: Callable[[object], tuple[DeliveryKind, Fields]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is stored, called or answered, and no word of it is logged. Slack does not deliver it again."""
    async with opened() as slack:
        delivery = await delivered(slack, request_of(OTHER))

        assert (delivery.acknowledged, len(delivery.attempts)) == (True, 1)
        assert effects(slack) == []
        assert slack.inbox.failed_deliveries == 0
    assert [line["workspace"] for line in logged(caplog, "other_workspace_ignored")] == [OTHER]
    assert "secret" not in json_log(caplog)


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
async def test_the_same_request_for_this_workspace_is_handled(
    request_of: Callable[[object], tuple[DeliveryKind, Fields]],
) -> None:
    """The requests of the test above have an effect when they are for this workspace."""
    async with inbound_stage() as slack:
        delivery = await delivered(slack, request_of(slack.workspace.team.id))
        await slack.workspace.until(lambda: effects(slack) != [])

        assert delivery.acknowledged


@TRANSPORTS
async def test_people_of_other_organisations_in_a_shared_channel_are_heard(
    opened: Callable[[], AbstractAsyncContextManager[InboundStage]],
) -> None:
    """Their messages name their own workspace, but the authorization names this installation."""
    async with opened() as slack:
        ours = slack.workspace.team.id
        kind, body = event(ours, type="message", text="hi", user="U9", team=OTHER, user_team=OTHER)
        await delivered(slack, (kind, {**body, "team_id": OTHER, "is_ext_shared_channel": True}))
        (message,) = slack.accepted(MessageReceived)

        assert (message.thread.workspace, message.author) == (ours, Author("U9", OTHER))


@pytest.mark.parametrize("is_ours", [True, False])
async def test_an_event_without_authorizations_is_for_its_context(*, is_ours: bool) -> None:
    """`context_team_id` names the installation then, also where `team_id` names another workspace."""
    async with inbound_stage() as slack:
        teams = [slack.workspace.team.id, OTHER]
        context, named = teams if is_ours else teams[::-1]
        kind, body = event(context, type="message", text="hi")
        await delivered(slack, (kind, {**body, "team_id": named, "authorizations": []}))

        assert len(slack.accepted(MessageReceived)) == int(is_ours)


async def test_people_of_other_organisations_may_use_buttons_and_the_modal() -> None:
    """`team` and `app_installed_team_id` name the installation, and `user.team_id` their own workspace."""
    async with inbound_stage() as slack:
        ours = slack.workspace.team.id
        kind, pressed = button(ours, RESET_SESSION)
        await delivered(slack, (kind, {**pressed, "user": {"id": "U9", "team_id": OTHER}}))
        await delivered(slack, submission(OTHER, app_installed_team_id=ours))

        assert slack.inbox.resets == [("session-1", "U9")]
        assert list(slack.inbox.saved_preferences) == ["U1"]


@TRANSPORTS
async def test_another_installation_in_the_same_organisation_is_ignored(
    opened: Callable[[], AbstractAsyncContextManager[InboundStage]],
) -> None:
    """An org-wide installation of the app names an organisation and no team."""
    async with opened() as slack:
        kind, body = event(None, type="message", text="hi")
        body["authorizations"][0] |= {"enterprise_id": "E1", "is_enterprise_install": True}
        written = await delivered(slack, (kind, {**body, "team_id": slack.workspace.team.id}))
        kind, body = button(None, RESET_ALL)
        pressed = await delivered(slack, (kind, {**body, "team": None, "enterprise": {"id": "E1"}}))

        assert (written.acknowledged, pressed.acknowledged) == (True, True)
        assert effects(slack) == []


async def test_ignored_requests_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The first, second, fourth and eighth are logged with their number, so that many do not fill the log."""
    caplog.set_level(logging.INFO, "bot")
    async with inbound_stage() as slack:
        for _ in range(9):
            await delivered(slack, command(OTHER))

    assert [line["count"] for line in logged(caplog, "other_workspace_ignored")] == [1, 2, 4, 8]


JSON = st.recursive(st.none() | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
NAMES = st.sampled_from(["authorizations", "context_team_id", "team", "team_id", "view"])


@given(st.dictionaries(NAMES, JSON | st.lists(st.dictionaries(st.just("team_id"), JSON)), max_size=5))
def test_any_body_is_read(body: Fields) -> None:
    """Any JSON in the fields that name an installation raises nothing."""
    teams_of(body)
