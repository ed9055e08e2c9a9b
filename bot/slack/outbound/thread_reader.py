"""The earlier messages of a thread, from conversations.replies.

Rule: best effort. Reading takes three seconds at most, and never raises. Messages that Slack does not return are left
out. Facts: https://docs.slack.dev/reference/methods/conversations.replies
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain.events import Thread, storable
from bot.errors import PlatformUnavailable
from bot.prompt.thread_context import UNREADABLE, AuthorKind, EarlierMessage, ThreadContext
from bot.slack.errors import CallError
from bot.slack.identity import BotIdentity
from bot.slack.message_content import HUDDLE, forwarded_messages, words
from bot.slack.message_fields import TS, file_attachments, is_by_this_bot, message_text
from bot.slack.outbound.messages import Slack
from bot.slack.text import read_back
from bot.slack.text.markdown_blocks import markdown_of

log = logging.getLogger(__name__)

_PAGE_SIZE, _MAX_PAGES = 1_000, 5  # Slack returns at most 1,000 messages a page, the oldest first
_TIMEOUT_S = 3.0
_ID = re.compile(r"[A-Z0-9]{1,64}")
_SLACKBOT = "USLACKBOT"  # it announces huddles
_SUBTYPES = (None, "bot_message", HUDDLE, "file_share", "me_message", "thread_broadcast")


async def read(slack: Slack, bot: BotIdentity, thread: Thread, before: str) -> ThreadContext:
    """Return the messages before the message `before`, the oldest first, as far as Slack returned them in time."""
    pages: list[AsyncSlackResponse] = []
    try:
        async with slack.limiter.clock.timeout(_TIMEOUT_S):
            await _read_pages(pages, slack, thread, before)
    except (CallError, TimeoutError) as failure:
        fields = {"place": str(thread), "pages": len(pages), "error": str(failure) or "timeout"}
        log.warning("slack_thread_not_read", extra=fields)
        if not pages:
            return UNREADABLE
    messages = earlier_messages((message for page in pages for message in _messages(page)), bot, before)
    return ThreadContext(tuple(messages), complete=not pages[-1].get("has_more"))


async def find_own(slack: Slack, bot: BotIdentity, thread: Thread, after: str, text: str) -> str | None:
    """Return the ts of the bot's newest message with this text since the message `after`; None if Slack does not say.

    Raises PlatformUnavailable when it is not there.
    """

    async def send() -> AsyncSlackResponse:
        return await slack.client.conversations_replies(
            channel=thread.channel, ts=thread.root, oldest=after, limit=_PAGE_SIZE
        )

    try:
        page = await slack.limiter.call("conversations.replies", send, wait_s=_TIMEOUT_S, idempotent=True)
    except CallError:
        return None
    ours = [message for message in _messages(page) if isinstance(message, dict) and is_by_this_bot(message, bot)]
    found = [ts for message in ours if read_back.holds(message, text) and (ts := _string(message, "ts")) > after]
    if not found:
        raise PlatformUnavailable("the message was not posted")
    return max(found)


async def _read_pages(pages: list[AsyncSlackResponse], slack: Slack, thread: Thread, before: str) -> None:
    """Append page after page. The newest messages are on the last page, and Slack has no way to start with it."""
    cursor: str | None = None

    async def send() -> AsyncSlackResponse:
        return await slack.client.conversations_replies(
            channel=thread.channel, ts=thread.root, latest=before, limit=_PAGE_SIZE, cursor=cursor
        )

    for _ in range(_MAX_PAGES):
        page = await slack.limiter.call("conversations.replies", send, wait_s=_TIMEOUT_S, idempotent=True)
        pages.append(page)
        cursor = (page.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            break


def _messages(page: AsyncSlackResponse) -> list[Any]:
    messages = page.get("messages")
    return messages if isinstance(messages, list) else []


def earlier_messages(messages: Iterable[Any], bot: BotIdentity, before: str) -> list[EarlierMessage]:
    """Convert Slack's messages from before the message `before`, each once, the oldest first."""
    converted = [_earlier(message, bot) for message in messages if isinstance(message, dict) and _is_relevant(message)]
    by_ts = {
        message.message_id: message
        for message in converted
        if TS.fullmatch(message.message_id) and message.message_id < before
    }
    return [message for _, message in sorted(by_ts.items())]


def _is_relevant(message: dict[str, Any]) -> bool:
    return message.get("subtype") in _SUBTYPES and not message.get("hidden") and not message.get("is_ephemeral")


def _earlier(message: dict[str, Any], bot: BotIdentity) -> EarlierMessage:
    user, bot_id = _id_field(message, "user"), _id_field(message, "bot_id")
    is_other_bot = bool(bot_id) or user == _SLACKBOT
    by = AuthorKind.SELF if is_by_this_bot(message, bot) else AuthorKind.BOT if is_other_bot else AuthorKind.PERSON
    return EarlierMessage(
        message_id=_string(message, "ts"),
        author_id=user or bot_id,
        text=_own_markdown(message, by) or message_text({"text": words(message, bot)}, bot),
        attachments=file_attachments(message.get("files")),
        by=by,
        name=_bot_name(message) if by is AuthorKind.BOT else "",
        forwarded=forwarded_messages(message, bot),
    )


def _own_markdown(message: dict[str, Any], by: AuthorKind) -> str:
    """Return the Markdown of this bot's own message. The text beside its blocks is cut."""
    return storable(markdown_of(message.get("blocks"))) if by is AuthorKind.SELF else ""


def _bot_name(message: dict[str, Any]) -> str:
    profile = message.get("bot_profile")
    if message.get("user") == _SLACKBOT:
        return "Slack"
    return _string(message, "username") or (_string(profile, "name") if isinstance(profile, dict) else "")


def _id_field(message: dict[str, Any], key: str) -> str:
    value = _string(message, key)
    return value if _ID.fullmatch(value) else ""


def _string(payload: dict[str, Any], key: str) -> str:
    value = payload.get(key)
    return value if isinstance(value, str) else ""
