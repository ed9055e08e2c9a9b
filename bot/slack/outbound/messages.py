"""One of the bot's messages in Slack while it grows: streamed, or posted and then edited.

Rule: `grow` and `finish` take the message's whole text, which begins with the text of the call before. Every method
that calls Slack raises CallError.
"""

from __future__ import annotations

import asyncio
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
from bot.turns.adapter import AnswerTarget

T = TypeVar("T")

LONGEST_WAIT_S = 300.0  # for the rate limit, where a text must be shown: a stream does not live longer
STREAM_S = 270.0  # Slack ends a stream after about five minutes, even while text is appended

_START_S = 2.0  # longest wait to start a stream: after that, posting is quicker
_BREAK_OFF_S = 2.0
_STREAMING_ERRORS = frozenset({"streaming_state_conflict", "cant_delete_message"})


@dataclass(frozen=True, slots=True)
class Slack:
    """One workspace's Web API, with its rate limits."""

    client: AsyncWebClient  # repeats nothing by itself
    limiter: RateLimiter
    is_ours: Callable[[], Awaitable[bool]] | None = None  # asked before each write; see adapter.Ledger

    async def write(self, method: str, send: Callable[[], Awaitable[T]], **how: Any) -> T:
        """Send a call that writes, by RateLimiter.call. Raises PlatformUnavailable when the turn may be another's."""

        async def send_if_ours() -> T:
            if self.is_ours is not None and not await self.is_ours():
                raise PlatformUnavailable("the turn may be another worker's by now")
            return await send()

        return await self.limiter.call(method, send_if_ours, **how)


async def say(slack: Slack, thread: Thread, text: Callable[[], str], *, wait_s: float) -> tuple[str, str]:
    """Post a message; return its ts and its text. `text` is called when it is sent. Slack unfurls nothing in it."""

    async def send() -> tuple[str, str]:
        shown = text()
        posted = await slack.client.chat_postMessage(
            channel=thread.channel,
            thread_ts=thread.root or None,
            markdown_text=shown,
            unfurl_links=False,
            unfurl_media=False,
        )
        return str(posted["ts"]), shown

    return await slack.write("chat.postMessage", send, channel=thread.channel, wait_s=wait_s)


class StreamedMessage:
    """A message that streams: https://docs.slack.dev/reference/methods/chat.startStream. Slack unfurls nothing in it.

    When it expires or breaks, `break_off` returns the message to edit instead. `grows_by` and `ends_by` name the Web
    API methods that it calls.
    """

    grows_by, ends_by = "chat.appendStream", "chat.stopStream"

    def __init__(self, slack: Slack, channel: str, ts: str, shown: str, expires_at: float) -> None:
        self.ts = ts
        self.expires_at = expires_at
        self._slack = slack
        self._channel = channel
        self._shown = shown

    @classmethod
    async def start(cls, slack: Slack, target: AnswerTarget, text: Callable[[], str]) -> Self:
        """Start the stream. `text` is called when the first text is sent. In channels Slack requires a recipient."""

        async def send() -> Self:
            shown, expires_at = text(), slack.limiter.clock.now() + STREAM_S
            started = await slack.client.chat_startStream(
                channel=target.thread.channel,
                thread_ts=target.thread.root,
                recipient_user_id=target.author.id,
                recipient_team_id=target.author.workspace,
                markdown_text=shown,
            )
            return cls(slack, target.thread.channel, started["ts"], shown, expires_at)

        return await slack.write("chat.startStream", send, wait_s=_START_S)

    def shows(self, text: str) -> bool:
        """Return whether there is nothing to append: Slack refuses blank text."""
        return not text[len(self._shown) :].strip()

    async def grow(self, text: str) -> None:
        """Append the new text, without waiting. After a failure the next call appends it."""
        await self._call(self.grows_by, self._slack.client.chat_appendStream, text[len(self._shown) :])
        self._shown = text

    async def finish(self, text: str) -> None:
        """Append the new text, and end the stream."""
        last = None if self.shows(text) else text[len(self._shown) :]
        await self._call(self.ends_by, self._slack.client.chat_stopStream, last, wait_s=LONGEST_WAIT_S)

    async def break_off(self) -> EditedMessage:
        """End the stream if it has not ended, and return the message to edit from here on."""
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

    Slack neither edits nor deletes a message that streams (streaming_state_conflict), so the stream is ended first.
    """

    grows_by = ends_by = "chat.update"

    def __init__(
        self, slack: Slack, channel: str, ts: str, shown: str | None = None, *, orphaned: bool = False
    ) -> None:
        """`shown` is None when its text is not known. `orphaned`: an earlier attempt posted it, so it may be gone."""
        self.ts = ts
        self.orphaned = orphaned
        self._slack = slack
        self._channel = channel
        self._shown = shown

    @classmethod
    async def post(cls, slack: Slack, target: AnswerTarget, text: Callable[[], str]) -> Self:
        """Post the message. `text` is called when it is sent."""
        ts, shown = await say(slack, target.thread, text, wait_s=LONGEST_WAIT_S)
        return cls(slack, target.thread.channel, ts, shown)

    def shows(self, text: str) -> bool:
        """Return whether this is its text."""
        return text == self._shown

    async def grow(self, text: str) -> None:
        """Set the text if it is new, without waiting. After a failure the next call sets it."""
        await self._set(text, wait_s=0.0)

    async def finish(self, text: str) -> None:
        """Set the text for the last time, and wait for the rate limit as long as necessary."""
        await self._set(text, wait_s=LONGEST_WAIT_S)

    async def remove(self) -> None:
        """Delete the message, if it still exists."""

        def send() -> Awaitable[AsyncSlackResponse]:
            return self._slack.client.chat_delete(channel=self._channel, ts=self.ts)

        try:
            await self._call_ending_its_stream("chat.delete", send, wait_s=LONGEST_WAIT_S)
        except RefusedError as refusal:
            if refusal.code != "message_not_found":
                raise

    async def _set(self, text: str, wait_s: float) -> None:
        def send() -> Awaitable[AsyncSlackResponse]:
            return self._slack.client.chat_update(channel=self._channel, ts=self.ts, markdown_text=text)

        if text != self._shown:
            await self._call_ending_its_stream("chat.update", send, wait_s)
            self._shown = text

    async def _call_ending_its_stream(
        self, method: str, send: Callable[[], Awaitable[AsyncSlackResponse]], wait_s: float
    ) -> None:
        call = self._slack.write
        try:
            await call(method, send, wait_s=wait_s, idempotent=True)
        except RefusedError as refusal:
            if refusal.code not in _STREAMING_ERRORS:
                raise
            await self._stop_stream(wait_s)
            await call(method, send, wait_s=wait_s, idempotent=True)

    async def _stop_stream(self, wait_s: float) -> None:
        def send() -> Awaitable[AsyncSlackResponse]:
            return self._slack.client.chat_stopStream(channel=self._channel, ts=self.ts)

        with suppress(RefusedError):  # then it has ended by itself
            await self._slack.write("chat.stopStream", send, wait_s=wait_s, idempotent=True)


Message = StreamedMessage | EditedMessage
