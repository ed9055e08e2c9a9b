"""What was said in a thread before the bot was called into it, read in one call; of a very long thread, in a few.

Rule: best effort and never late: it takes three seconds at most, and nothing here raises. What Slack does not let us
read is not there. Facts: https://docs.slack.dev/reference/methods/conversations.replies
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain.events import Thread
from bot.prompt.thread_context import UNREADABLE, By, Earlier, ThreadContext
from bot.slack.errors import CallError
from bot.slack.identity import BotIdentity
from bot.slack.message_fields import TS, attachments, is_ours, words_of
from bot.slack.outbound.messages import Slack

log = logging.getLogger(__name__)

_PAGE, _PAGES = 1_000, 5  # messages, the most that Slack gives at once; it begins with the oldest
_WAIT_S = 3.0
_ID = re.compile(r"[A-Z0-9]{1,64}")
_SUBTYPES = (None, "bot_message", "file_share", "me_message", "thread_broadcast")


async def read(slack: Slack, bot: BotIdentity, thread: Thread, before: str) -> ThreadContext:
    """What was said before this message, oldest first: all that could be had of it in time."""
    pages: list[AsyncSlackResponse] = []
    try:
        async with slack.limiter.time.limit(_WAIT_S):
            await _read_into(pages, slack, thread, before)
    except (CallError, TimeoutError) as failure:
        what = "some of what was said" if pages else "what was said"
        log.warning("%s before in %s could not be read (%s)", what, thread, str(failure) or "it took too long")
        if not pages:
            return UNREADABLE
    told = earlier((message for page in pages for message in _messages(page)), bot, before)
    return ThreadContext(tuple(told), whole=not pages[-1].get("has_more"))


async def _read_into(pages: list[AsyncSlackResponse], slack: Slack, thread: Thread, before: str) -> None:
    """Add page after page: the newest messages stand on the last one, and there is no way to ask for them alone."""
    cursor: str | None = None

    async def send() -> AsyncSlackResponse:
        return await slack.client.conversations_replies(
            channel=thread.channel, ts=thread.root, latest=before, limit=_PAGE, cursor=cursor
        )

    for _ in range(_PAGES):
        page = await slack.limiter.call("conversations.replies", send, wait_s=_WAIT_S, repeatable=True)
        pages.append(page)
        cursor = (page.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            break


def _messages(page: AsyncSlackResponse) -> list[Any]:
    found = page.get("messages")
    return found if isinstance(found, list) else []


def earlier(messages: Iterable[Any], bot: BotIdentity, before: str) -> list[Earlier]:
    """Those of Slack's messages that somebody wrote before this one, each once, oldest first."""
    found = [_earlier(message, bot) for message in messages if isinstance(message, dict) and _counts(message)]
    there = [message for message in found if TS.fullmatch(message.message_id) and message.message_id < before]
    return [message for _, message in sorted({message.message_id: message for message in there}.items())]


def _counts(message: dict[str, Any]) -> bool:
    return message.get("subtype") in _SUBTYPES and not message.get("hidden") and not message.get("is_ephemeral")


def _earlier(message: dict[str, Any], bot: BotIdentity) -> Earlier:
    user, bot_id = _id(message, "user"), _id(message, "bot_id")
    by = By.SELF if is_ours(message, bot) else By.BOT if bot_id else By.PERSON
    return Earlier(
        message_id=_word(message, "ts"),
        author_id=user or bot_id,
        text=words_of(message, bot),
        attachments=attachments(message.get("files")),
        by=by,
        name=_bot_name(message) if by is By.BOT else "",
    )


def _bot_name(message: dict[str, Any]) -> str:
    profile = message.get("bot_profile")
    return _word(message, "username") or (_word(profile, "name") if isinstance(profile, dict) else "")


def _id(message: dict[str, Any], key: str) -> str:
    value = _word(message, key)
    return value if _ID.fullmatch(value) else ""


def _word(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""
