"""The form in which a message's text is sent: a markdown block, or `markdown_text` where Slack refuses the block.

Slack shows tables in a markdown block, and raw pipes in `markdown_text`. An update with blocks shows no "(edited)". An
update with `markdown_text` may empty a message that was streamed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from bot.slack.behaviour import UNKNOWN, SlackBehaviour
from bot.slack.errors import RefusedError
from bot.slack.text import read_back
from bot.slack.text.markdown_blocks import fallback_text, markdown_blocks
from bot.slack.text.message_splitter import MESSAGE_BYTES

T = TypeVar("T")

log = logging.getLogger(__name__)

_SHARE = 0.85  # of the measured length of a stream
_LEAST_BYTES = 1_000
_BLOCK_REFUSALS = frozenset({"invalid_blocks", "invalid_blocks_format"})


class MessageForm:
    """Which form this Slack takes, as it was measured, and learned from its responses."""

    def __init__(self, measured: SlackBehaviour = UNKNOWN) -> None:
        refuses = measured.markdown_blocks in _BLOCK_REFUSALS
        self._takes_blocks = False if refuses else None  # None until Slack has taken or refused one
        self._reads_back = measured.responses != "without_text"
        self._empties = measured.streamed_update == "emptied"
        self.most_bytes = _most_bytes(measured.stream_bytes)  # of the text of a message

    @property
    def empties_streams(self) -> bool:
        """Whether an edit would empty a message that was streamed, as it was measured."""
        return self._empties and self._takes_blocks is False

    async def send(self, call: Callable[[Callable[[str], dict[str, Any]]], Awaitable[T]]) -> T:
        """Send a call with its text in a markdown block. If Slack refuses the block, send it with `markdown_text`.

        `call` gets the function that converts a text to arguments. Raises CallError.
        """
        if self._takes_blocks is False:
            return await call(_as_markdown_text)
        try:
            result = await call(_as_blocks)
        except RefusedError as refusal:
            if refusal.code not in _BLOCK_REFUSALS:
                raise
            self._takes_blocks = self._takes_blocks or False  # a single text may be refused, too
            log.warning("markdown_block_refused", extra={"error": str(refusal), "for_good": not self._takes_blocks})
            return await call(_as_markdown_text)
        self._takes_blocks = True
        return result

    def shows(self, message: Any, text: str) -> bool:
        """Return whether the message of a response shows this text."""
        return not self._reads_back or read_back.holds(message, text)

    def distrust(self) -> None:
        """Compare no message with its text any more, because Slack returns it in a form that cannot be compared."""
        self._reads_back = False
        log.warning("message_not_comparable")


def _most_bytes(stream_bytes: int | None) -> int:
    """Return how long a message may be, with room below the length at which Slack ends a stream."""
    if stream_bytes is None:
        return MESSAGE_BYTES
    return max(_LEAST_BYTES, min(MESSAGE_BYTES, int(stream_bytes * _SHARE)))


def _as_blocks(text: str) -> dict[str, Any]:
    return {"blocks": markdown_blocks(text), "text": fallback_text(text)}


def _as_markdown_text(text: str) -> dict[str, Any]:
    return {"markdown_text": text}
