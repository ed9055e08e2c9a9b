"""The messages that hold one answer, one after the other.

Rule: where streaming is refused, expires, or breaks, the same message is edited. The messages that an
earlier attempt left in the thread are written into before a new one is posted. open_message.py has the other rules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from bot.slack.errors import CallError, RefusedError, ThrottledError, UnconfirmedError
from bot.slack.outbound.edited_message import EditedMessage
from bot.slack.outbound.messages import Slack
from bot.slack.outbound.open_message import OpenMessage
from bot.slack.outbound.orphaned_messages import OrphanedMessages
from bot.slack.outbound.streamed_message import Message, StreamedMessage
from bot.slack.outbound.streaming_policy import StreamingPolicy
from bot.slack.text import message_splitter
from bot.turns.adapter import AnswerTarget

_TOO_LONG = frozenset({"msg_too_long", "msg_blocks_too_long"})
_MIN_BYTES = 1_000  # of a message that Slack calls too long: it is not split any further

Text = Callable[[], str]  # called when the text is sent, because it grows while the call waits


class AnswerMessages:
    """Opens, grows and completes the messages of one answer. Each method that calls Slack raises CallError."""

    def __init__(
        self, slack: Slack, streaming: StreamingPolicy, orphans: OrphanedMessages, target: AnswerTarget
    ) -> None:
        self.any_made = self.any_posted = False
        self.limit = slack.form.most_bytes  # for the text of one message
        self._slack = slack
        self._streaming = streaming
        self._orphans = orphans
        self._target = target
        self._open = OpenMessage(slack, orphans)

    async def open(self, text: Text, *, must: bool) -> None:
        """Take an orphaned message, or make one, if none is open. Without `must` only if Slack has time for its end."""
        if self._open.message is None and (must or not self._open.edits_refused):
            await self._take_or_make(text, must=must)
        if self._open.message is not None:
            await self._open.delete_replaced()

    async def _take_or_make(self, text: Text, *, must: bool) -> None:
        if (orphan := await self._orphans.next()) is not None:
            self._open.hold(orphan)
            return
        limiter, thread = self._slack.limiter, self._target.thread
        may_stream = self._streaming.allowed(thread) and not self._open.edits_refused
        if may_stream and limiter.can_reserve(StreamedMessage.ends_by):
            await self._start_stream(text)
        if self._open.message is None and (must or limiter.can_reserve(EditedMessage.ends_by)):
            self._open.reserve(EditedMessage.ends_by)
            await self._make(EditedMessage.post, text)
            self.any_posted = True

    def may_grow(self, text: str) -> bool:
        """Return whether a message is open that does not show this text yet."""
        message = self._open.message
        return message is not None and not self._open.stopped and not message.shows(text)

    async def wait_to_grow(self) -> None:
        """Wait until Slack's limits let the open message grow."""
        if self._open.message is not None:
            await self._slack.limiter.wait_for_partial_update(self._open.message.grows_by)

    async def grow(self, text: str) -> bool:
        """Show the text so far in the open message; False when Slack did not take it, and the next call may."""
        if (message := self._open.message) is None:
            return False
        try:
            await message.grow(text)
        except CallError as failure:
            if not isinstance(failure, ThrottledError) and not _is_too_long(message, failure):
                await self._open.fall_back(message, text, failure, ends=False)
            return False
        return True

    async def complete(self, text: str) -> bool:
        """End the open message with this text, opening one first when there is none.

        Return False when it cannot hold all of the text. Then the caller splits what `rest_of` returns at `limit`, and
        completes the first piece of it.
        """
        try:
            while (self._open.message is not None or text.strip()) and not self._open.standing:
                if self._open.message is None:
                    await self.open(lambda: text, must=True)
                elif await self._is_finished(self._open.message, text):
                    break
        except RefusedError as refusal:
            if refusal.code not in _TOO_LONG or self.limit // 2 < _MIN_BYTES:
                raise
            self.limit //= 2
            return False
        if self._open.standing:
            return False
        await self._open.close()
        return True

    def rest_of(self, text: str) -> str:
        """Return the text without its beginning that stands in a message which takes no more, and forget that one."""
        standing, self._open.standing = self._open.standing, 0
        return message_splitter.rest_after(text, standing) if standing else text

    def until_expiry(self) -> AbstractAsyncContextManager[object]:
        """See OpenMessage."""
        return self._open.until_expiry()

    async def replace_expired(self) -> None:
        """See OpenMessage."""
        await self._open.replace_expired()

    async def release(self) -> None:
        """See OpenMessage."""
        await self._open.release()

    async def _is_finished(self, message: Message, text: str) -> bool:
        try:
            await message.finish(text)
        except CallError as failure:
            if self._open.stands_whole(message, text, failure):
                return True
            if _is_too_long(message, failure) or not await self._open.fall_back(message, text, failure, ends=True):
                raise
            return False
        return True

    async def _start_stream(self, text: Text) -> None:
        """Start a stream. If Slack refuses to stream, nothing is open, and the caller posts."""
        self._open.reserve(StreamedMessage.ends_by)
        try:
            await self._make(StreamedMessage.start, text)
        except RefusedError as refusal:
            self._streaming.refused(self._target.thread, refusal.code)
        except ThrottledError:
            pass
        except UnconfirmedError as failure:
            if not failure.answered:
                raise
        if self._open.message is None:
            self._open.reserve(None)

    async def _make(self, make: Callable[[Slack, AnswerTarget, Text], Awaitable[Message]], text: Text) -> None:
        """Post a message, or find it in the thread when Slack did not confirm it."""
        try:
            self._open.hold(await make(self._slack, self._target, text))
        except UnconfirmedError as failure:
            if not failure.sent or not await self._orphans.search():
                raise
            self._open.hold(self._orphans.take())
        self.any_made = True
        if self._open.message is not None:
            await self._orphans.note(self._open.message.ts)


def _is_too_long(message: Message, failure: CallError) -> bool:
    """Return whether a shorter text is needed. A stream that is too long goes on as an edited message."""
    return isinstance(message, EditedMessage) and failure.code in _TOO_LONG
