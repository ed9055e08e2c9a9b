"""Tests of Home tabs and modals: validation, visibility and the payloads for the app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.delivery.outcomes import NO_CONNECTION
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Json
from bot.playground.workspace.people import Person
from bot.playground.workspace.rules import NotAllowed
from bot.playground.workspace.surfaces import View
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import Clock, client_of, connected, make_workspace, served

BUTTON: Json = {"type": "button", "action_id": "go", "value": "1", "text": {"type": "plain_text", "text": "Go"}}
HOME: Json = {"type": "home", "blocks": [{"type": "actions", "block_id": "row", "elements": [BUTTON]}]}
NAME: Json = {
    "type": "input",
    "block_id": "name",
    "label": {"type": "plain_text", "text": "Name"},
    "element": {"type": "plain_text_input", "action_id": "wish", "initial_value": "Rita", "max_length": 10},
}
ONE, TWO = ({"text": {"type": "plain_text", "text": value}, "value": value} for value in ("one", "two"))
PICK: Json = {
    "type": "input",
    "block_id": "pick",
    "label": {"type": "plain_text", "text": "Pick"},
    "optional": True,
    "element": {"type": "static_select", "action_id": "wish", "options": [ONE, TWO], "initial_option": ONE},
}
TITLE: Json = {"type": "plain_text", "text": "Title"}
MODAL: Json = {"type": "modal", "callback_id": "ours", "title": TITLE, "submit": TITLE, "blocks": [NAME, PICK]}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[PlaygroundServer]:
    async with served(make_workspace(clock), ack_within_s=5.0, retry_after_s=()) as server:
        yield server


async def refusal(client: AsyncWebClient, method: str, **args: Any) -> str:
    """Return Slack's error for a call that it refuses."""
    with pytest.raises(SlackApiError) as raised:
        await client.api_call(method, json=args)
    return str(raised.value.response["error"])


def trigger(workspace: Workspace, person: Person) -> str:
    """Issue a trigger_id for this person."""
    workspace.surfaces.add_trigger("t1", person)
    return "t1"


def modal_of(workspace: Workspace, person: Person) -> View:
    """Return the modal that this person sees."""
    view = workspace.surfaces.of(person, "modal")
    assert view is not None
    return view


async def test_a_home_tab_is_for_one_person(client: AsyncWebClient, workspace: Workspace, ana: Person) -> None:
    """A published view is visible to its person only, and the next one replaces it."""
    first = (await client.views_publish(user_id=ana.id, view=HOME))["view"]
    assert (first["type"], first["team_id"], first["blocks"]) == ("home", workspace.team.id, HOME["blocks"])
    await client.views_publish(user_id=ana.id, view={**HOME, "blocks": [{"type": "divider"}]})
    view = workspace.surfaces.of(ana, "home")

    assert view is not None
    assert [block["type"] for block in view.body["blocks"]] == ["divider"]
    assert workspace.surfaces.of(workspace.person("ben"), "home") is None


async def test_opening_the_home_tab_sends_an_event(workspace: Workspace, server: PlaygroundServer, ana: Person) -> None:
    """Every opening sends app_home_opened, with the current view if there is one."""
    workspace.interactions.open_home(ana)
    await client_of(server).views_publish(user_id=ana.id, view=HOME)
    workspace.interactions.open_home(ana)
    first, second = (delivery.event for delivery in server.deliveries.events("app_home_opened"))

    assert (first["user"], first["tab"], first["channel"]) == (ana.id, "home", workspace.dm(ana).id)
    assert ("view" in first, second["view"]["blocks"]) == (False, HOME["blocks"])


async def test_a_trigger_opens_one_modal(client: AsyncWebClient, workspace: Workspace, ana: Person) -> None:
    """A trigger_id opens one modal, for its person. Using it again, or an unknown one, is refused."""
    await client.views_open(trigger_id=trigger(workspace, ana), view=MODAL)

    assert modal_of(workspace, ana).body["callback_id"] == "ours"
    assert await refusal(client, "views.open", trigger_id="t1", view=MODAL) == "exchanged_trigger_id"
    assert await refusal(client, "views.open", trigger_id="t2", view=MODAL) == "invalid_trigger_id"


async def test_a_trigger_lives_for_three_seconds(
    client: AsyncWebClient, workspace: Workspace, ana: Person, clock: Clock
) -> None:
    """A trigger_id expires after three seconds."""
    trigger(workspace, ana)
    clock.advance(seconds=3.1)

    assert await refusal(client, "views.open", trigger_id="t1", view=MODAL) == "expired_trigger_id"


async def test_a_view_can_be_updated(client: AsyncWebClient, workspace: Workspace, ana: Person) -> None:
    """views.update replaces the view with this id. An id that nobody sees is not found."""
    opened = await client.views_open(trigger_id=trigger(workspace, ana), view=MODAL)
    await client.views_update(view_id=opened["view"]["id"], view={**MODAL, "callback_id": "other"})

    assert modal_of(workspace, ana).body["callback_id"] == "other"
    assert await refusal(client, "views.update", view_id="V0", view=MODAL) == "not_found"


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "home"},
        {"title": {"type": "plain_text", "text": "x" * 25}},
        {"title": {"type": "mrkdwn", "text": "x"}},
        {"submit": None},
        {"blocks": []},
        {"blocks": [NAME, NAME]},
        {"blocks": [{"type": "surprise"}]},
        {"blocks": [NAME | {"label": None}]},
        {"blocks": [NAME | {"hint": {"type": "mrkdwn", "text": "x"}}]},
        {"blocks": [NAME | {"element": {"type": "surprise"}}]},
        {"blocks": [NAME | {"element": NAME["element"] | {"initial_value": "x" * 11}}]},
        {"blocks": [PICK | {"element": PICK["element"] | {"options": []}}]},
        {"blocks": [PICK | {"element": PICK["element"] | {"options": [TWO]}}]},
        {"private_metadata": "x" * 3_001},
    ],
)
async def test_invalid_views_are_refused(
    client: AsyncWebClient, workspace: Workspace, ana: Person, changes: dict[str, Any]
) -> None:
    """An invalid view is refused without using up the trigger_id."""
    view = {name: value for name, value in {**MODAL, **changes}.items() if value is not None}

    assert await refusal(client, "views.open", trigger_id=trigger(workspace, ana), view=view) == "invalid_arguments"
    await client.views_open(trigger_id="t1", view=MODAL)


async def test_a_button_in_the_home_tab(workspace: Workspace, server: PlaygroundServer, ana: Person) -> None:
    """Its block_actions payload has the view and a working trigger_id, but no message and no channel."""
    client = client_of(server)
    view_id = (await client.views_publish(user_id=ana.id, view=HOME))["view"]["id"]
    workspace.interactions.press_at_home(ana, "go")
    (pressed,) = (delivery.payload for delivery in server.deliveries.all())

    assert (pressed["type"], pressed["view"]["id"], pressed["user"]["id"]) == ("block_actions", view_id, ana.id)
    assert [(action["action_id"], action["block_id"]) for action in pressed["actions"]] == [("go", "row")]
    assert not {"channel", "message", "response_url"} & pressed.keys()
    await client.views_open(trigger_id=pressed["trigger_id"], view=MODAL)
    with pytest.raises(NotAllowed):
        workspace.interactions.press_at_home(ana, "elsewhere")


async def test_a_submission(workspace: Workspace, server: PlaygroundServer, ana: Person) -> None:
    """view_submission has the value of every input. The acknowledgement closes the modal."""
    async with connected(server):
        await client_of(server).views_open(trigger_id=trigger(workspace, ana), view=MODAL)
        workspace.interactions.submit(ana, {"pick": "two"})
        await workspace.until(lambda: workspace.surfaces.of(ana, "modal") is None)
    (submitted,) = (delivery.payload for delivery in server.deliveries.all())

    assert (submitted["type"], submitted["view"]["callback_id"]) == ("view_submission", "ours")
    assert submitted["view"]["state"]["values"] == {
        "name": {"wish": {"type": "plain_text_input", "value": "Rita"}},
        "pick": {"wish": {"type": "static_select", "selected_option": TWO}},
    }


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        ({"response_action": "errors", "errors": {"name": "No."}}, {"name": "No."}),
        ({"response_action": "errors", "errors": {"elsewhere": "No."}}, {"": NO_CONNECTION}),
        ({"response_action": "surprise"}, {"": NO_CONNECTION}),
    ],
)
async def test_errors_of_the_app(
    workspace: Workspace, server: PlaygroundServer, ana: Person, answer: dict[str, Any], errors: dict[str, str]
) -> None:
    """An acknowledgement with errors keeps the modal open. An invalid one shows Slack's own error."""

    def answered(_: SocketModeRequest) -> dict[str, Any]:
        return answer

    async with connected(server, answered):
        await client_of(server).views_open(trigger_id=trigger(workspace, ana), view=MODAL)
        workspace.interactions.submit(ana, {})
        await workspace.until(lambda: bool(modal_of(workspace, ana).errors))

    assert modal_of(workspace, ana).errors == errors


async def test_a_submission_without_an_acknowledgement(
    workspace: Workspace, server: PlaygroundServer, ana: Person
) -> None:
    """Without an acknowledgement, the modal stays open with Slack's error."""
    await client_of(server).views_open(trigger_id=trigger(workspace, ana), view=MODAL)
    workspace.interactions.submit(ana, {})
    await workspace.until(lambda: bool(modal_of(workspace, ana).errors))

    assert modal_of(workspace, ana).errors == {"": NO_CONNECTION}


@pytest.mark.parametrize("written", ["", "x" * 11])
async def test_errors_of_slack_itself(
    workspace: Workspace, server: PlaygroundServer, ana: Person, written: str
) -> None:
    """A missing required input and a text over its limit show errors. The app gets no submission."""
    await client_of(server).views_open(trigger_id=trigger(workspace, ana), view=MODAL)
    workspace.interactions.submit(ana, {"name": written})

    assert set(modal_of(workspace, ana).errors) == {"name"}
    assert server.deliveries.all() == []
