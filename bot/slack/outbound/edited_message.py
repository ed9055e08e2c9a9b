"""One of the bot's messages in Slack that is posted, or was streamed, and is then edited.

Rule: `grow` and `finish` take the message's whole text. Every method that calls Slack raises CallError. A message that
Slack returns without its text raises TextNotShownError.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack.errors import RefusedError, UnconfirmedError
from bot.slack.outbound.messages import LONGEST_WAIT_S, Slack, TextNotShownError, say
from bot.turns.adapter import AnswerTarget

_STREAMING_ERRORS = frozenset({"streaming_state_conflict", "cant_delete_message"})


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
        if not self.posted and self._slack.form.empties_streams:
            raise TextNotShownError("chat.update", "would_be_emptied")
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
