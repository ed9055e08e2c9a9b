"""The file that holds the rest of a long answer, below its first messages.

Rule: the file is in the ledger before it appears in the thread. A later attempt finds it there by its id: it keeps the
file if the name says that it holds the same text, and deletes it otherwise. Where Slack takes no file, the rest
is shown in messages. Facts: https://docs.slack.dev/messaging/working-with-files
"""

from __future__ import annotations

import hashlib
import logging

import aiohttp
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain import long_answer_texts
from bot.domain.language import translated
from bot.slack.errors import CLIENT_ERRORS, CallError, RefusedError, UnconfirmedError, error_code
from bot.slack.outbound.file_downloads import is_slacks, session_of
from bot.slack.outbound.messages import LONGEST_WAIT_S, Slack
from bot.slack.outbound.orphaned_messages import OrphanedMessages
from bot.turns.adapter import AnswerTarget, Ledger

log = logging.getLogger(__name__)

SCOPE = "files:write"
_SEND_S = 60.0
_TRIES = 2
_SEARCHES_AFTER_S = (0.0, 0.5, 1.5, 4.0)  # Slack shares a file a moment after it has confirmed that
_GONE = frozenset({"file_not_found", "file_deleted"})
_NEVER = frozenset(  # errors that will be the same next time
    {
        "access_denied",
        "feature_not_enabled",
        "file_uploads_disabled",
        "file_uploads_except_images_disabled",
        "method_not_supported_for_channel_type",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "unknown_method",
    }
)


class LongAnswers:
    """After how many messages an answer goes on in a file, in one workspace."""

    def __init__(self, most_messages: int) -> None:
        """0: never in a file."""
        self.most_messages = most_messages

    def refused(self, code: str) -> None:
        """Note that Slack did not take a file. It is not tried again if the refusal is permanent."""
        log.warning("answer_file_refused", extra={"error": code})
        if code in _NEVER:
            self.most_messages = 0


class AnswerFile:
    """Uploads the rest of one answer."""

    def __init__(
        self, slack: Slack, target: AnswerTarget, ledger: Ledger, orphans: OrphanedMessages, long_answers: LongAnswers
    ) -> None:
        self._slack = slack
        self._target = target
        self._ledger = ledger
        self._orphans = orphans
        self._long_answers = long_answers
        self._stored: list[str] = []  # the files of earlier attempts, and the one that was uploaded last
        self._standing = ""  # the one that holds the rest

    @property
    def most_messages(self) -> int:
        """After how many messages the answer goes on in the file; 0: never."""
        return self._long_answers.most_messages

    async def gather(self) -> None:
        """Collect the files of earlier attempts that are in the ledger."""
        self._stored += await self._ledger.uploaded()

    async def upload(self, content: str) -> bool:
        """Have this text stand in the thread as a file; False when Slack does not take it."""
        name = _name(self._target.message_id, content)
        self._standing = await self._find(name)
        if self._standing:
            return True
        try:
            await self.remove_unneeded()
            await self._upload(name, content)
        except CallError as failure:  # a file that was shared all the same is deleted with the unneeded ones
            self._long_answers.refused(failure.code)
            return False
        return True

    async def remove_unneeded(self) -> None:
        """Delete the files that do not hold the rest of this answer. Raises CallError when Slack cannot be reached."""
        for file_id in [each for each in self._stored if each != self._standing]:
            try:
                await delete_file(self._slack, file_id)
            except RefusedError as refusal:
                log.warning("answer_file_not_removed", extra={"file": file_id, "error": str(refusal)})
            await self._ledger.file_removed(file_id)
            self._stored.remove(file_id)

    async def _find(self, name: str) -> str:
        """Return the id of an earlier attempt's file of this name that stands in the thread; "" without one."""
        if not self._stored:
            return ""
        try:
            found = await self._orphans.files()
        except CallError:
            return ""
        return next((file_id for file_id in self._stored if found.get(file_id) == name), "")

    async def _upload(self, name: str, content: str) -> None:
        data = content.encode(errors="replace")
        client, place = self._slack.client, self._target.thread

        async def announce() -> AsyncSlackResponse:
            return await client.files_getUploadURLExternal(filename=name, length=len(data))

        async def share() -> AsyncSlackResponse:
            files: list[dict[str, str | None]] = [{"id": file_id, "title": translated(long_answer_texts.FILE_TITLE)}]
            root = place.root or None
            return await client.files_completeUploadExternal(files=files, channel_id=place.channel, thread_ts=root)

        method = "files.getUploadURLExternal"
        announced = await self._slack.write(method, announce, wait_s=LONGEST_WAIT_S, idempotent=True)
        file_id = str(announced["file_id"])
        await self._ledger.uploading(file_id)
        self._stored.append(file_id)
        await self._send(str(announced["upload_url"]), data)
        try:
            await self._slack.write("files.completeUploadExternal", share, wait_s=LONGEST_WAIT_S)
        except UnconfirmedError as failure:
            if not (failure.sent and await self._is_shared(file_id)):
                raise
        self._standing = file_id

    async def _send(self, url: str, data: bytes) -> None:
        """Send the bytes. Raises RefusedError: a proxy may let nothing pass to the host that takes files."""
        client, code = self._slack.client, "url_refused"
        if is_slacks(url, client.base_url):
            for _ in range(_TRIES):
                try:
                    timeout = aiohttp.ClientTimeout(total=_SEND_S)
                    how = {"data": data, "proxy": client.proxy, "timeout": timeout, "allow_redirects": False}
                    async with session_of(client.session).post(url, **how) as response:  # type: ignore[arg-type]
                        if response.ok:
                            return
                        code = f"http_{response.status}"
                except CLIENT_ERRORS as error:
                    code = error_code(error)
        raise RefusedError("files.upload", code)

    async def _is_shared(self, file_id: str) -> bool:
        """Return whether Slack shared a file without confirming it."""
        for pause_s in _SEARCHES_AFTER_S:
            await self._slack.limiter.clock.pause(pause_s)
            try:
                if file_id in await self._orphans.files():
                    return True
            except CallError:
                return False
        return False


async def delete_file(slack: Slack, file_id: str) -> None:
    """Delete a file, if it still exists. Raises CallError."""

    async def send() -> AsyncSlackResponse:
        return await slack.client.files_delete(file=file_id)

    try:
        await slack.write("files.delete", send, wait_s=LONGEST_WAIT_S, idempotent=True)
    except RefusedError as refusal:
        if refusal.code not in _GONE:
            raise


def _name(message_id: str, content: str) -> str:
    """Return the file's name. It differs for another question, and for another text."""
    digest = hashlib.sha256(f"{message_id}\n{content}".encode(errors="replace")).hexdigest()
    return f"answer-{digest[:8]}.md"
