"""One of the bot's messages in Slack while it grows: streamed, or posted and then edited.

Rule: `grow` and `finish` take the message's whole text, which begins with the text of the call before. Every method
that calls Slack raises CallError. A message that Slack returns without its text raises TextNotShownError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain.events import Thread
from bot.errors import PlatformUnavailable
from bot.slack.errors import CallError, RefusedError, UnconfirmedError
from bot.slack.outbound.message_form import MessageForm
from bot.slack.rate_limiter import RateLimiter
from bot.turns.adapter import AnswerTarget

T = TypeVar("T")

LONGEST_WAIT_S = 300.0  # for the rate limit, where a text must be shown: a stream does not live longer
STREAM_S = 270.0  # Slack ends a stream after about five minutes, even while text is appended

_START_S = 2.0  # longest wait to start a stream: after that, posting is quicker
_BREAK_OFF_S = 2.0
CANNOT_END = "user_not_found"  # of chat.stopStream: the recipient is gone
_PROLONGED_S = 60.0  # after which Slack has ended it
_ENDED = "message_not_in_streaming_state"
_STREAMING_ERRORS = frozenset({"streaming_state_conflict", "cant_delete_message"})


class TextNotShownError(CallError):
    """Slack took a text, but the message in its response does not show it."""


@dataclass(frozen=True, slots=True)
class Slack:
    """One workspace's Web API, with its rate limits."""

    client: AsyncWebClient  # repeats nothing by itself
    limiter: RateLimiter
    is_ours: Callable[[], Awaitable[bool]] | None = None  # asked before each write; see adapter.Ledger
    form: MessageForm = field(default_factory=MessageForm)

    async def write(self, method: str, send: Callable[[], Awaitable[T]], **how: Any) -> T:
        """Send a call that writes, by RateLimiter.call. Raises PlatformUnavailable when the turn may be another's."""

        async def send_if_ours() -> T:
            if self.is_ours is not None and not await self.is_ours():
                raise PlatformUnavailable("the turn may be another worker's by now")
            return await send()

        return await self.limiter.call(method, send_if_ours, **how)


Posted = tuple[AsyncSlackResponse, str]  # the response, and the text that was sent


async def say(slack: Slack, thread: Thread, text: Callable[[], str], *, wait_s: float) -> Posted:
    """Post a message. `text` is called when it is sent. Slack unfurls nothing in it."""

    async def post(arguments: Callable[[str], dict[str, Any]]) -> Posted:
        async def send() -> Posted:
            shown = text()
            posted = await slack.client.chat_postMessage(
                channel=thread.channel,
                thread_ts=thread.root,
                unfurl_links=False,
                unfurl_media=False,
                **arguments(shown),
            )
            return posted, shown

        return await slack.write("chat.postMessage", send, channel=thread.channel, wait_s=wait_s)

    return await slack.form.send(post)


class StreamedMessage:
    """A message that streams: https://docs.slack.dev/reference/methods/chat.startStream. Slack unfurls nothing in it.

    When it expires or breaks, `break_off` returns the message to edit instead. `grows_by` and `ends_by` name the Web
    API methods that it calls.
    """

    grows_by, ends_by = "chat.appendStream", "chat.stopStream"
    orphaned = False

    def __init__(self, slack: Slack, channel: str, ts: str, shown: str, expires_at: float) -> None:
        self.ts = ts
        self.expires_at = expires_at
        self._slack = slack
        self._channel = channel
        self._shown = shown
        self._unconfirmed: str | None = None  # a text that may be shown: Slack's response was lost
        self._has_ended = self._cannot_end = False

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

    @property
    def confirmed(self) -> str:
        """The text that Slack has confirmed. It may show more."""
        return self._shown

    def shows(self, text: str) -> bool:
        """Return whether there is nothing to append: Slack refuses blank text."""
        return not text[len(self._shown) :].strip()

    async def grow(self, text: str) -> None:
        """Append the new text, without waiting. After a failure the next call appends it."""
        response = await self._send(self.grows_by, self._slack.client.chat_appendStream, text)
        self._shown = text
        self._check(response, self.grows_by)

    async def finish(self, text: str) -> None:
        """Append the new text, and end the stream. If Slack cannot end it, it ends by its age."""
        new = None if self.shows(text) else text
        try:
            response = await self._send(self.ends_by, self._slack.client.chat_stopStream, new, LONGEST_WAIT_S)
        except RefusedError as refusal:
            if refusal.code != CANNOT_END:
                raise
            await self._append_last(new, refusal)
            return
        self._has_ended = True
        self._shown = new or self._shown
        self._check(response, self.ends_by)

    async def _append_last(self, text: str | None, refusal: RefusedError) -> None:
        try:
            if text:
                await self._send(self.grows_by, self._slack.client.chat_appendStream, text, LONGEST_WAIT_S)
        except CallError:
            raise refusal from None

    async def break_off(self) -> Self | EditedMessage:
        """End the stream if it has not ended, and return the message to edit from here on.

        If Slack cannot end the stream, this message is returned. It goes on as a stream, until Slack ends it.
        """
        with suppress(CallError, PlatformUnavailable, TimeoutError):
            async with asyncio.timeout(_BREAK_OFF_S):
                await self._end()
        if self._cannot_end:
            self.expires_at += _PROLONGED_S
            return self
        stands = self._shown if self._unconfirmed is None else None
        shown = stands if self._has_ended else None
        return EditedMessage(self._slack, self._channel, self.ts, shown, stands=stands)

    async def _end(self) -> None:
        if self._has_ended:
            return
        try:
            response = await self._send(self.ends_by, self._slack.client.chat_stopStream, None, _BREAK_OFF_S)
        except RefusedError as refusal:
            self._has_ended, self._cannot_end = refusal.code == _ENDED, refusal.code == CANNOT_END
            return
        self._has_ended = True
        self._check(response, self.ends_by)

    def _check(self, response: AsyncSlackResponse, method: str) -> None:
        """Raise TextNotShownError when the response has the message, but not its text: Slack cuts a long stream."""
        if not self._slack.form.shows(response.get("message"), self._shown):
            self._unconfirmed = self._shown
            raise TextNotShownError(method, "text_not_shown")

    async def _send(
        self, name: str, method: Callable[..., Awaitable[AsyncSlackResponse]], text: str | None, wait_s: float = 0.0
    ) -> AsyncSlackResponse:
        new = text[len(self._shown) :] if text else None

        def send() -> Awaitable[AsyncSlackResponse]:
            return method(channel=self._channel, ts=self.ts, markdown_text=new)

        try:
            return await self._slack.write(name, send, wait_s=wait_s)
        except UnconfirmedError:
            self._unconfirmed = text or self._unconfirmed
            raise


class EditedMessage:
    """A message that is posted and then edited: https://docs.slack.dev/reference/methods/chat.update.

    Slack neither edits nor deletes a message that streams (streaming_state_conflict), so the stream is ended first.
    """

    grows_by = ends_by = "chat.update"

    def __init__(
        self,
        slack: Slack,
        channel: str,
        ts: str,
        shown: str | None = None,
        *,
        stands: str | None = None,
        orphaned: bool = False,
        posted: bool = False,
    ) -> None:
        """`shown` is None when its text is not known, or when it may still stream.

        `stands` is the text that it shows in any case. `orphaned`: an earlier attempt posted it, so it may be gone.
        `posted`: this attempt posted it, so it never streamed.
        """
        self.ts = ts
        self.orphaned = orphaned
        self.posted = posted
        self.stands = shown if stands is None else stands
        self._slack = slack
        self._channel = channel
        self._shown = shown

    @classmethod
    async def post(cls, slack: Slack, target: AnswerTarget, text: Callable[[], str]) -> Self:
        """Post the message. `text` is called when it is sent."""
        posted, text_sent = await say(slack, target.thread, text, wait_s=LONGEST_WAIT_S)
        shown = text_sent if slack.form.shows(posted.get("message"), text_sent) else None
        return cls(slack, target.thread.channel, str(posted["ts"]), shown, posted=True)

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
        async def update(arguments: Callable[[str], dict[str, Any]]) -> AsyncSlackResponse:
            def send() -> Awaitable[AsyncSlackResponse]:
                return self._slack.client.chat_update(channel=self._channel, ts=self.ts, **arguments(text))

            return await self._call_ending_its_stream("chat.update", send, wait_s)

        if text == self._shown:
            return
        try:
            response = await self._slack.form.send(update)
        except UnconfirmedError:
            self.stands = self._shown = None
            raise
        if not self._slack.form.shows(response.get("message"), text):
            self.stands = self._shown = None
            raise TextNotShownError("chat.update", "text_not_shown")
        self.stands = self._shown = text

    async def _call_ending_its_stream(
        self, method: str, send: Callable[[], Awaitable[AsyncSlackResponse]], wait_s: float
    ) -> AsyncSlackResponse:
        call = self._slack.write
        try:
            return await call(method, send, wait_s=wait_s, idempotent=True)
        except RefusedError as refusal:
            if refusal.code not in _STREAMING_ERRORS:
                raise
            await self._stop_stream(wait_s)
            return await call(method, send, wait_s=wait_s, idempotent=True)

    async def _stop_stream(self, wait_s: float) -> None:
        def send() -> Awaitable[AsyncSlackResponse]:
            return self._slack.client.chat_stopStream(channel=self._channel, ts=self.ts)

        with suppress(RefusedError):  # then it has ended by itself
            await self._slack.write("chat.stopStream", send, wait_s=wait_s, idempotent=True)


Message = StreamedMessage | EditedMessage
