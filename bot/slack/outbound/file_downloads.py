"""Downloads of the files that people share: files.info, then the file's private URL with the bot's token.

Rule: the token goes to Slack's own hosts alone, and no redirect is followed, because Slack redirects a request without
access to its login page. Facts: https://docs.slack.dev/reference/objects/file-object#authentication
"""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import aiohttp

from bot.domain.events import Attachment
from bot.domain.file_content import FileOutcome
from bot.slack.errors import CLIENT_ERRORS, CallError, RefusedError
from bot.slack.identity import BotIdentity
from bot.slack.message_fields import string_field
from bot.slack.outbound.messages import Slack
from bot.turns.adapter import FetchedFile

log = logging.getLogger(__name__)

SCOPE = "files:read"
DOWNLOAD_S = 30.0
_INFO_WAIT_S = 10.0  # for the rate limit of files.info
_TRIES = 2
_CHUNK = 65_536  # bytes
_HOSTS = ("slack.com", "slack-files.com")
_HOST = re.compile(r"[a-z0-9.-]+")  # anything else, another parser of URLs may read as another host
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NO_SCOPE = frozenset({"missing_scope", "not_allowed_token_type", "no_permission"})
_GONE = frozenset({"tombstone", "hidden_by_limit"})
_HTML = "text/html"
_OK, _TOO_MANY, _SERVER_ERROR = 200, 429, 500


class FileDownloads:
    """Downloads of one installation of the app."""

    def __init__(self, slack: Slack, bot: BotIdentity) -> None:
        self._slack = slack
        self._may_read = not bot.scopes or SCOPE in bot.scopes

    async def fetch(self, file: Attachment, into: BinaryIO, most_bytes: int) -> FetchedFile | FileOutcome:
        """See Adapter.fetch_file.

        A message's own account of its files may be incomplete: in channels that are shared with other organisations it
        has no more than the id. https://docs.slack.dev/apis/slack-connect/using-slack-connect-with-apps#files
        """
        if not self._may_read:
            return FileOutcome.NO_PERMISSION
        info = await self._info(file.id)
        if isinstance(info, FileOutcome):
            return info
        if (refusal := _refusal(info, most_bytes)) is not None:
            return refusal
        url = string_field(info, "url_private_download") or string_field(info, "url_private")
        if not is_slacks(url, self._slack.client.base_url):
            log.warning("file_url_refused", extra={"file": file.id})
            return FileOutcome.NOT_SHARED
        outcome = await self._download(url, info, into, most_bytes)
        name = string_field(info, "name") or string_field(info, "title") or file.name
        return outcome or FetchedFile(name, string_field(info, "mimetype") or file.mimetype)

    async def _info(self, file_id: str) -> dict[str, Any] | FileOutcome:
        """Return the file's present description: https://docs.slack.dev/reference/methods/files.info."""
        send = partial(self._slack.client.files_info, file=file_id)
        try:
            response = await self._slack.limiter.call("files.info", send, wait_s=_INFO_WAIT_S, idempotent=True)
        except RefusedError as refusal:
            return FileOutcome.NO_PERMISSION if refusal.code in _NO_SCOPE else FileOutcome.NOT_SHARED
        except CallError:
            return FileOutcome.UNREACHABLE
        info = response.get("file")
        return info if isinstance(info, dict) else FileOutcome.NOT_SHARED

    async def _download(self, url: str, info: dict[str, Any], into: BinaryIO, most_bytes: int) -> FileOutcome | None:
        """Write the bytes. Return the outcome if that fails."""
        outcome: FileOutcome | None = FileOutcome.UNREACHABLE
        try:
            async with asyncio.timeout(DOWNLOAD_S):
                for _ in range(_TRIES):
                    outcome = await self._try_download(url, info, into, most_bytes)
                    if outcome is not FileOutcome.UNREACHABLE:
                        break
        except TimeoutError:
            return FileOutcome.TOO_SLOW
        return outcome

    async def _try_download(
        self, url: str, info: dict[str, Any], into: BinaryIO, most_bytes: int
    ) -> FileOutcome | None:
        client = self._slack.client
        into.seek(0)
        into.truncate()
        try:
            async with session_of(client.session).get(
                url,
                headers={"Authorization": f"Bearer {client.token}", "Accept-Encoding": "identity"},
                allow_redirects=False,
                proxy=client.proxy,
                timeout=aiohttp.ClientTimeout(total=DOWNLOAD_S),
            ) as response:
                if (refusal := _response_refusal(response, info, most_bytes)) is not None:
                    return refusal
                return await _write(response, into, most_bytes)
        except TimeoutError:
            raise
        except CLIENT_ERRORS:
            return FileOutcome.UNREACHABLE


def is_slacks(url: str, api_url: str) -> bool:
    """Return whether the token may be sent to this URL: to Slack's hosts over TLS, or to the server of the Web API.

    The Web API's address is the operator's. It is not Slack's own for GovSlack, and in the playground, which is on the
    loopback and has no TLS.
    """
    try:
        target, api = urlsplit(url), urlsplit(api_url)
        origin, own = (target.scheme, target.hostname, target.port), (api.scheme, api.hostname, api.port)
    except ValueError:
        return False
    host = target.hostname or ""
    if target.username is not None or target.password is not None or not _HOST.fullmatch(host):
        return False
    if own[1] in _LOOPBACK:
        return origin == own
    is_known = any(host == known or host.endswith(f".{known}") for known in (*_HOSTS, own[1] or _HOSTS[0]))
    return target.scheme == "https" and target.port in {None, 443} and is_known


def _refusal(info: dict[str, Any], most_bytes: int) -> FileOutcome | None:
    """Return why a file with this description is not downloaded; None if it is."""
    mode, size = string_field(info, "mode"), info.get("size")
    if info.get("is_external") or mode == "external":
        return FileOutcome.ELSEWHERE
    if mode in _GONE or string_field(info, "file_access") in {"access_denied", "file_not_found"}:
        return FileOutcome.NOT_SHARED
    return FileOutcome.TOO_LARGE if isinstance(size, int) and size > most_bytes else None


def _response_refusal(response: aiohttp.ClientResponse, info: dict[str, Any], most_bytes: int) -> FileOutcome | None:
    """Return why the body of this response is not the file; None if it is."""
    status, length = response.status, response.content_length
    if status == _TOO_MANY or status >= _SERVER_ERROR:
        return FileOutcome.UNREACHABLE
    if status != _OK or _is_login_page(response, info):
        return FileOutcome.NOT_SHARED
    return FileOutcome.TOO_LARGE if length is not None and length > most_bytes else None


def _is_login_page(response: aiohttp.ClientResponse, info: dict[str, Any]) -> bool:
    """Return whether Slack sent its login page, with status 200, in place of the file.

    A page that somebody shared is an attachment, and has the announced size.
    """
    if response.content_type != _HTML:
        return False
    is_page = string_field(info, "mimetype") == _HTML
    is_attachment = (response.content_disposition is not None) and response.content_disposition.type == "attachment"
    return not is_page or not (is_attachment or response.content_length == info.get("size"))


async def _write(response: aiohttp.ClientResponse, into: BinaryIO, most_bytes: int) -> FileOutcome | None:
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > most_bytes:
            return FileOutcome.TOO_LARGE
        into.write(chunk)
    return None


def session_of(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
    """Return the session of a Web API client that was opened with one."""
    if session is None:
        raise ValueError("the client has no session of its own")
    return session
