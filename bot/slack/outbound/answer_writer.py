"""One answer in its thread: a status, then text that grows, over as many messages as it takes.

Rule: all of the text arrives, once. Where streaming is refused, expires, or breaks, the same message goes on by being
edited; what an earlier attempt left in the thread is written into before anything is posted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from bot.errors import PlatformError, PlatformUnavailable
from bot.slack.errors import CallError, RefusedError, ThrottledError, UnconfirmedError
from bot.slack.outbound.messages import EditedMessage, Message, Slack, StreamedMessage
from bot.slack.outbound.orphaned_messages import OrphanedMessages
from bot.slack.outbound.status import Status
from bot.slack.outbound.streaming_policy import StreamingPolicy
from bot.slack.text import message_splitter
from bot.slack.text.markdown_sanitizer import MarkdownSanitizer
from bot.turns.adapter import Asked

Text = Callable[[], str]  # asked for when it is sent, so that what had to wait has grown


class AnswerWriter:
    """One answer being shown. `show` is called once."""

    def __init__(
        self, slack: Slack, status: Status, streaming: StreamingPolicy, leftovers: OrphanedMessages, *, asked: Asked
    ) -> None:
        self._slack = slack
        self._status = status
        self._streaming = streaming
        self._leftovers = leftovers
        self._asked = asked
        self._text = ""  # of the message that is growing, and of those that will follow it
        self._message: Message | None = None
        self._owed: str | None = None  # the method that will have to finish the message
        self._any_posted = self._any_made = False
        self._stopped = False  # a person told Slack to stop it: it grows no more, and the end comes soon
        self._news = asyncio.Event()
        self._whole = asyncio.Event()

    async def show(self, deltas: AsyncIterator[str]) -> None:
        """Show the status and then the text; all of it stands there when this returns. See Adapter.reply."""
        harmless = MarkdownSanitizer()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write())
                async for delta in deltas:
                    self._add(harmless.feed(delta))
                self._add(harmless.finish())
                self._whole.set()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            if isinstance(self._message, StreamedMessage):  # cancelled: leave nothing behind that streams for minutes
                await self._message.break_off()
            self._hold(None)

    def _add(self, text: str) -> None:
        self._text += text
        self._news.set()

    async def _write(self) -> None:
        try:
            await self._write_all()
        except RefusedError as refusal:
            await self._status.clear(self._asked.thread)  # no text will end it
            raise PlatformError(refusal.code, refusal.method) from None
        except CallError as failure:
            seconds = failure.retry_after_s if isinstance(failure, ThrottledError) else 0.0
            raise PlatformUnavailable(str(failure), seconds) from None

    async def _write_all(self) -> None:
        await self._status.show(self._asked.thread)  # before any text, because a status that comes later would stay
        if self._asked.attempt > 1:
            await self._leftovers.gather()
        while not self._whole.is_set():
            await self._wait_for_news()
            await self._complete_full_messages()
            await self._grow()
        await self._complete_full_messages()
        await self._complete(self._text)
        await self._leftovers.remove_all()
        await self._end_status()

    async def _wait_for_news(self) -> None:
        """Wait for more text; a stream that would expire meanwhile goes on as an edited message."""
        time, left_s = self._slack.limiter.clock, None
        if isinstance(self._message, StreamedMessage):
            left_s = self._message.expires_at - time.now()
        with suppress(TimeoutError):
            async with time.timeout(left_s):
                await self._news.wait()
        self._news.clear()
        if isinstance(self._message, StreamedMessage) and time.now() >= self._message.expires_at:
            self._hold(await self._message.break_off())

    async def _complete_full_messages(self) -> None:
        while len(self._text) > message_splitter.MESSAGE_CHARACTERS:
            piece, self._text = message_splitter.split_once(self._text)
            await self._complete(piece)

    async def _complete(self, text: str) -> None:
        """End the message with this text, opening one first when there is none."""
        while self._message is not None or text.strip():
            if self._message is None:
                await self._open(lambda: text, must=True)
            elif await self._is_finished(self._message, text):
                self._hold(None)
                return

    async def _is_finished(self, message: Message, text: str) -> bool:
        try:
            await message.finish(text)
        except CallError as failure:
            if not await self._give_way(message, failure):
                raise
            return False
        return True

    async def _grow(self) -> None:
        if self._message is None and self._so_far().strip():
            await self._open(self._so_far, must=False)
        message = self._message
        if message is None or self._stopped or message.shows(self._so_far()):
            return
        await _first(self._slack.limiter.wait_for_partial_update(message.grows_by), self._whole.wait())
        if not self._whole.is_set():
            await self._show_more(message)

    async def _show_more(self, message: Message) -> None:
        try:
            await message.grow(self._so_far())
        except CallError as failure:
            self._news.set()  # what was not shown is still to be shown
            if not isinstance(failure, ThrottledError):
                await self._give_way(message, failure)

    def _so_far(self) -> str:
        """What is certain to stand in the message that is growing, wherever it will be cut."""
        is_all = self._whole.is_set() and len(self._text) <= message_splitter.MESSAGE_CHARACTERS
        return self._text if is_all else self._text[: message_splitter.stable_length()]

    async def _open(self, text: Text, *, must: bool) -> None:
        """Take the next message that is left over, or make one: without `must` only if Slack has time to finish it."""
        if (left_over := self._leftovers.take()) is not None:
            self._hold(left_over)
            return
        limiter, thread = self._slack.limiter, self._asked.thread
        if self._streaming.allowed(thread) and limiter.can_reserve(StreamedMessage.ends_by):
            await self._start_stream(text)
        if self._message is None and (must or limiter.can_reserve(EditedMessage.ends_by)):
            self._owe(EditedMessage.ends_by)
            await self._make(EditedMessage.post, text)
            self._any_posted = True

    async def _start_stream(self, text: Text) -> None:
        """Have a message stream, unless Slack refuses it, whyever: then posting will tell."""
        self._owe(StreamedMessage.ends_by)
        try:
            await self._make(StreamedMessage.start, text)
        except RefusedError as refusal:
            self._streaming.refused(self._asked.thread, refusal.code)
        except ThrottledError:
            pass
        except UnconfirmedError as failure:
            if not failure.answered:
                raise
        if self._message is None:
            self._owe(None)

    async def _make(self, make: Callable[[Slack, Asked, Text], Awaitable[Message]], text: Text) -> None:
        """Post a message, or find it in the thread when Slack did not say whether it was posted."""
        try:
            self._hold(await make(self._slack, self._asked, text))
        except UnconfirmedError as failure:
            if not failure.sent or not await self._leftovers.search():
                raise
            self._hold(self._leftovers.take())
        self._any_made = True
        if self._message is not None:
            await self._leftovers.note(self._message.ts)

    async def _give_way(self, message: Message, failure: CallError) -> bool:
        """Go on with this message in another way, or with another message; False when there is nothing else to try."""
        if isinstance(message, StreamedMessage):
            self._stopped = self._stopped or failure.code == "stopped_by_user"
            self._hold(await message.break_off())
        elif message.left_over and isinstance(failure, RefusedError):
            await self._leftovers.remove(message)
            self._hold(None)
        else:
            return False
        return True

    def _hold(self, message: Message | None) -> None:
        self._message = message
        self._owe(message.ends_by if message else None)

    def _owe(self, method: str | None) -> None:
        """Let the limiter know which call the end of this answer's message will take."""
        if self._owed:
            self._slack.limiter.release(self._owed)
        if method:
            self._slack.limiter.reserve(method)
        self._owed = method

    async def _end_status(self) -> None:
        """End the status where no message did: none was made, or it was posted beside an agent's session."""
        if not self._any_made:
            await self._status.clear(self._asked.thread)
        elif self._any_posted:
            await self._status.after_post(self._asked.thread)


async def _first(*waits: Awaitable[object]) -> None:
    """Wait for whichever comes first, and no longer for the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
