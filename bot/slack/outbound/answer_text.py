"""The text of one answer on its way into messages: what the open message holds, and what follows it.

Rule: no text is lost, and none stands twice. Beyond some messages the rest is collected for a file, and the last
message stays open until the file stands below it.
"""

from __future__ import annotations

import asyncio

from bot.domain import long_answer_texts
from bot.domain.language import translated
from bot.slack.outbound.answer_file import AnswerFile
from bot.slack.outbound.answer_messages import AnswerMessages
from bot.slack.outbound.answer_status import AnswerStatus
from bot.slack.text import message_splitter

NOTE_BYTES = 1_000  # of a message, for the line about the file and other lines of the bot's own


class AnswerText:
    """The text of one answer. Each method that calls Slack raises CallError."""

    def __init__(self, messages: AnswerMessages, file: AnswerFile, status: AnswerStatus) -> None:
        self.room = asyncio.Event()  # a full message has left
        self._messages = messages
        self._file = file
        self._status = status
        self._text = ""  # of the message that grows, and of those that will follow it
        self._rest: list[str] | None = None  # of the file; None: nothing is collected
        self._count = 0  # of full messages
        self._may_collect = True
        self._drops_rest = False

    @property
    def waiting(self) -> int:
        """How many characters wait for their messages."""
        return len(self._text)

    def add(self, text: str) -> None:
        """Add text at the end."""
        if self._rest is None:
            self._text += text
        else:
            self._rest.append(text)

    @property
    def is_collected(self) -> bool:
        """Whether new text is collected, and not shown."""
        return self._rest is not None

    def drop_rest(self) -> None:
        """Upload nothing of what is collected."""
        self._drops_rest = True

    def start_over(self, text: str) -> None:
        """Take this text in place of all text."""
        self._text, self._rest, self._count = text, None, 0
        self.room.set()

    def so_far(self, *, is_whole: bool) -> str:
        """Return the text that surely stays in the growing message when the rest is split. `is_whole`: all is known."""
        limit = self._limit
        is_all = self.is_collected or (is_whole and message_splitter.fits(self._text, limit))
        return self._text if is_all else message_splitter.stable_start(self._text, limit)

    def leave_standing(self) -> None:
        """Drop the beginning that stands in a message which takes no more."""
        self._text = self._messages.rest_of(self._text)

    async def complete_full_messages(self) -> None:
        """Split the text into messages while it is too long for one. Complete all but the last one."""
        while not message_splitter.fits(self._text, self._limit):
            full = self._text
            piece, rest = message_splitter.split_once(full, self._limit)
            if self._is_last:
                self._text, self._rest = piece, [rest]
                self._status.note_rest()
                self.room.set()
            elif await self._messages.complete(piece):
                self._count += 1
                self._text = rest + self._text[len(full) :]  # more text may have come meanwhile
                self.room.set()
            else:
                self.leave_standing()

    async def complete(self, closing: str) -> None:
        """Complete the last message, with these lines of the bot's own below it, and upload the rest."""
        await self.complete_full_messages()
        if self._rest is not None and not self._drops_rest:
            await self._messages.open(lambda: self._text, must=True)  # the file stands below it
            if await self._file.upload("".join(self._rest)):
                self._text += f"\n\n{translated(long_answer_texts.REST_IN_FILE)}{closing}"
                await self._complete_last()
                return
            await self._complete_last()  # Slack takes no file
            self._text = "".join(self._rest)
        self._rest, self._may_collect = None, False
        self._text += closing
        await self.complete_full_messages()
        await self._complete_last()

    async def _complete_last(self) -> None:
        while not await self._messages.complete(self._text):
            self.leave_standing()
            await self.complete_full_messages()

    @property
    def _is_last(self) -> bool:
        """Whether the text that does not fit into the current message is collected."""
        return self._may_collect and self._rest is None and self._count + 1 == self._file.most_messages

    @property
    def _limit(self) -> int:
        """How many bytes of text the current message takes."""
        limit = self._messages.limit
        return max(limit - NOTE_BYTES, limit // 2) if self._is_last else limit
