"""Tests of files: uploads, shares and downloads."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.playground_server import PlaygroundServer
from bot.playground.web_api.files import LOGIN_PAGE, MAX_BYTES
from bot.playground.workspace.file_sharing import delete_file, share, upload
from tests.support.playground_stage import make_workspace, served


@pytest.fixture
async def server() -> AsyncIterator[PlaygroundServer]:
    async with served(make_workspace()) as server:
        yield server


async def test_a_file_is_shared_in_direct_messages(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """The app can post to a user id, share a file there, and people can download the file."""
    workspace = server.workspace
    ana = workspace.person("ana")
    opened = await client.chat_postMessage(channel=ana.id, text="here it comes")
    await client.files_upload_v2(channel=opened["channel"], content="Größe: 1", filename="a b.json")

    text, sent = workspace.app_messages(workspace.dm(ana))
    assert (text.text, sent.subtype, sent.files[0]["name"], sent.files[0]["size"]) == (
        "here it comes",
        "file_share",
        "a b.json",
        10,
    )
    async with aiohttp.ClientSession() as session, session.get(sent.files[0]["url_private_download"]) as response:
        assert await response.read() == "Größe: 1".encode()
        assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%20b.json"


@pytest.mark.parametrize("path", ["/files/F1", "/upload/F1/secret"])
async def test_an_unknown_file_is_not_found(server: PlaygroundServer, path: str) -> None:
    """An unknown file can neither be downloaded nor uploaded."""
    send = path.startswith("/upload")
    async with aiohttp.ClientSession() as session:
        response = await session.request("POST" if send else "GET", f"{server.workspace.address}{path}")

    assert response.status == 404


async def test_an_upload_is_as_long_as_it_was_announced(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """An upload of another length is refused, and a file without content cannot be shared."""
    announced = await client.files_getUploadURLExternal(filename="a.txt", length=3)
    async with aiohttp.ClientSession() as session:
        response = await session.post(announced["upload_url"], data=b"four")
    assert response.status == 400

    with pytest.raises(SlackApiError, match="file_not_found"):
        await client.files_completeUploadExternal(files=[{"id": announced["file_id"]}], channel_id="C0HELPDESK")
    assert server.workspace.app_messages(server.workspace.channel("help-desk")) == []


@pytest.mark.parametrize("length", [0, MAX_BYTES + 1])
async def test_a_file_has_a_length(client: AsyncWebClient, length: int) -> None:
    """An empty file and one over the limit are refused."""
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        await client.files_getUploadURLExternal(filename="a.txt", length=length)


async def test_a_persons_file_needs_the_token(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """files.info leads to a private URL, which sends the file for the token, and a login page without it."""
    shared = upload(server.workspace, "notes.md", b"hello")
    described = (await client.files_info(file=shared["id"]))["file"]
    found = []
    async with aiohttp.ClientSession() as session:
        for headers in ({"Authorization": f"Bearer {client.token}"}, {"Authorization": "Bearer xoxb-other"}, {}):
            async with session.get(described["url_private_download"], headers=headers) as response:
                found.append((response.status, response.content_type, await response.text()))

    assert (described["name"], described["mimetype"], described["size"]) == ("notes.md", "text/markdown", 5)
    assert found == [(200, "text/markdown", "hello"), *[(200, "text/html", LOGIN_PAGE)] * 2]


async def test_files_need_their_scope(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Without files:read the app can neither look a file up nor download it."""
    shared = upload(server.workspace, "notes.md", b"hello")
    server.workspace.app = dataclasses.replace(server.workspace.app, scopes=frozenset({"chat:write"}))

    with pytest.raises(SlackApiError, match="missing_scope"):
        await client.files_info(file=shared["id"])
    headers = {"Authorization": f"Bearer {client.token}"}
    async with aiohttp.ClientSession() as session, session.get(shared["url_private"], headers=headers) as response:
        assert await response.text() == LOGIN_PAGE


async def test_a_deleted_file_leaves_its_messages(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A deleted file is a tombstone in its message, and is not found any more."""
    workspace = server.workspace
    message = share(workspace, workspace.person("ana"), workspace.channel("help-desk"), "", files={"a.txt": b"hello"})
    delete_file(workspace, message.files[0]["id"])

    left = workspace.transcript.find(message.channel, message.ts)
    assert left is not None
    assert left.files[0]["mode"] == "tombstone"
    with pytest.raises(SlackApiError, match="file_not_found"):
        await client.files_info(file=message.files[0]["id"])
