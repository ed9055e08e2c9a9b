"""The message of an answer that grows, and how the answer goes on when Slack refuses or loses its text.

Rule: no word is lost, and none stands twice. A stream goes on as an edited message. If an edit is refused, the missing
text goes into the next message. If Slack lost the text, or may show more than it confirmed, the next message gets all
of the text, and the old message is deleted.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from bot.slack.errors import CallError, RefusedError
from bot.slack.outbound.edited_message import EditedMessage
from bot.slack.outbound.messages import Slack, TextNotShownError
from bot.slack.outbound.orphaned_messages import OrphanedMessages
from bot.slack.outbound.streamed_message import CANNOT_END, Message, StreamedMessage
from bot.slack.text import message_splitter

_CANNOT_POST = frozenset(  # errors of chat.update after which Slack would refuse a new message, too
    {
        "account_inactive",
        "channel_not_found",
        "invalid_auth",
        "is_archived",
        "missing_scope",
        "not_authed",
        "not_in_channel",
        "token_expired",
        "token_revoked",
    }
)


class OpenMessage:
    """The open message, if there is one, with the call that is reserved for its end."""

    def __init__(self, slack: Slack, orphans: OrphanedMessages) -> None:
        self.message: Message | None = None
        self.standing = 0  # characters of the text that stand in a message which takes no more
        self.stopped = False  # a person stopped the stream in Slack: it grows no more, and the end comes soon
        self.edits_refused = False  # a message that does not stream cannot grow
        self._slack = slack
        self._orphans = orphans
        self._finishing_call: str | None = None  # the method that will finish it, as the limiter counts it
        self._replaced: list[EditedMessage] = []  # to be deleted as soon as another message is open
        self._is_replacement = False  # the open message takes the place of another, or the next one will

    def hold(self, message: Message | None) -> None:
        """Take this message as the open one."""
        self.message = message
        self.reserve(message.ends_by if message else None)

    def reserve(self, method: str | None) -> None:
        """Reserve with the limiter the call that will finish the open message."""
        if self._finishing_call:
            self._slack.limiter.release(self._finishing_call)
        if method:
            self._slack.limiter.reserve(method)
        self._finishing_call = method

    def until_expiry(self) -> AbstractAsyncContextManager[object]:
        """Return a timeout for the moment at which Slack ends the open stream; without a stream there is none."""
        time, left_s = self._slack.limiter.clock, None
        if isinstance(self.message, StreamedMessage):
            left_s = self.message.expires_at - time.now()
        return time.timeout(left_s)

    async def replace_expired(self) -> None:
        """Go on by edits when the open stream has expired."""
        message = self.message
        if isinstance(message, StreamedMessage) and self._slack.limiter.clock.now() >= message.expires_at:
            self.hold(await message.break_off())

    async def fall_back(self, message: Message, text: str, failure: CallError, *, ends: bool) -> bool:
        """Go on with this message in another way, or with another message; False when there is no other way.

        `ends`: the message's text ends here. Otherwise its last word may not be complete.
        """
        if isinstance(message, StreamedMessage):
            self.stopped = self.stopped or failure.code == "stopped_by_user"
            if failure.code == CANNOT_END:
                self._leave(len(message.confirmed))
            else:
                self.hold(await message.break_off())
        elif isinstance(failure, TextNotShownError):
            self._repair(message)
        elif message.orphaned and isinstance(failure, RefusedError):
            await self._orphans.remove(message)
            self.hold(None)
        elif isinstance(failure, RefusedError) and failure.code not in _CANNOT_POST:
            self._go_on_below(message, text, ends=ends)
        else:
            return False
        return True

    def stands_whole(self, message: Message, text: str, failure: CallError) -> bool:
        """Return whether an edit was refused that would have changed nothing: the message has all of the text."""
        is_whole = isinstance(message, EditedMessage) and message.stands == text and isinstance(failure, RefusedError)
        self.edits_refused = self.edits_refused or is_whole
        return is_whole

    async def delete_replaced(self) -> None:
        """Delete the messages whose place another message has taken. May raise StoreUnavailable."""
        while self._replaced:
            await self._orphans.remove(self._replaced.pop())

    async def close(self) -> None:
        """Close the open message, which is whole."""
        await self.delete_replaced()
        self.hold(None)
        self._is_replacement = False

    async def release(self) -> None:
        """Leave no message behind that Slack shows as streaming for minutes."""
        if isinstance(self.message, StreamedMessage):
            await self.message.break_off()
        self.hold(None)
        self._replaced, self._is_replacement, self.standing = [], False, 0

    def _repair(self, message: EditedMessage) -> None:
        """Replace the message. If it was posted as a replacement itself, Slack's messages cannot be compared."""
        if self._is_replacement and message.posted:
            self._slack.form.distrust()
        else:
            self._replace(message)

    def _go_on_below(self, message: EditedMessage, text: str, *, ends: bool) -> None:
        """Leave the message as it stands. If that would divide a word, replace it."""
        self.edits_refused = True
        standing = message.stands
        continued = text if ends else f"{text}x"  # the next letter may continue the last word
        if standing is None or not text.startswith(standing) or message_splitter.divides(continued, len(standing)):
            self._replace(message)
        else:
            self._leave(len(standing))

    def _leave(self, standing: int) -> None:
        self.standing = standing
        self.hold(None)

    def _replace(self, message: EditedMessage) -> None:
        self._replaced.append(message)
        self._is_replacement = True
        self.hold(None)
