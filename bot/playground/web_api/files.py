"""Files: uploads (files.getUploadURLExternal, files.completeUploadExternal), files.info, files.delete, private URLs.

docs.slack.dev/messaging/working-with-files and docs.slack.dev/reference/objects/file-object
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from bot.playground.web_api.arguments import Args
from bot.playground.web_api.errors import SlackError, invalid_arguments
from bot.playground.web_api.methods import Method, checked_root, joined_channel
from bot.playground.workspace.file_sharing import delete_file
from bot.playground.workspace.message_json import message_json
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.shared_files import Upload, file_json, file_response
from bot.playground.workspace.workspace import Workspace

MAX_BYTES = 32 * 1024 * 1024  # Slack itself allows a gigabyte
LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in to Harbour &amp; Co</title></head><body>Sign in</body></html>"


def _get_url(workspace: Workspace, args: Args) -> Json:
    length = args.number("length", 0)
    if not 0 < length <= MAX_BYTES:
        raise invalid_arguments(f"must be from 1 to {MAX_BYTES}: length")
    file_id, secret = f"F{workspace.new_id().upper()}", workspace.new_secret()
    name = args.text("filename")
    workspace.uploads[file_id] = Upload(name, length, secret)
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


def _delete(workspace: Workspace, args: Args) -> Json:
    """Delete a file of the app's. A message that shows nothing else goes with it."""
    upload = workspace.uploads.get(args.text("file"))
    if upload is None or not upload.by_app:
        raise SlackError("file_not_found" if upload is None else "cant_delete_file")
    delete_file(workspace, args.text("file"))
    for channel in list(workspace.channels.values()):
        for message in workspace.app_messages(channel):
            is_empty = all(file.get("mode") == "tombstone" for file in message.files) and not message.shown_text
            if message.files and is_empty:
                workspace.remove(message)
    return {}


def _is_uploaded(workspace: Workspace, item: Json) -> bool:
    upload = workspace.uploads.get(str(item.get("id")))
    return upload is not None and upload.content is not None


def _file(workspace: Workspace, item: Json) -> Json:
    upload = workspace.uploads[item["id"]]
    return file_json(workspace.address, item["id"], upload, str(item.get("title") or ""))


def _info(workspace: Workspace, args: Args) -> Json:
    upload = workspace.uploads.get(args.text("file"))
    if upload is None or upload.content is None:
        raise SlackError("file_not_found")
    return {"file": file_json(workspace.address, args.text("file"), upload)}


METHODS: Mapping[str, Method] = {
    "files.info": Method(run=_info, required=("file",), scope="files:read"),
    "files.delete": Method(run=_delete, required=("file",), scope="files:write"),
    "files.getUploadURLExternal": Method(run=_get_url, required=("filename", "length"), scope="files:write"),
    "files.completeUploadExternal": Method(run=_complete, required=("files",), scope="files:write"),
}


class Files:
    """The HTTP routes over which the app uploads and downloads files."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.downloads: list[tuple[str, str]] = []  # the file's id and the `Authorization` of each
        self.instead: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None  # a test's own response

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes."""
        return [
            web.post("/upload/{id}/{secret}", self._upload),
            web.get("/files/{id}", self._open),
            web.get("/files-pri/{id}", self._download),
        ]

    async def _upload(self, request: web.Request) -> web.Response:
        upload = self._workspace.uploads.get(request.match_info["id"])
        if upload is None or upload.secret != request.match_info["secret"]:
            raise web.HTTPNotFound(text="There is no such upload.")
        content = await request.read()
        if len(content) != upload.length:
            raise web.HTTPBadRequest(text="The file does not have the announced length.")
        upload.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def _open(self, request: web.Request) -> web.Response:
        """Send one of the app's files to a person."""
        upload = self._workspace.uploads.get(request.match_info["id"])
        if upload is None or upload.content is None or not upload.by_app:
            raise web.HTTPNotFound(text="There is no such file.")
        return file_response(upload)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """Send a file to the app. Without a token that may read it, Slack sends its login page, with status 200."""
        app, file_id = self._workspace.app, request.match_info["id"]
        authorization = request.headers.get("Authorization", "")
        self.downloads.append((file_id, authorization))
        if self.instead is not None:
            return await self.instead(request)
        upload = self._workspace.uploads.get(file_id)
        may_read = authorization == f"Bearer {app.bot_token}" and "files:read" in app.scopes
        if not may_read or upload is None or upload.content is None:
            return web.Response(text=LOGIN_PAGE, content_type="text/html")
        return file_response(upload)
