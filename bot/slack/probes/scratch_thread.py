"""The thread in which a measurement writes, and the removal of its messages.

Rule: at most MOST_MESSAGES messages, one a second, and the bot deletes them all in the end. A message whose call is
cancelled is deleted as well, because the call goes on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain.probe_texts import MEASURING
from bot.errors import StartupError
from bot.slack.behaviour import ALLOWED
from bot.slack.errors import CallError, RefusedError
from bot.slack.identity import BotIdentity
from bot.slack.message_fields import is_by_this_bot
from bot.slack.rate_limiter import RateLimiter

MOST_MESSAGES = 40

_SPACING_S = 1.1  # Slack takes one message a second in a channel: https://docs.slack.dev/apis/web-api/rate-limits
_WAIT_S = 10.0  # the longest wait for the rate limit
_READ_S = 10.0
_REMOVE_S = 30.0
_PAGE_SIZE = 200
_REMEDIES = {
    "channel_not_found": "Check the id, and invite the bot to the channel.",
    "is_archived": "Name a channel that is not archived.",
    "not_in_channel": "Invite the bot to the channel.",
}


class FullError(CallError):
    """The measurement may post no more messages."""


class ScratchThread:
    """A thread of the bot's own messages. Each method that calls Slack raises CallError."""

    def __init__(self, client: AsyncWebClient, limiter: RateLimiter, bot: BotIdentity, channel: str) -> None:
        """`client` retries nothing by itself."""
        self.channel = channel
        self.root = ""
        self.recipient: dict[str, str] = {}
        self.bot = bot
        self.clock = limiter.clock
        self._client = client
        self._limiter = limiter
        self._made: list[str] = []  # the ts of each message
        self._files: list[str] = []
        self._streaming: set[str] = set()
        self._count = 0
        self._next_at = -math.inf
        self._creating: set[asyncio.Task[AsyncSlackResponse]] = set()

    async def open(self) -> None:
        """Post the message above the thread. Raises StartupError, with the remedy, when Slack refuses it."""
        try:
            self.root = str((await self.post(text=MEASURING))["ts"])
        except CallError as failure:
            remedy = _REMEDIES.get(failure.code, "Look the error code up in Slack's documentation.")
            raise StartupError(f"Slack let the bot post nothing in {self.channel} ({failure.code}). {remedy}") from None

    async def post(self, **content: Any) -> AsyncSlackResponse:
        """Post a message in the thread."""
        arguments = {"thread_ts": self.root or None, "unfurl_links": False, "unfurl_media": False} | content
        return await self._create("chat.postMessage", **arguments)

    async def start_stream(self, text: str) -> str:
        """Start a stream in the thread, and return its ts."""
        arguments = {"thread_ts": self.root, "markdown_text": text, **self.recipient}
        return str((await self._create("chat.startStream", **arguments))["ts"])

    async def append(self, ts: str, text: str) -> AsyncSlackResponse:
        """Append text to a stream."""
        return await self.call("chat.appendStream", channel=self.channel, ts=ts, markdown_text=text)

    async def stop(self, ts: str, **content: Any) -> AsyncSlackResponse:
        """End a stream."""
        response = await self.call("chat.stopStream", channel=self.channel, ts=ts, **content)
        self._streaming.discard(ts)
        return response

    async def update(self, ts: str, **content: Any) -> AsyncSlackResponse:
        """Edit a message."""
        return await self.call("chat.update", channel=self.channel, ts=ts, **content)

    async def delete(self, ts: str) -> None:
        """Delete a message."""
        await self.call("chat.delete", channel=self.channel, ts=ts)
        self._made.remove(ts)

    async def upload(self, name: str, content: str) -> None:
        """Upload a file into the thread."""
        arguments = {"thread_ts": self.root, "filename": name, "content": content}
        await self._create("files.upload.v2", **arguments)

    async def call(self, method: str, **arguments: Any) -> AsyncSlackResponse:
        """Call a method of the Web API within the rate limits. The SDK names it with underscores."""
        send = partial(getattr(self._client, method.replace(".", "_")), **arguments)
        response: AsyncSlackResponse = await self._limiter.call(method, send, wait_s=_WAIT_S)
        return response

    async def read(self) -> list[dict[str, Any]]:
        """Return the messages that stand in the thread, as conversations.replies returns them."""
        try:
            async with self.clock.timeout(_READ_S):
                page = await self.call("conversations.replies", channel=self.channel, ts=self.root, limit=_PAGE_SIZE)
        except TimeoutError:
            raise CallError("conversations.replies", "timeout") from None
        return [message for message in page.get("messages") or [] if isinstance(message, dict)]

    async def remove_all(self) -> dict[str, str]:
        """Delete everything that was made. Return the messages that are left, each with the error code."""
        left: dict[str, str] = {}
        with suppress(TimeoutError):
            async with self.clock.timeout(_REMOVE_S):
                await asyncio.gather(*self._creating, return_exceptions=True)
                await self._remove(left)
        return dict.fromkeys(self._made, "timeout") | left

    async def _remove(self, left: dict[str, str]) -> None:
        for ts in list(self._streaming):
            with suppress(CallError):
                await self.stop(ts)
        for file in self._files:
            with suppress(CallError):
                await self.call("files.delete", file=file)
        found = await _own_messages(self) if self.root else []
        self._made = list(dict.fromkeys([*self._made, *found]))
        for ts in sorted(self._made, reverse=True):  # the root last: with replies it would leave a mark behind
            try:
                await self.delete(ts)
            except CallError as failure:
                if failure.code == "message_not_found":
                    self._made.remove(ts)
                else:
                    left[ts] = failure.code

    async def _create(self, method: str, **arguments: Any) -> AsyncSlackResponse:
        if self._count >= MOST_MESSAGES:
            raise FullError(method, "too_many_messages")
        self._count += 1
        await self.clock.pause(max(0.0, self._next_at - self.clock.now()))
        task = asyncio.ensure_future(self._make(method, arguments))
        self._creating.add(task)
        task.add_done_callback(self._creating.discard)
        return await asyncio.shield(task)

    async def _make(self, method: str, arguments: dict[str, Any]) -> AsyncSlackResponse:
        try:
            response = await self.call(method, channel=self.channel, **arguments)
        finally:
            self._next_at = self.clock.now() + _SPACING_S
        self._files += [str(file["id"]) for file in response.get("files") or []]
        if ts := response.get("ts"):
            self._made.append(str(ts))
            if method == "chat.startStream":
                self._streaming.add(str(ts))
        return response


async def _own_messages(thread: ScratchThread) -> list[str]:
    """Return the bot's messages in the thread, among them those whose ts no response named."""
    try:
        return [str(message["ts"]) for message in await thread.read() if is_by_this_bot(message, thread.bot)]
    except CallError:
        return []


async def outcome(call: Awaitable[object]) -> str:
    """Return ALLOWED, or the error code with which Slack refused the call. Raises any other CallError."""
    try:
        await call
    except RefusedError as refusal:
        return refusal.code
    return ALLOWED
