"""Tests of the page's JSON API, and of its permissions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot.errors import StartupError
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.surfaces import View
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import client_of, make_workspace, served

ANA, BEN, DESK, IT = "U0ANASILVA", "U0BENOKAFO", "C0HELPDESK", "C0ITTEAM00"
INPUT = {"type": "plain_text_input", "action_id": "wish"}
VIEW = View(
    "V1",
    "modal",
    {
        "title": {"type": "plain_text", "text": "Title"},
        "blocks": [
            {"type": "input", "block_id": "name", "label": {"type": "plain_text", "text": "Name"}, "element": INPUT}
        ],
    },
)
BUTTON = {"type": "button", "action_id": "pick", "value": "7", "text": {"type": "plain_text", "text": "Pick"}}


@pytest.fixture
async def server() -> AsyncIterator[PlaygroundServer]:
    async with served(make_workspace(), notice="The demo model answers.", retry_after_s=()) as server:
        yield server


@pytest.fixture
async def page(server: PlaygroundServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as session:
        yield session


async def get(page: aiohttp.ClientSession, path: str, **params: str) -> Any:
    async with page.get(path, params=params) as response:
        return await response.json()


async def act(page: aiohttp.ClientSession, what: str, **fields: Any) -> tuple[int, Any]:
    async with page.post(f"/page/{what}", json=fields) as response:
        return response.status, await response.json()


async def next_update(stream: aiohttp.StreamReader, kind: str) -> Any:
    """Return the next pushed update of this type."""
    async for line in stream:
        if line.startswith(b"data:"):
            update = json.loads(line.removeprefix(b"data:"))
            if update["type"] == kind:
                return update
    raise AssertionError("the event stream ended")


async def test_state_lists_people_and_channels(page: aiohttp.ClientSession) -> None:
    """The state contains the team, the people, the channels, the direct messages, commands and shortcuts."""
    state = await get(page, "/page/state")

    assert state["team"]["name"] == "Harbour & Co"
    assert state["bot"] == {"id": "U0ATTENDANT", "name": "attendant", "app_name": "Attendant"}
    assert state["people"][0]["initials"] == "AS"
    assert [(channel["name"], channel["kind"]) for channel in state["channels"]] == [
        ("help-desk", "channel"),
        ("general", "channel"),
        ("it-team", "private"),
    ]
    assert state["dms"][ANA] == "D0ANASILVA"
    assert [known["command"] for known in state["commands"]] == ["/attendant", "/reset"]
    assert state["shortcuts"] == [{"callback_id": "start_over", "name": "Start over"}]
    assert (state["notice"], state["connected"], state["has_home"]) == ("The demo model answers.", False, True)


async def test_only_members_read_a_channel(page: aiohttp.ClientSession, workspace: Workspace) -> None:
    """A member gets the messages, their own ephemeral messages and the statuses. Other people get a 403."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    root = workspace.post(ana, desk, "one")
    workspace.post(ana, desk, "two", root.ts)
    workspace.show_ephemeral(ana, desk, "psst")
    seen, hidden = [await get(page, "/page/messages", channel=DESK, **{"as": who}) for who in (ANA, BEN)]

    assert [message["text"] for message in seen["messages"]] == ["one", "two", "psst"]
    assert [message["reply_count"] for message in seen["messages"]] == [1, 0, 0]
    assert [message["text"] for message in hidden["messages"]] == ["one", "two"]
    async with page.get("/page/messages", params={"channel": IT, "as": BEN}) as response:
        assert response.status == 403


async def test_a_message_has_the_fields_of_the_page(page: aiohttp.ClientSession, workspace: Workspace) -> None:
    """A message has exactly the fields that the page reads."""
    message = workspace.post(workspace.person("ana"), workspace.channel("help-desk"), "one")
    shown = (await get(page, "/page/messages", channel=DESK, **{"as": ANA}))["messages"][0]

    assert shown == {
        "id": message.id,
        "ts": message.ts,
        "channel": DESK,
        "thread_ts": None,
        "user": ANA,
        "is_bot": False,
        "subtype": None,
        "format": "mrkdwn",
        "text": "one",
        "raw_tables": False,
        "blocks": [],
        "attachments": [],
        "files": [],
        "edited": False,
        "streaming": False,
        "ephemeral": False,
        "reply_count": 0,
    }


async def test_people_post_edit_and_delete(page: aiohttp.ClientSession, workspace: Workspace) -> None:
    """A person can post, edit and delete through the page."""
    desk = workspace.channel("help-desk")
    await act(page, "post", channel=DESK, text="@attendant teh", **{"as": ANA})
    (message,) = workspace.transcript.of_channel(desk.id)
    await act(page, "edit", channel=DESK, ts=message.ts, text="the", **{"as": ANA})
    assert [m.text for m in workspace.transcript.of_channel(desk.id)] == ["the"]
    assert await act(page, "delete", channel=DESK, ts=message.ts, **{"as": ANA}) == (200, {"ok": True})

    assert message.text == "<@U0ATTENDANT> teh"
    assert workspace.transcript.of_channel(desk.id) == []


async def test_people_give_commands_choose_shortcuts_and_press(
    page: aiohttp.ClientSession, server: PlaygroundServer, workspace: Workspace
) -> None:
    """Slash commands, shortcuts and buttons of the page reach the app."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "Which?"}, "accessory": BUTTON}]
    await client_of(server).chat_postEphemeral(channel=DESK, user=ANA, text="Which?", blocks=blocks)
    shown = workspace.ephemerals(ana, desk)[0]
    who = {"as": ANA, "channel": DESK}
    root = workspace.post(ana, desk, "one")
    done = [
        await act(page, "command", command="/reset", text="", **who),
        await act(page, "shortcut", ts=root.ts, callback_id="start_over", **who),
        await act(page, "action", id=shown.id, action_id="pick", value="7", **who),
    ]

    assert done == [(200, {"ok": True})] * 3
    kinds = [made.payload.get("type", made.kind) for made in server.deliveries.all() if made.interaction]
    assert kinds == ["slash_commands", "message_action", "block_actions"]


@pytest.mark.parametrize(
    ("what", "fields", "status"),
    [
        ("post", {"as": ANA, "channel": DESK, "text": "  "}, 400),
        ("post", {"as": "U404", "channel": DESK, "text": "x"}, 403),
        ("post", {"as": BEN, "channel": IT, "text": "x"}, 403),
        ("post", {"as": ANA, "channel": DESK, "text": "x", "thread_ts": "1.0"}, 403),
        ("edit", {"as": ANA, "channel": DESK, "ts": "1.0", "text": "x"}, 404),
        ("shortcut", {"as": ANA, "channel": "C0GENERAL0", "ts": "1795242000.000000", "callback_id": "x"}, 403),
        ("delete", {"as": ANA, "channel": "C0GENERAL0", "ts": "1795242000.000000"}, 403),
    ],
)
async def test_refused_actions(page: aiohttp.ClientSession, what: str, fields: dict[str, str], status: int) -> None:
    """Every refusal has a status and a sentence for the page."""
    answered, body = await act(page, what, **fields)

    assert answered == status
    assert not body["ok"]
    assert body["error"].endswith(".")


async def test_the_feed_pushes_changes(page: aiohttp.ClientSession, workspace: Workspace) -> None:
    """New, changed and deleted messages and the connection are pushed as they change."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    async with page.get("/page/events", params={"as": ANA}) as feed:
        await feed.content.readline()
        message = workspace.post(ana, desk, "one")
        assert (await next_update(feed.content, "message"))["message"]["text"] == "one"
        workspace.edit(ana, message, "two")
        assert (await next_update(feed.content, "message"))["message"]["edited"]
        workspace.delete(ana, message)
        assert (await next_update(feed.content, "removed"))["id"] == message.id
        workspace.set_connected(connected=True)
        assert (await next_update(feed.content, "connection"))["connected"]


async def test_views_are_pushed_to_their_person(page: aiohttp.ClientSession, workspace: Workspace) -> None:
    """A view, and the closing of a modal, is pushed to its person's page only."""
    ana = workspace.person("ana")
    async with (
        page.get("/page/events", params={"as": ANA}) as feed,
        page.get("/page/events", params={"as": BEN}) as other,
    ):
        await feed.content.readline()
        await other.content.readline()
        workspace.surfaces.show(ana, VIEW)
        pushed = [await next_update(feed.content, "view")]
        assert (await act(page, "close", **{"as": ANA}))[0] == 200
        pushed.append(await next_update(feed.content, "view"))
        workspace.set_connected(connected=True)

        assert [(update["kind"], update["view"] and update["view"]["title"]) for update in pushed] == [
            ("modal", "Title"),
            ("modal", None),
        ]
        assert (await next_update(other.content, "connection"))["connected"]


async def test_open_views_can_be_read_and_used(page: aiohttp.ClientSession, workspace: Workspace) -> None:
    """A page that opens later can read the open views and use them by their id."""
    workspace.surfaces.show(workspace.person("ana"), VIEW)
    seen = [await get(page, "/page/views", **{"as": who}) for who in (ANA, BEN)]
    assert seen[1] == {"home": None, "modal": None}
    assert seen[0]["modal"] == {"id": "V1", "title": "Title", "blocks": VIEW.body["blocks"], "errors": {}}

    assert (await act(page, "submit", view_id="V1", values={"name": ""}, **{"as": ANA}))[0] == 200
    shown = (await get(page, "/page/views", **{"as": ANA}))["modal"]
    assert shown["errors"] == {"name": "Please complete this required field."}
    assert (await act(page, "submit", view_id="V0", values={}, **{"as": ANA}))[0] == 403
    assert (await act(page, "submit", view_id="V1", values={"name": 1}, **{"as": ANA}))[0] == 400
    assert (await act(page, "view-action", view_id="V1", action_id="go", **{"as": ANA}))[0] == 403


async def test_a_reply_pushes_its_root_too(page: aiohttp.ClientSession, workspace: Workspace) -> None:
    """A reply pushes its root too, with the new reply count."""
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    root = workspace.post(ana, desk, "one")
    async with page.get("/page/events", params={"as": ANA}) as feed:
        await feed.content.readline()
        workspace.post(ana, desk, "two", root.ts)
        pushed = [(await next_update(feed.content, "message"))["message"] for _ in range(2)]

    assert [(message["text"], message["reply_count"]) for message in pushed] == [("two", 0), ("one", 1)]


async def test_the_feed_keeps_secrets(page: aiohttp.ClientSession, workspace: Workspace) -> None:
    """Messages of foreign channels and other people's ephemerals are not pushed."""
    ana, desk, it_team = workspace.person("ana"), workspace.channel("help-desk"), workspace.channel("it-team")
    async with page.get("/page/events", params={"as": BEN}) as feed:
        await feed.content.readline()
        workspace.post(ana, it_team, "between us")
        workspace.show_ephemeral(ana, desk, "psst")
        workspace.post(ana, desk, "for all")

        assert (await next_update(feed.content, "message"))["message"]["text"] == "for all"


async def test_a_page_that_does_not_read_loses_its_stream(page: aiohttp.ClientSession, workspace: Workspace) -> None:
    """The server closes the event stream of a page with a full queue, so that the page reads everything anew."""
    async with page.get("/page/events", params={"as": BEN}) as feed:
        await feed.content.readline()
        for count in range(5_002):
            workspace.set_connected(connected=count % 2 == 0)

        assert b"data:" not in await feed.content.read()


async def test_strangers_are_refused(server: PlaygroundServer, page: aiohttp.ClientSession) -> None:
    """The server refuses requests for another host name and from another site's page. It accepts its own page."""
    body = {"as": ANA, "channel": DESK, "text": "x"}
    statuses = []
    own = server.url.rstrip("/")
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": own}):
        async with page.post("/page/post", json=body, headers=headers) as response:
            statuses.append(response.status)

    assert statuses == [403, 403, 403, 200]


async def test_the_page_is_served_with_a_strict_policy(page: aiohttp.ClientSession) -> None:
    """The page's files are never cached, and the page may load nothing from other sites."""
    async with page.get("/") as response:
        assert response.status == 200
        assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert response.headers["Cache-Control"] == "no-store"
    async with page.get("/page/%2e%2e/server.py") as response:
        assert response.status in {403, 404}


async def test_a_taken_port_is_one_clear_line(server: PlaygroundServer) -> None:
    """A taken port raises a StartupError that names the port and the remedy."""
    port = int(server.url.rstrip("/").rpartition(":")[2])
    second = PlaygroundServer(make_workspace())

    with pytest.raises(StartupError, match=rf"port {port} of 127\.0\.0\.1.*PORT"):
        await second.start(port)


async def share(page: aiohttp.ClientSession, content: bytes, name: str, **fields: str) -> tuple[int, Any]:
    """Share a file as the page does, in a form."""
    form = aiohttp.FormData({"as": ANA, "channel": DESK, **fields})
    if name:
        form.add_field("file", content, filename=name)
    async with page.post("/page/share", data=form) as response:
        return response.status, await response.json()


async def test_a_person_shares_a_file(page: aiohttp.ClientSession, server: PlaygroundServer) -> None:
    """A file comes with a message. The members of the channel can open it, an image as such and no page ever."""
    assert await share(page, b"<script>", "a.html", text="look") == (200, {"ok": True})
    assert (await share(page, b"png", "b.png", thread_ts=newest(server).ts))[0] == 200
    messages = (await get(page, "/page/messages", channel=DESK, **{"as": BEN}))["messages"]
    html, image = (message["files"][0] for message in messages[-2:])

    assert [(file["name"], file["is_image"]) for file in (html, image)] == [("a.html", False), ("b.png", True)]
    for file, shown in ((html, "attachment"), (image, "inline")):
        async with page.get(file["path"], params={"as": BEN, "channel": DESK}) as response:
            assert (await response.read(), response.status) == (b"<script>" if file is html else b"png", 200)
            assert response.headers["Content-Disposition"].startswith(shown)
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_file_is_for_those_who_see_its_message(page: aiohttp.ClientSession, server: PlaygroundServer) -> None:
    """A person who is not in the channel cannot open a file that was shared there, by any channel's address."""
    await share(page, b"secret", "a.txt", channel=IT)
    file_id = newest(server, IT).files[0]["id"]

    for channel, status in ((IT, 403), (DESK, 404)):
        async with page.get(f"/page/files/{file_id}", params={"as": BEN, "channel": channel}) as response:
            assert response.status == status


async def test_a_form_without_a_file_is_refused(page: aiohttp.ClientSession) -> None:
    """The page says what is missing."""
    assert await share(page, b"", "", text="look") == (400, {"ok": False, "error": "The file is missing."})


def newest(server: PlaygroundServer, channel: str = DESK) -> Message:
    """Return the newest message of a channel."""
    return server.workspace.transcript.of_channel(channel)[-1]
