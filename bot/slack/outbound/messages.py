"""One message of ours in Slack that grows: streamed, or posted and then edited.

Rule: `grow` and `finish` take the message's whole text, of which what was given before is the beginning. Whatever calls
Slack raises CallError.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain.events import Thread
from bot.errors import PlatformUnavailable
from bot.slack.errors import CallError, RefusedError
from bot.slack.rate_limiter import RateLimiter
from bot.turns.adapter import Asked

T = TypeVar("T")

PATIENCE_S = 300.0  # what has to be shown may wait so long: a stream does not live longer
STREAM_S = 270.0  # Slack ends a stream after about five minutes, whatever is appended

_START_S = 2.0  # posting is the quicker way then
_BREAK_OFF_S = 2.0
_STILL_STREAMS = frozenset({"streaming_state_conflict", "cant_delete_message"})


@dataclass(frozen=True, slots=True)
class Slack:
    """One workspace's Web API, and when it may be called."""

    client: AsyncWebClient  # repeats nothing by itself
    limiter: RateLimiter
    is_ours: Callable[[], bool] = lambda: True  # asked right before whatever is written

    async def write(self, method: str, send: Callable[[], Awaitable[T]], **how: Any) -> T:
        """Have the limiter send this: see Limiter.call. Raises PlatformUnavailable where it is not ours to write."""

        def ours() -> Awaitable[T]:
            if not self.is_ours():
                raise PlatformUnavailable("the turn may be another worker's by now")
            return send()

        return await self.limiter.call(method, ours, **how)


async def say(slack: Slack, thread: Thread, text: Callable[[], str], *, wait_s: float) -> str:
    """Post a message, with its text asked for when it is sent; its ts. Slack unfurls nothing in it."""

    async def send() -> AsyncSlackResponse:
        return await slack.client.chat_postMessage(
            channel=thread.channel,
            thread_ts=thread.root,
            markdown_text=text(),
            unfurl_links=False,
            unfurl_media=False,
        )

    posted = await slack.write("chat.postMessage", send, channel=thread.channel, wait_s=wait_s)
    return str(posted["ts"])


class StreamedMessage:
    """A message that streams: https://docs.slack.dev/reference/methods/chat.startStream. Slack unfurls nothing in it.

    When it expires, or breaks, `break_off` tells how to go on. `grows_by` and `ends_by` are the methods that it takes.
    """

    grows_by, ends_by = "chat.appendStream", "chat.stopStream"

    def __init__(self, slack: Slack, channel: str, ts: str, shown: str, expires_at: float) -> None:
        self.ts = ts
        self.expires_at = expires_at
        self._slack = slack
        self._channel = channel
        self._shown = shown

    @classmethod
    async def start(cls, slack: Slack, asked: Asked, text: Callable[[], str]) -> Self:
        """Post the message with its first text, asked for when it is sent. In channels Slack wants a recipient."""
        shown, expires_at = "", math.inf

        async def send() -> AsyncSlackResponse:
            nonlocal shown, expires_at
            shown, expires_at = text(), slack.limiter.clock.now() + STREAM_S
            return await slack.client.chat_startStream(
                channel=asked.thread.channel,
                thread_ts=asked.thread.root,
                recipient_user_id=asked.author.id,
                recipient_team_id=asked.author.workspace,
                markdown_text=shown,
            )

        started = await slack.write("chat.startStream", send, wait_s=_START_S)
        return cls(slack, asked.thread.channel, started["ts"], shown, expires_at)

    def shows(self, text: str) -> bool:
        """Whether nothing is to be appended: Slack takes no blank text."""
        return not text[len(self._shown) :].strip()

    async def grow(self, text: str) -> None:
        """Append what is new, without waiting. A failure may be made up for by the next call."""
        await self._call(self.grows_by, self._slack.client.chat_appendStream, text[len(self._shown) :])
        self._shown = text

    async def finish(self, text: str) -> None:
        """Append what is new, and end the stream."""
        last = None if self.shows(text) else text[len(self._shown) :]
        await self._call(self.ends_by, self._slack.client.chat_stopStream, last, wait_s=PATIENCE_S)

    async def break_off(self) -> EditedMessage:
        """End the stream if it has not ended; the message can be edited from here on."""
        with suppress(CallError, PlatformUnavailable, TimeoutError):
            async with asyncio.timeout(_BREAK_OFF_S):
                await self._call(self.ends_by, self._slack.client.chat_stopStream, None, wait_s=_BREAK_OFF_S)
        return EditedMessage(self._slack, self._channel, self.ts)

    async def _call(
        self, name: str, method: Callable[..., Awaitable[AsyncSlackResponse]], text: str | None, wait_s: float = 0.0
    ) -> None:
        def send() -> Awaitable[AsyncSlackResponse]:
            return method(channel=self._channel, ts=self.ts, markdown_text=text)

        await self._slack.write(name, send, wait_s=wait_s)


class EditedMessage:
    """A message that is posted and then edited: https://docs.slack.dev/reference/methods/chat.update.

    Slack edits and deletes no message that streams: streaming_state_conflict. Such a stream is ended first.
    """

    grows_by = ends_by = "chat.update"

    def __init__(
        self, slack: Slack, channel: str, ts: str, shown: str | None = None, *, left_over: bool = False
    ) -> None:
        """`shown` is None when it is not known what stands there. `left_over`: another attempt's, so it may be gone."""
        self.ts = ts
        self.left_over = left_over
        self._slack = slack
        self._channel = channel
        self._shown = shown

    @classmethod
    async def post(cls, slack: Slack, asked: Asked, text: Callable[[], str]) -> Self:
        """Post the message with its first text, asked for when it is sent."""
        shown = ""

        def to_show() -> str:
            nonlocal shown
            shown = text()
            return shown

        ts = await say(slack, asked.thread, to_show, wait_s=PATIENCE_S)
        return cls(slack, asked.thread.channel, ts, shown)

    def shows(self, text: str) -> bool:
        """Whether that is its text."""
        return text == self._shown

    async def grow(self, text: str) -> None:
        """Set the text, if it is another, without waiting. A failure may be made up for by the next call."""
        await self._set(text, wait_s=0.0)

    async def finish(self, text: str) -> None:
        """Set the text for the last time; insist."""
        await self._set(text, wait_s=PATIENCE_S)

    async def remove(self) -> None:
        """Take the message away, if it is still there."""

        def send() -> Awaitable[AsyncSlackResponse]:
            return self._slack.client.chat_delete(channel=self._channel, ts=self.ts)

        try:
            await self._call_when_it_stands_still("chat.delete", send, wait_s=PATIENCE_S)
        except RefusedError as refusal:
            if refusal.code != "message_not_found":
                raise

    async def _set(self, text: str, wait_s: float) -> None:
        def send() -> Awaitable[AsyncSlackResponse]:
            return self._slack.client.chat_update(channel=self._channel, ts=self.ts, markdown_text=text)

        if text != self._shown:
            await self._call_when_it_stands_still("chat.update", send, wait_s)
            self._shown = text

    async def _call_when_it_stands_still(
        self, method: str, send: Callable[[], Awaitable[AsyncSlackResponse]], wait_s: float
    ) -> None:
        call = self._slack.write
        try:
            await call(method, send, wait_s=wait_s, idempotent=True)
        except RefusedError as refusal:
            if refusal.code not in _STILL_STREAMS:
                raise
            await self._stop_stream(wait_s)
            await call(method, send, wait_s=wait_s, idempotent=True)

    async def _stop_stream(self, wait_s: float) -> None:
        def send() -> Awaitable[AsyncSlackResponse]:
            return self._slack.client.chat_stopStream(channel=self._channel, ts=self.ts)

        with suppress(RefusedError):  # then it has ended by itself
            await self._slack.write("chat.stopStream", send, wait_s=wait_s, idempotent=True)


Message = StreamedMessage | EditedMessage
