"""Tests of the Web API with Slack's own client."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import make_workspace, served


@pytest.fixture
async def server() -> AsyncIterator[PlaygroundServer]:
    async with served(make_workspace()) as server:
        yield server


async def refusal(client: AsyncWebClient, method: str, **args: Any) -> dict[str, Any]:
    """Return Slack's response to a call that it refuses."""
    with pytest.raises(SlackApiError) as raised:
        await client.api_call(method, json=args)
    answer: dict[str, Any] = raised.value.response.data
    return answer


async def test_auth_test_names_the_bot_and_its_scopes(client: AsyncWebClient, workspace: Workspace) -> None:
    """auth.test returns the token's bot, and the x-oauth-scopes header its scopes."""
    answer = await client.auth_test()

    assert (answer["user_id"], answer["bot_id"]) == (workspace.app.user_id, workspace.app.bot_id)
    assert set(answer.headers["x-oauth-scopes"].split(",")) == workspace.app.scopes


@pytest.mark.parametrize(
    ("token", "error"),
    [
        ("xoxb-wrong", "invalid_auth"),
        ("", "not_authed"),
        ("secret-2", "invalid_auth"),
        ("app", "not_allowed_token_type"),
    ],
)
async def test_tokens_are_checked(server: PlaygroundServer, token: str, error: str) -> None:
    """A missing token, an unknown one and one of the wrong kind are each refused with their own error."""
    token = server.workspace.app.app_token if token == "app" else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.api_url}auth.test", headers=headers) as response,
    ):
        assert (await response.json())["error"] == error


async def test_unknown_methods_and_missing_arguments(client: AsyncWebClient) -> None:
    """A method that does not exist is unknown_method. A missing argument is named."""
    assert (await refusal(client, "chat.sing"))["error"] == "unknown_method"
    missing = await refusal(client, "chat.update", channel="C0HELPDESK")
    assert missing["error"] == "invalid_arguments"
    assert missing["response_metadata"]["messages"] == ["[ERROR] missing required field: ts"]


async def test_missing_scope_names_the_needed_scope(client: AsyncWebClient, workspace: Workspace) -> None:
    """missing_scope names the needed scope and the granted ones."""
    workspace.app = dataclasses.replace(workspace.app, scopes=frozenset({"commands"}))
    answer = await refusal(client, "users.info", user="U0ANASILVA")

    assert (answer["error"], answer["needed"], answer["provided"]) == ("missing_scope", "users:read", "commands")


async def test_posting_in_a_thread(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel
) -> None:
    """A reply is added to its thread, and the response contains the message."""
    root = workspace.post(ana, help_desk, "help")
    answer = await client.chat_postMessage(channel=help_desk.id, thread_ts=root.ts, text="Hello")

    assert [message.text for message in workspace.thread(help_desk, root.ts)] == ["help", "Hello"]
    assert answer["message"]["bot_id"] == workspace.app.bot_id
    assert answer["message"]["thread_ts"] == root.ts


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({"channel": "C404", "text": "x"}, "channel_not_found"),
        ({"channel": "C9OPEN", "text": "x"}, "not_in_channel"),
        ({"channel": "C9SECRET", "text": "x"}, "channel_not_found"),
        ({"channel": "C9OLD", "text": "x"}, "is_archived"),
        ({"channel": "C0HELPDESK"}, "no_text"),
        ({"channel": "C0HELPDESK", "text": "x", "thread_ts": "1.000000"}, "thread_not_found"),
        ({"channel": "C0HELPDESK", "text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
        ({"channel": "C0HELPDESK", "markdown_text": "x" * 12_001}, "msg_too_long"),
        ({"channel": "C0HELPDESK", "text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"channel": "C0HELPDESK", "text": "x", "blocks": "[{"}, "invalid_blocks_format"),
        ({"channel": "C0HELPDESK", "text": 5}, "invalid_arguments"),
    ],
)
async def test_posts_that_are_refused(
    client: AsyncWebClient, workspace: Workspace, args: dict[str, Any], error: str
) -> None:
    """Every post that Slack refuses is refused with the same error."""
    nobody, bot = frozenset[str](), frozenset({workspace.app.user_id})
    workspace.channels["C9OPEN"] = Channel("C9OPEN", "open", "channel", nobody)
    workspace.channels["C9SECRET"] = Channel("C9SECRET", "secret", "private", nobody)
    workspace.channels["C9OLD"] = Channel("C9OLD", "old", "channel", bot, archived=True)

    assert (await refusal(client, "chat.postMessage", **args))["error"] == error


async def test_replies_answer_roots_only(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel
) -> None:
    """Nobody can reply to a reply."""
    root = workspace.post(ana, help_desk, "one")
    reply = workspace.post(ana, help_desk, "two", root.ts)
    answer = await refusal(client, "chat.postMessage", channel=help_desk.id, text="x", thread_ts=reply.ts)

    assert answer["error"] == "cannot_reply_to_message"


async def test_long_texts_are_cut(client: AsyncWebClient, workspace: Workspace, help_desk: Channel) -> None:
    """A posted text is truncated to 40,000 characters."""
    await client.chat_postMessage(channel=help_desk.id, text="x" * 40_001)

    assert len(workspace.app_messages(help_desk)[0].text) == 40_000


async def test_unfurling_is_on_unless_both_are_off(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel
) -> None:
    """unfurl_links and unfurl_media together decide whether a message unfurls."""
    await client.chat_postMessage(channel=help_desk.id, text="a")
    await client.chat_postMessage(channel=help_desk.id, text="b", unfurl_links=False, unfurl_media=False)

    assert [message.unfurls for message in workspace.app_messages(help_desk)] == [True, False]


async def test_update_replaces_the_text(client: AsyncWebClient, workspace: Workspace, help_desk: Channel) -> None:
    """chat.update replaces text and format, keeps blocks that are not given, and marks the message as edited."""
    posted = await client.chat_postMessage(channel=help_desk.id, text="a", blocks=[{"type": "divider"}])
    await client.chat_update(channel=help_desk.id, ts=posted["ts"], text="b")
    (message,) = workspace.app_messages(help_desk)
    assert (message.text, len(message.blocks)) == ("b", 1)
    await client.chat_update(channel=help_desk.id, ts=posted["ts"], markdown_text="**c**")

    (message,) = workspace.app_messages(help_desk)
    assert (message.text, message.format, message.blocks) == ("**c**", "markdown", ())
    assert message.edited


async def test_updates_that_are_refused(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel
) -> None:
    """chat.update refuses a long text, a missing message and another person's message."""
    question = workspace.post(ana, help_desk, "mine")
    posted = await client.chat_postMessage(channel=help_desk.id, text="a")
    refused = [
        await refusal(client, "chat.update", channel=help_desk.id, ts=ts, text=text)
        for ts, text in ((posted["ts"], "x" * 4_001), ("1.000000", "x"), (question.ts, "x"))
    ]

    assert [answer["error"] for answer in refused] == ["msg_too_long", "message_not_found", "cant_update_message"]


async def test_delete(client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel) -> None:
    """The bot can delete its own messages only."""
    question = workspace.post(ana, help_desk, "mine")
    posted = await client.chat_postMessage(channel=help_desk.id, text="a")
    await client.chat_delete(channel=help_desk.id, ts=posted["ts"])

    assert workspace.app_messages(help_desk) == []
    assert (await refusal(client, "chat.delete", channel=help_desk.id, ts=question.ts))[
        "error"
    ] == "cant_delete_message"


async def test_metadata_has_a_type_and_a_payload(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel
) -> None:
    """Metadata without a type or a payload is refused, and nothing is posted."""
    invalid: list[dict[str, Any]] = [
        {"event_type": "answer"},
        {"event_payload": {}},
        {"event_type": 1, "event_payload": {}},
    ]
    for metadata in invalid:
        answer = await refusal(client, "chat.postMessage", channel=help_desk.id, text="x", metadata=metadata)
        assert answer["error"] == "invalid_metadata_format"

    assert workspace.app_messages(help_desk) == []


async def test_ephemeral(client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel) -> None:
    """An ephemeral message needs a reader in the channel. In a thread it shows only if there are replies."""
    root = workspace.post(ana, help_desk, "one")
    await client.chat_postEphemeral(channel=help_desk.id, user=ana.id, text="psst")
    await client.chat_postEphemeral(channel=help_desk.id, user=ana.id, text="unseen", thread_ts=root.ts)

    assert [message.text for message in workspace.ephemerals(ana, help_desk)] == ["psst"]
    assert workspace.app_messages(help_desk) == []
    outside = await refusal(client, "chat.postEphemeral", channel="C0ITTEAM00", user="U0BENOKAFO", text="x")
    assert outside["error"] == "user_not_in_channel"


async def test_status_lasts_until_the_app_posts(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel
) -> None:
    """A status shows in its thread until the app's next message there."""
    root = workspace.post(ana, help_desk, "one")
    await client.assistant_threads_setStatus(channel_id=help_desk.id, thread_ts=root.ts, status="is thinking")
    assert workspace.statuses.text(help_desk, root.ts) == "is thinking"
    await client.chat_postMessage(channel=help_desk.id, thread_ts=root.ts, text="Hello")

    assert workspace.statuses.text(help_desk, root.ts) == ""


async def test_sessions_are_for_agents(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel
) -> None:
    """agents.sessions.setStatus needs an app that is declared an agent, and a known status."""
    root = workspace.post(ana, help_desk, "one")
    where: dict[str, Any] = {"channel_id": help_desk.id, "thread_ts": root.ts}
    plain = await refusal(client, "agents.sessions.setStatus", **where, status="processing")
    workspace.app = dataclasses.replace(workspace.app, is_agent=True)
    await client.agents_sessions_setStatus(**where, status="processing")

    assert plain["error"] == "not_authorized"
    assert workspace.statuses.text(help_desk, root.ts) == "Working…"
    wordy = await refusal(client, "agents.sessions.setStatus", **where, status="is thinking")
    assert wordy["error"] == "invalid_arguments"


async def test_users_info(client: AsyncWebClient) -> None:
    """users.info returns the names of a person and marks the bot. An unknown user is not found."""
    answer = await client.users_info(user="U0ANASILVA")

    assert answer["user"]["profile"]["real_name"] == "Ana Silva"
    assert (await client.users_info(user="U0ATTENDANT"))["user"]["is_bot"]
    assert (await refusal(client, "users.info", user="U404"))["error"] == "user_not_found"


async def test_channel_lookup_needs_the_scope_of_its_kind(client: AsyncWebClient, workspace: Workspace) -> None:
    """conversations.info needs channels:read for a public channel, im:read for direct messages."""
    workspace.app = dataclasses.replace(workspace.app, scopes=frozenset({"channels:read"}))
    answer = await client.conversations_info(channel="C0HELPDESK")

    assert answer["channel"]["name"] == "help-desk"
    assert (await refusal(client, "conversations.info", channel="D0ANASILVA"))["needed"] == "im:read"


async def test_forms_are_read_like_json(server: PlaygroundServer, workspace: Workspace, help_desk: Channel) -> None:
    """Form-encoded arguments work like a JSON body, with blocks as JSON text."""
    blocks = '[{"type": "divider"}]'
    form = {
        "token": workspace.app.bot_token,
        "channel": help_desk.id,
        "text": "x",
        "unfurl_links": "0",
        "blocks": blocks,
    }
    async with aiohttp.ClientSession() as session:
        await (await session.post(f"{server.api_url}chat.postMessage", data=form)).read()

    (message,) = workspace.app_messages(help_desk)
    assert (message.text, message.blocks[0]["type"]) == ("x", "divider")


async def test_calls_are_recorded_without_tokens(
    server: PlaygroundServer, client: AsyncWebClient, workspace: Workspace, help_desk: Channel
) -> None:
    """Every call is logged with its arguments and its error, but without its token."""
    await client.chat_postMessage(channel=help_desk.id, text="x")
    await refusal(client, "chat.update", channel=help_desk.id, ts="1.0", text="x")

    assert [(call.method, call.error) for call in server.calls.all()] == [
        ("chat.postMessage", None),
        ("chat.update", "message_not_found"),
    ]
    assert server.calls.of("chat.postMessage")[0].args["text"] == "x"
    assert workspace.app.bot_token not in str(server.calls.all())


async def test_only_the_apps_own_message_can_be_updated(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel
) -> None:
    """The app cannot update another bot's message."""
    other: Message = workspace.post_as_other_bot(help_desk, "deployed")

    answer = await refusal(client, "chat.update", channel=help_desk.id, ts=other.ts, text="x")
    assert answer["error"] == "cant_update_message"
