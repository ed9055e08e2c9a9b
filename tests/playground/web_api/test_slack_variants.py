"""The switches for behaviour in which Slack's workspaces differ."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel
from bot.playground.workspace.slack_variant import KIND, SlackVariant, parsed
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import client_of, make_workspace, served

BLOCKS = [{"type": "markdown", "text": "**Hello**"}]


@pytest.fixture
async def server() -> AsyncIterator[PlaygroundServer]:
    async with served(make_workspace()) as server:
        yield server


async def streamed(client: AsyncWebClient, root: Message, text: str) -> dict[str, Any]:
    """Stream a message to its end, and return where it is."""
    where = await started(client, root, text)
    await client.chat_stopStream(**where)
    return where


async def started(client: AsyncWebClient, root: Message, text: str) -> dict[str, Any]:
    """Start a stream, and return where it is."""
    recipient: dict[str, Any] = {"recipient_user_id": root.user, "recipient_team_id": "T0HARBOUR"}
    response = await client.chat_startStream(channel=root.channel, thread_ts=root.ts, **recipient, markdown_text=text)
    return {"channel": root.channel, "ts": str(response["ts"])}


def shown(workspace: Workspace, where: dict[str, Any]) -> Message:
    """Return the message there."""
    message = workspace.transcript.find(where["channel"], where["ts"])
    assert message is not None
    return message


async def test_an_update_by_markdown_text_empties_a_streamed_message(
    client: AsyncWebClient, workspace: Workspace, root: Message
) -> None:
    """The call succeeds, and its response has the empty message. An update with blocks shows them."""
    where = await streamed(client, root, "Hello")
    response = await client.chat_update(**where, markdown_text="Hello there")
    assert (response["ok"], response["message"]["text"], shown(workspace, where).shown_text) == (True, "", "")

    await client.chat_update(**where, blocks=BLOCKS, text="Hello")
    assert shown(workspace, where).shown_text == "**Hello**"


async def test_a_kind_slack_updates_a_streamed_message(
    client: AsyncWebClient, workspace: Workspace, root: Message
) -> None:
    """In the other variant the text is replaced."""
    workspace.variant = KIND
    where = await streamed(client, root, "Hello")
    await client.chat_update(**where, markdown_text="Hello there")
    assert shown(workspace, where).shown_text == "Hello there"


@pytest.mark.parametrize("script", ["x", "ж", "漢", "😀"])
async def test_a_long_stream_is_cut_in_silence(
    script: str, client: AsyncWebClient, workspace: Workspace, root: Message
) -> None:
    """Slack keeps 10,600 bytes of UTF-8, says nothing, and returns the cut message at the stop."""
    where = await started(client, root, script * 2_000)
    for _ in range(4):
        await client.chat_appendStream(**where, markdown_text=script * 2_000)
    response = await client.chat_stopStream(**where)

    size = min(10_600 - 10_600 % len(script.encode()), 10_000 * len(script.encode()))
    assert len(shown(workspace, where).text.encode()) == len(response["message"]["text"].encode()) == size


async def test_a_long_stream_may_be_refused(client: AsyncWebClient, workspace: Workspace, root: Message) -> None:
    """In another variant the append is refused, and the text before it stays."""
    workspace.variant = SlackVariant(long_stream="refused")
    where = await started(client, root, "x" * 10_600)
    with pytest.raises(SlackApiError, match="msg_too_long"):
        await client.chat_appendStream(**where, markdown_text="x")
    assert shown(workspace, where).text == "x" * 10_600


async def test_only_an_update_with_blocks_shows_no_edited(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel
) -> None:
    """An update without blocks marks the message as edited."""
    posted = await client.chat_postMessage(channel=help_desk.id, blocks=BLOCKS, text="Hello")
    where: dict[str, Any] = {"channel": help_desk.id, "ts": str(posted["ts"])}
    await client.chat_update(**where, blocks=[{"type": "markdown", "text": "x"}], text="x")
    assert shown(workspace, where).edited is None

    await client.chat_update(**where, text="x")
    assert shown(workspace, where).edited is not None


async def test_the_text_of_an_update_has_a_limit_in_bytes(client: AsyncWebClient, help_desk: Channel) -> None:
    """Slack counts the bytes of `text`."""
    posted = await client.chat_postMessage(channel=help_desk.id, text="a")
    await client.chat_update(channel=help_desk.id, ts=posted["ts"], text="ж" * 2_000)
    with pytest.raises(SlackApiError, match="msg_too_long"):
        await client.chat_update(channel=help_desk.id, ts=posted["ts"], text="ж" * 2_001)


async def test_all_markdown_blocks_share_one_limit(client: AsyncWebClient, help_desk: Channel) -> None:
    """A message takes 12,000 characters in all its markdown blocks together."""
    half = {"type": "markdown", "text": "x" * 6_000}
    await client.chat_postMessage(channel=help_desk.id, blocks=[half, half], text="x")
    with pytest.raises(SlackApiError, match="msg_blocks_too_long"):
        await client.chat_postMessage(channel=help_desk.id, blocks=[half, half, BLOCKS[0]], text="x")


async def test_a_table_in_markdown_text_is_raw(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel, root: Message
) -> None:
    """A post by markdown_text shows raw pipes. A stream and a block show the table."""
    await client.chat_postMessage(channel=help_desk.id, markdown_text="| a |\n|---|\n")
    await client.chat_postMessage(channel=help_desk.id, blocks=BLOCKS, text="Hello")
    await streamed(client, root, "| a |\n|---|\n")
    assert [message.raw_tables for message in workspace.app_messages(help_desk)] == [True, False, False]


@pytest.mark.parametrize(
    ("switch", "code", "method"),
    [
        ("edits", "edit_window_closed", "update"),
        ("edits", "cant_update_message", "update"),
        ("edits", "message_not_found", "update"),
        ("edits", "block_mismatch", "update"),
        ("deletions", "compliance_exports_prevent_deletion", "delete"),
        ("stops", "user_not_found", "stopStream"),
        ("markdown_blocks", "invalid_blocks", "postMessage"),
    ],
)
async def test_a_call_is_refused(switch: str, code: str, method: str, server: PlaygroundServer, root: Message) -> None:
    """A switch whose value is an error code refuses the call with it."""
    client, workspace = client_of(server), server.workspace
    where = await (started if method == "stopStream" else streamed)(client, root, "Hello")
    workspace.variant = dataclasses.replace(workspace.variant, **{switch: code})  # type: ignore[arg-type] # one of the switch's values
    content = {"blocks": BLOCKS, "text": "Hello"} if method in {"update", "postMessage"} else {}
    with pytest.raises(SlackApiError, match=code):
        await client.api_call(f"chat.{method}", json={**where, **content})


def test_every_switch_says_what_it_does() -> None:
    """A page can list the switches: each has a value, its choices and a line about it."""
    switches = SlackVariant().switches()
    assert {switch["name"] for switch in switches} == {field.name for field in dataclasses.fields(SlackVariant)}
    assert all(
        switch["about"] and (not switch["choices"] or switch["value"] in switch["choices"]) for switch in switches
    )


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("", SlackVariant()),
        ("kind", KIND),
        ("edits=edit_window_closed", SlackVariant(edits="edit_window_closed")),
        (" kind , stream_bytes = 3000,", dataclasses.replace(KIND, stream_bytes=3_000)),
        ("stream_seconds=20,long_stream=refused", SlackVariant(stream_seconds=20, long_stream="refused")),
    ],
)
def test_a_variant_is_named_by_its_switches(text: str, variant: SlackVariant) -> None:
    """Each switch can be set by its name, on top of Slack's strictest or kindest behaviour."""
    assert parsed(text) == variant


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kindest", "is neither kind nor one of the switches streamed_update, "),
        ("kind=1", "is neither kind nor one of the switches"),
        ("edits=never", "edits is one of allowed, edit_window_closed"),
        ("edits", "edits is one of"),
        ("stream_bytes=many", "stream_bytes is a whole number"),
        ("stream_bytes=-1", "stream_bytes is a whole number"),
    ],
)
def test_a_variant_that_does_not_exist_is_refused(text: str, problem: str) -> None:
    """The error lists the switches, or the values of one."""
    with pytest.raises(ValueError, match=problem):
        parsed(text)


async def test_a_stream_expires(client: AsyncWebClient, workspace: Workspace, root: Message) -> None:
    """After its time Slack ends a stream by itself. Appends and the stop are refused, the text stays."""
    workspace.variant = SlackVariant(stream_seconds=0)
    where = await started(client, root, "Hello")
    with pytest.raises(SlackApiError, match="message_not_in_streaming_state"):
        await client.chat_appendStream(**where, markdown_text=" there")
    with pytest.raises(SlackApiError, match="message_not_in_streaming_state"):
        await client.chat_stopStream(**where)
    assert shown(workspace, where).text == "Hello"


async def test_a_table_is_returned_as_it_is_shown(client: AsyncWebClient, help_desk: Channel, root: Message) -> None:
    """A table that Slack shows is a block of its own in the message. One that it does not show is in the text."""
    text = "Before\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nAfter"
    raw = await client.chat_postMessage(channel=help_desk.id, markdown_text=text)
    where = await started(client, root, text)
    response = await client.chat_stopStream(**where)

    assert not raw["message"].get("blocks")
    before, table, after = response["message"]["blocks"]
    assert (before["type"], table["type"], after["type"]) == ("rich_text", "table", "rich_text")
    assert [[cell["text"] for cell in row] for row in table["rows"]] == [["a", "b"], ["1", "2"]]
