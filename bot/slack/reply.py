"""One answer in its thread: a status, then text that grows, over as many messages as it takes.

Rule: all of the text arrives. Where streaming is refused, or breaks, the same message goes on by being edited.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from slack_sdk.errors import SlackApiError

from bot.adapter import Asked, Posted
from bot.errors import PlatformError
from bot.slack import limits
from bot.slack.client import CallFailed, error_code, retry_after_seconds
from bot.slack.markdown import Harmless
from bot.slack.messages import Clients, Edited, Message, Streamed
from bot.slack.status import Status
from bot.slack.streaming import Pace, Streaming


class Reply:
    """One answer being shown. `show` is called once."""

    def __init__(
        self, clients: Clients, status: Status, streaming: Streaming, pace: Pace, *, asked: Asked, posted: Posted
    ) -> None:
        self._clients = clients
        self._status = status
        self._streaming = streaming
        self._pace = pace
        self._asked = asked
        self._posted = posted
        self._text = ""  # of the message that is growing, and of those that will follow it
        self._message: Message | None = None
        self._any_posted = self._any_edited = False
        self._asked_to_wait_s = 0.0
        self._news = asyncio.Event()
        self._whole = asyncio.Event()

    async def show(self, deltas: AsyncIterator[str]) -> None:
        """Show the status and then the text; all of it stands there when this returns. Raises PlatformError."""
        harmless = Harmless()
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
            if isinstance(self._message, Streamed):  # cancelled: leave nothing behind that streams for minutes
                await self._message.break_off()

    def _add(self, text: str) -> None:
        self._text += text
        self._news.set()

    async def _write(self) -> None:
        await self._status.show(self._asked.thread)  # before any text, because a status that comes later would stay
        while not self._whole.is_set():
            await self._news.wait()
            self._news.clear()
            await self._complete_full_messages()
            await self._grow(self._text[: limits.uncut()])
            await self._rest()
        await self._complete_full_messages()
        await self._complete(self._text)
        await self._end_status()

    async def _complete_full_messages(self) -> None:
        while len(self._text) > limits.MESSAGE_CHARACTERS:
            piece, self._text = limits.cut(self._text)
            await self._complete(piece)

    async def _complete(self, text: str) -> None:
        """End the message with this text, posting it first when nothing of it is there yet."""
        if self._message is None and text.strip():
            self._message = await self._open(text)
        if self._message is not None:
            await self._finish(self._message, text)
            self._message = None

    async def _open(self, text: str) -> Message:
        message = await self._start_stream(text) or await self._post(text)
        if not self._any_posted:
            self._any_posted = True
            await self._posted(message.ts)
        return message

    async def _start_stream(self, text: str) -> Message | None:
        """The streaming message, or None where Slack refuses it, whyever: then posting will tell."""
        if not self._streaming.allowed(self._asked.thread):
            return None
        try:
            return await Streamed.start(self._clients, self._asked, text)
        except SlackApiError as error:
            self._streaming.refused(self._asked.thread, error_code(error))
            return None
        except CallFailed as error:  # it may have been posted, so it must not be posted again
            raise PlatformError(error_code(error), "chat.startStream") from None

    async def _post(self, text: str) -> Message:
        try:
            message = await Edited.post(self._clients, self._asked, text)
        except CallFailed as error:
            raise PlatformError(error_code(error), "chat.postMessage") from None
        self._any_edited = True
        return message

    async def _grow(self, text: str) -> None:
        if self._message is None:
            if text.strip():
                self._message = await self._open(text)
            return
        try:
            await self._message.grow(text)
        except CallFailed as error:
            self._asked_to_wait_s = retry_after_seconds(error)
            self._news.set()  # what was not shown is still to be shown
            if isinstance(self._message, Streamed) and not self._asked_to_wait_s:
                self._message = await self._message.break_off()

    async def _finish(self, message: Message, text: str) -> None:
        try:
            await message.finish(text)
        except CallFailed as error:
            if not isinstance(message, Streamed):
                raise PlatformError(error_code(error), "chat.update") from None
            self._message = await message.break_off()
            await self._finish(self._message, text)

    async def _rest(self) -> None:
        """Leave time between two calls, unless the text is whole."""
        if self._message is None:
            return
        seconds, self._asked_to_wait_s = max(self._pace.seconds(self._message), self._asked_to_wait_s), 0.0
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._whole.wait()

    async def _end_status(self) -> None:
        if not self._any_posted:
            await self._status.clear(self._asked.thread)
        elif self._any_edited:
            await self._status.after_post(self._asked.thread)
