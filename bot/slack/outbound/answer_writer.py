"""One answer in its thread: a status, then text that grows, over as many messages as it takes.

Rule: all of the text arrives, once. The buffer here is the only one between the model and Slack: while it is full,
`drain` waits, and so does the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Self

from bot.domain.activities import Activity
from bot.errors import PlatformError, PlatformUnavailable
from bot.slack.errors import CallError, RefusedError, ThrottledError
from bot.slack.outbound.answer_file import AnswerFile
from bot.slack.outbound.answer_messages import AnswerMessages
from bot.slack.outbound.answer_status import AnswerStatus
from bot.slack.outbound.answer_text import AnswerText
from bot.slack.outbound.orphaned_messages import OrphanedMessages
from bot.slack.text import message_splitter
from bot.slack.text.markdown_sanitizer import MarkdownSanitizer

MOST_BUFFERED = 4 * message_splitter.MESSAGE_BYTES  # characters; more than a message, for only a full one leaves


class SlackAnswerWriter:
    """Writes one answer. Implements adapter.AnswerWriter."""

    def __init__(
        self,
        messages: AnswerMessages,
        orphans: OrphanedMessages,
        status: AnswerStatus,
        file: AnswerFile,
        text: AnswerText,
    ) -> None:
        self._messages = messages
        self._orphans = orphans
        self._status = status
        self._file = file
        self._closing = ""  # lines of the bot's own below the text
        self._harmless = MarkdownSanitizer()
        self._text = text
        self._anew: str | None = None  # the text that takes the place of all text, since a restart
        self._is_away = False  # Slack cannot be reached: the text is collected
        self._news = asyncio.Event()  # there is more text
        self._room = text.room  # a full message has left the buffer
        self._whole = asyncio.Event()  # no more text will come
        self._shown = asyncio.Event()  # all of it stands in Slack

    @asynccontextmanager
    async def opened(self, *, attempt: int) -> AsyncIterator[Self]:
        """Show the status, then the text that the block writes. See Adapter.writer."""
        try:
            async with asyncio.TaskGroup() as group:
                showing = group.create_task(self._show(attempt))
                yield self
                showing.cancel()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            await self._messages.release()

    def write(self, text: str) -> None:
        """See AnswerWriter."""
        self._add(self._harmless.feed(text))

    def close_with(self, text: str, *, wanted: bool = True) -> None:
        """See AnswerWriter."""
        if not wanted:
            self._text.drop_rest()
        harmless = MarkdownSanitizer()
        self._closing += harmless.feed(text) + harmless.finish()

    def restart(self) -> None:
        """See AnswerWriter. The text changes in the task that shows it, between two of its calls."""
        self._harmless, self._anew = MarkdownSanitizer(), ""
        self._status.note_restart()
        self._news.set()

    def think(self) -> None:
        """See AnswerWriter."""
        self._status.note(Activity.THINKING)
        self._news.set()

    def speak_anew(self) -> None:
        """See AnswerWriter."""
        self._news.set()

    async def drain(self) -> None:
        """See AnswerWriter."""
        while (self._text.waiting if self._anew is None else len(self._anew)) > MOST_BUFFERED and not self._is_away:
            self._room.clear()
            await self._room.wait()

    async def finish(self) -> None:
        """See AnswerWriter."""
        self._add(self._harmless.finish())
        self._whole.set()
        await self._shown.wait()

    def _add(self, text: str) -> None:
        if self._anew is None:
            self._text.add(text)
        else:
            self._anew += text
        if text.strip() and not (self._anew is None and self._text.is_collected):
            self._status.note_text()
        self._news.set()

    async def _show(self, attempt: int) -> None:
        try:
            await self._show_all(attempt)
        except RefusedError as refusal:
            await self._status.clear()
            raise PlatformError(refusal.code, refusal.method) from None
        except CallError as failure:
            self._is_away = True
            self._room.set()
            await self._whole.wait()  # the model's answer is worth keeping
            seconds = failure.retry_after_s if isinstance(failure, ThrottledError) else 0.0
            raise PlatformUnavailable(str(failure), seconds) from None

    async def _show_all(self, attempt: int) -> None:
        await self._status.show()  # before any text, because a status that comes later would stay
        if attempt > 1:
            await self._orphans.gather()
            await self._file.gather()
        while not self._whole.is_set():
            await self._wait_for_news()
            await self._start_over()
            await self._status.renew()
            await self._text.complete_full_messages()
            await self._grow()
        await self._start_over()
        await self._text.complete(self._closing)
        await self._orphans.remove_all()
        await self._file.remove_unneeded()
        await self._status.end(any_made=self._messages.any_made, any_posted=self._messages.any_posted)
        self._shown.set()

    async def _wait_for_news(self) -> None:
        """Wait for more text, or until the status is due. A stream that expires continues as an edited message."""
        with suppress(TimeoutError):
            async with self._messages.until_expiry(), self._status.until_due():
                await self._news.wait()
        self._news.clear()
        await self._messages.replace_expired()

    async def _start_over(self) -> None:
        """Have the new text take the place of all text, after a restart."""
        if self._anew is not None:
            await self._messages.release()
            self._orphans.take_back()
            self._text.start_over(self._anew)
            self._anew = None

    async def _grow(self) -> None:
        def so_far() -> str:
            return self._text.so_far(is_whole=self._whole.is_set())

        if so_far().strip():
            await self._messages.open(so_far, must=False)
        if not self._messages.may_grow(so_far()):
            return
        await _first(self._messages.wait_to_grow(), self._whole.wait())
        if not self._whole.is_set() and not await self._messages.grow(so_far()):
            self._text.leave_standing()
            self._news.set()  # the text that was not shown is still to be shown


async def _first(*waits: Awaitable[object]) -> None:
    """Wait for the first of these, and cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
