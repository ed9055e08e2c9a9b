"""The messages that hold one answer, one after the other.

Rule: where streaming is refused, expires, or breaks, the same message is edited. The messages that an
earlier attempt left in the thread are written into before a new one is posted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from bot.slack.errors import CallError, RefusedError, ThrottledError, UnconfirmedError
from bot.slack.outbound.messages import EditedMessage, Message, Slack, StreamedMessage
from bot.slack.outbound.orphaned_messages import OrphanedMessages
from bot.slack.outbound.streaming_policy import StreamingPolicy
from bot.turns.adapter import AnswerTarget

Text = Callable[[], str]  # called when the text is sent, because it grows while the call waits


class AnswerMessages:
    """Opens, grows and completes the messages of one answer. Each method that calls Slack raises CallError."""

    def __init__(
        self, slack: Slack, streaming: StreamingPolicy, orphans: OrphanedMessages, target: AnswerTarget
    ) -> None:
        self.any_made = self.any_posted = False
        self._slack = slack
        self._streaming = streaming
        self._orphans = orphans
        self._target = target
        self._message: Message | None = None  # that grows
        self._finishing_call: str | None = None  # the method that will finish it, as the limiter counts it
        self._stopped = False  # a person stopped the stream in Slack: it grows no more, and the end comes soon

    async def open(self, text: Text, *, must: bool) -> None:
        """Take an orphaned message, or make one, if none is open. Without `must` only if Slack has time for its end."""
        if self._message is not None:
            return
        if (orphan := await self._orphans.next()) is not None:
            self._hold(orphan)
            return
        limiter, thread = self._slack.limiter, self._target.thread
        if self._streaming.allowed(thread) and limiter.can_reserve(StreamedMessage.ends_by):
            await self._start_stream(text)
        if self._message is None and (must or limiter.can_reserve(EditedMessage.ends_by)):
            self._reserve(EditedMessage.ends_by)
            await self._make(EditedMessage.post, text)
            self.any_posted = True

    def may_grow(self, text: str) -> bool:
        """Return whether a message is open that does not show this text yet."""
        return self._message is not None and not self._stopped and not self._message.shows(text)

    async def wait_to_grow(self) -> None:
        """Wait until Slack's limits let the open message grow."""
        if self._message is not None:
            await self._slack.limiter.wait_for_partial_update(self._message.grows_by)

    async def grow(self, text: str) -> bool:
        """Show the text so far in the open message; False when Slack did not take it, and the next call may."""
        if (message := self._message) is None:
            return False
        try:
            await message.grow(text)
        except CallError as failure:
            if not isinstance(failure, ThrottledError):
                await self._fall_back(message, failure)
            return False
        return True

    async def complete(self, text: str) -> None:
        """End the open message with this text, opening one first when there is none."""
        while self._message is not None or text.strip():
            if self._message is None:
                await self.open(lambda: text, must=True)
            elif await self._is_finished(self._message, text):
                self._hold(None)
                return

    def until_expiry(self) -> AbstractAsyncContextManager[object]:
        """Return a timeout for the moment at which Slack ends the open stream; without a stream there is none."""
        time, left_s = self._slack.limiter.clock, None
        if isinstance(self._message, StreamedMessage):
            left_s = self._message.expires_at - time.now()
        return time.timeout(left_s)

    async def replace_expired(self) -> None:
        """Go on by edits when the open stream has expired."""
        message = self._message
        if isinstance(message, StreamedMessage) and self._slack.limiter.clock.now() >= message.expires_at:
            self._hold(await message.break_off())

    async def release(self) -> None:
        """Leave no message behind that Slack shows as streaming for minutes."""
        if isinstance(self._message, StreamedMessage):
            await self._message.break_off()
        self._hold(None)

    async def _is_finished(self, message: Message, text: str) -> bool:
        try:
            await message.finish(text)
        except CallError as failure:
            if not await self._fall_back(message, failure):
                raise
            return False
        return True

    async def _start_stream(self, text: Text) -> None:
        """Start a stream. If Slack refuses to stream, nothing is open, and the caller posts."""
        self._reserve(StreamedMessage.ends_by)
        try:
            await self._make(StreamedMessage.start, text)
        except RefusedError as refusal:
            self._streaming.refused(self._target.thread, refusal.code)
        except ThrottledError:
            pass
        except UnconfirmedError as failure:
            if not failure.answered:
                raise
        if self._message is None:
            self._reserve(None)

    async def _make(self, make: Callable[[Slack, AnswerTarget, Text], Awaitable[Message]], text: Text) -> None:
        """Post a message, or find it in the thread when Slack did not confirm it."""
        try:
            self._hold(await make(self._slack, self._target, text))
        except UnconfirmedError as failure:
            if not failure.sent or not await self._orphans.search():
                raise
            self._hold(self._orphans.take())
        self.any_made = True
        if self._message is not None:
            await self._orphans.note(self._message.ts)

    async def _fall_back(self, message: Message, failure: CallError) -> bool:
        """Go on with this message in another way, or with another message; False when there is no other way."""
        if isinstance(message, StreamedMessage):
            self._stopped = self._stopped or failure.code == "stopped_by_user"
            self._hold(await message.break_off())
        elif message.orphaned and isinstance(failure, RefusedError):
            await self._orphans.remove(message)
            self._hold(None)
        else:
            return False
        return True

    def _hold(self, message: Message | None) -> None:
        self._message = message
        self._reserve(message.ends_by if message else None)

    def _reserve(self, method: str | None) -> None:
        """Reserve with the limiter the call that will finish the open message."""
        if self._finishing_call:
            self._slack.limiter.release(self._finishing_call)
        if method:
            self._slack.limiter.reserve(method)
        self._finishing_call = method
