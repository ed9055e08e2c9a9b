"""One of the bot's messages in Slack that streams.

Rule: `grow` and `finish` take the message's whole text, which begins with the text of the call before. Every method
that calls Slack raises CallError. A message that Slack returns without its text raises TextNotShownError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.errors import PlatformUnavailable
from bot.slack.errors import CallError, RefusedError, UnconfirmedError
from bot.slack.outbound.edited_message import EditedMessage
from bot.slack.outbound.messages import LONGEST_WAIT_S, Slack, TextNotShownError
from bot.turns.adapter import AnswerTarget

STREAM_S = 270.0  # Slack ends a stream after about five minutes, even while text is appended
CANNOT_END = "user_not_found"  # of chat.stopStream: the recipient is gone

_START_S = 2.0  # longest wait to start a stream: after that, posting is quicker
_BREAK_OFF_S = 2.0
_PROLONGED_S = 60.0  # after which Slack has ended a stream that the bot cannot end
_ENDED = "message_not_in_streaming_state"


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
        self._has_ended = self._end_was_read = self._cannot_end = False

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
        shown = stands if self._end_was_read else None  # else an edit shows the text for sure: Slack may have cut it
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
        self._end_was_read = self._has_ended

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


Message = StreamedMessage | EditedMessage
