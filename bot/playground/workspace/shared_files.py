"""Files that the app or people upload, Slack's JSON of them, and their content over HTTP. Pure.

From docs.slack.dev/reference/objects/file-object.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass, field
from urllib.parse import quote

from aiohttp import web

from bot.playground.workspace.messages import Json

_TEXT_TYPES = {".md": "text/markdown", ".log": "text/plain", ".csv": "text/csv", ".py": "text/x-python"}

_IMAGE_TYPES = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})


@dataclass(slots=True)
class Upload:
    """A file. `content` is None until the app has uploaded it."""

    name: str
    length: int
    secret: str
    content: bytes | None = None
    mimetype: str = ""
    by_app: bool = True
    fields: Json = field(default_factory=dict)  # of its JSON, in place of the usual ones


def type_of(name: str) -> str:
    """Return the type of a file by its name."""
    suffix = f".{name.rpartition('.')[2].lower()}"
    return _TEXT_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def is_image(upload: Upload) -> bool:
    """Return whether a browser shows the file as an image. SVG is left out, because it may hold a script."""
    return (upload.mimetype or type_of(upload.name)) in _IMAGE_TYPES


def file_json(address: str, file_id: str, upload: Upload, title: str = "") -> Json:
    """Return a file's JSON. People open the app's files in the browser; for other files the app needs its token."""
    private = f"{address}/files-pri/{file_id}"
    return {
        "id": file_id,
        "name": upload.name,
        "title": title or upload.name,
        "mimetype": upload.mimetype or type_of(upload.name),
        "mode": "hosted",
        "size": upload.length,
        "url_private": private,
        "url_private_download": f"{address}/files/{file_id}" if upload.by_app else private,
        **upload.fields,
    }


def file_response(upload: Upload, *, inline: bool = False) -> web.Response:
    """Return the response with a file's content: something to save, or with `inline` an image to be shown."""
    kind = "inline" if inline else "attachment"
    return web.Response(
        body=upload.content,
        content_type=upload.mimetype or type_of(upload.name),
        headers={"Content-Disposition": f"{kind}; filename*=UTF-8''{quote(upload.name)}"},
    )
