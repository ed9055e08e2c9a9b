"""Files that the app sends: files.getUploadURLExternal, the upload, files.completeUploadExternal and the download.

docs.slack.dev/messaging/working-with-files#uploading_files
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from urllib.parse import quote

from aiohttp import web

from bot.playground.web_api.arguments import Args
from bot.playground.web_api.errors import SlackError, invalid_arguments
from bot.playground.web_api.methods import Method, checked_root, joined_channel
from bot.playground.workspace.message_json import message_json
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.state import Upload
from bot.playground.workspace.workspace import Workspace

MAX_BYTES = 32 * 1024 * 1024  # Slack itself allows a gigabyte


def _get_url(workspace: Workspace, args: Args) -> Json:
    length = args.number("length", 0)
    if not 0 < length <= MAX_BYTES:
        raise invalid_arguments(f"must be from 1 to {MAX_BYTES}: length")
    file_id, secret = f"F{workspace.new_id().upper()}", workspace.new_secret()
    workspace.uploads[file_id] = Upload(args.text("filename"), length, secret)
    return {"file_id": file_id, "upload_url": f"{workspace.address}/upload/{file_id}/{secret}"}


def _complete(workspace: Workspace, args: Args) -> Json:
    channel = joined_channel(workspace, args.text("channel_id"))
    thread_ts = checked_root(workspace, channel, args.text("thread_ts"), "thread_not_found")
    items = args.items("files")
    if not items or not all(_is_uploaded(workspace, item) for item in items):
        raise SlackError("file_not_found")
    files = [_file(workspace, item) for item in items]
    message = workspace.add(
        Message(
            channel=channel.id,
            ts=workspace.new_ts(),
            user=workspace.app.user_id,
            bot_id=workspace.app.bot_id,
            text=args.text("initial_comment"),
            thread_ts=thread_ts,
            subtype="file_share",
            files=tuple(files),
        )
    )
    return {"files": message_json(workspace, message)["files"]}


def _is_uploaded(workspace: Workspace, item: Json) -> bool:
    upload = workspace.uploads.get(str(item.get("id")))
    return upload is not None and upload.content is not None


def _file(workspace: Workspace, item: Json) -> Json:
    upload = workspace.uploads[item["id"]]
    return {
        "id": item["id"],
        "name": upload.name,
        "title": item.get("title") or upload.name,
        "mimetype": mimetypes.guess_type(upload.name)[0] or "application/octet-stream",
        "size": upload.length,
        "url_private_download": f"{workspace.address}/files/{item['id']}",
    }


METHODS: Mapping[str, Method] = {
    "files.getUploadURLExternal": Method(run=_get_url, required=("filename", "length"), scope="files:write"),
    "files.completeUploadExternal": Method(run=_complete, required=("files",), scope="files:write"),
}


class Files:
    """The HTTP routes over which the app uploads files and people download them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes."""
        return [web.post("/upload/{id}/{secret}", self._upload), web.get("/files/{id}", self._download)]

    async def _upload(self, request: web.Request) -> web.Response:
        upload = self._workspace.uploads.get(request.match_info["id"])
        if upload is None or upload.secret != request.match_info["secret"]:
            raise web.HTTPNotFound(text="There is no such upload.")
        content = await request.read()
        if len(content) != upload.length:
            raise web.HTTPBadRequest(text="The file does not have the announced length.")
        upload.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.Response:
        upload = self._workspace.uploads.get(request.match_info["id"])
        if upload is None or upload.content is None:
            raise web.HTTPNotFound(text="There is no such file.")
        return web.Response(
            body=upload.content,
            content_type="application/octet-stream",
            headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(upload.name)}"},
        )
