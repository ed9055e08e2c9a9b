"""The reply to a slash command, a button or a shortcut. Only the person who used it sees the reply."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from bot.domain import texts
from bot.domain.language import translated
from bot.errors import StoreUnavailable
from bot.slack.errors import failure_reason
from bot.slack.views.block_elements import Block

log = logging.getLogger(__name__)

ACK_DEADLINE_S = 2.4  # Slack waits three seconds, also for the person's language: https://docs.slack.dev/interactivity/handling-user-interaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EphemeralReply:
    """A text, or blocks with the text as their fallback. `follow_up` runs with the payload after the reply is sent.

    `is_over`: the button that was pressed has nothing more to do.
    """

    text: str
    blocks: tuple[Block, ...] = ()
    follow_up: Callable[[dict[str, Any]], Awaitable[None]] | None = None
    is_over: bool = False


async def within_ack_deadline(work: Awaitable[T]) -> T | EphemeralReply:
    """Return the result of the work, or an apology if the database fails or Slack would not wait any longer."""
    try:
        async with asyncio.timeout(ACK_DEADLINE_S):
            return await work
    except (StoreUnavailable, TimeoutError) as error:
        log.error("slack_interaction_failed", extra={"error": failure_reason(error)})  # noqa: TRY400 - expected
        return EphemeralReply(translated(texts.SOMETHING_BROKE))
