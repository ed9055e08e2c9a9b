"""The bot's messages in a thread that belong to no finished answer: an earlier attempt at this turn posted them.

Rule: each message of an answer is in the ledger before anything else happens to it. So at most the newest is missing
there, and the thread is looked through for it as late as possible: many answers that are taken over at once show their
first words before they look, because Slack limits the looks.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain import texts
from bot.domain.language import translated
from bot.slack.errors import CallError, RefusedError, UnconfirmedError
from bot.slack.identity import BotIdentity
from bot.slack.message_fields import is_by_this_bot
from bot.slack.outbound.edited_message import EditedMessage
from bot.slack.outbound.messages import LONGEST_WAIT_S, Slack
from bot.turns.adapter import AnswerTarget, Ledger

log = logging.getLogger(__name__)

_PAGE, _PAGES = 200, 10  # messages, newer than the question
_SEARCHES_AFTER_S = (0.0, 0.5, 1.5)  # a message may show up a moment after it was posted


class OrphanedMessages:
    """The orphaned messages in the thread of one answer, oldest first. The answer is written into them first."""

    def __init__(self, slack: Slack, bot: BotIdentity, target: AnswerTarget, ledger: Ledger) -> None:
        self._slack = slack
        self._bot = bot
        self._target = target
        self._ledger = ledger
        self._known: set[str] = set()
        self._removed: set[str] = set()
        self._orphans: deque[str] = deque()
        self._must_look = False  # an earlier attempt may have posted a message that is not in the ledger

    async def note(self, ts: str) -> None:
        """Store that this message holds a part of the answer. May raise StoreUnavailable."""
        if ts not in self._known:
            self._known.add(ts)
            await self._ledger.posted(ts)

    async def gather(self) -> None:
        """Collect the messages of earlier attempts that are in the ledger."""
        self._orphans.extend(sorted(await self._ledger.of_this_turn()))
        self._known.update(self._orphans)
        self._must_look = True

    async def search(self) -> bool:
        """Return whether Slack posted a message without confirming it. Raises UnconfirmedError when still unknown."""
        for pause_s in _SEARCHES_AFTER_S:
            await self._slack.limiter.clock.pause(pause_s)
            try:
                await self._find()
            except CallError as failure:
                raise UnconfirmedError(failure.method, failure.code, sent=True, answered=False) from None
            if self._orphans:
                return True
        return False

    async def next(self) -> EditedMessage | None:
        """Return the next message to write into; None when there is none left. Raises CallError."""
        if not self._orphans:
            await self._look()
        return self.take()

    def take(self) -> EditedMessage | None:
        """Return the next message that is known; None when there is none."""
        return self._edited(self._orphans.popleft()) if self._orphans else None

    def take_back(self) -> None:
        """Orphan all messages of this answer again, because its text is void."""
        self._orphans = deque(sorted(self._known - self._removed))

    async def remove_all(self) -> None:
        """Delete the messages that were not needed. Raises CallError when Slack cannot be reached."""
        await self._look()
        while (message := self.take()) is not None:
            await self.remove(message)

    async def remove(self, message: EditedMessage) -> None:
        """Delete a message; where Slack forbids that, replace its text by a pointer. May raise StoreUnavailable.

        Slack sends an event for the bot's own deletions, too, which erases the answer that the message holds. So the
        ledger drops the message.
        """
        self._removed.add(message.ts)
        try:
            await message.remove()
            await self._ledger.removed(message.ts)
        except RefusedError:  # a workspace may forbid to delete: compliance_exports_prevent_deletion
            try:
                await message.finish(translated(texts.ANSWERED_ELSEWHERE))
            except RefusedError as refusal:
                log.warning("orphan_not_removed", extra={"place": str(self._target.thread), "error": str(refusal)})

    async def _look(self) -> None:
        """Look through the thread, once, for a message that is not in the ledger."""
        if not self._must_look:
            return
        try:
            await self._find()
        except RefusedError as refusal:
            log.warning("orphans_not_searched", extra={"place": str(self._target.thread), "error": str(refusal)})
        self._must_look = False
        self._orphans = deque(sorted(self._orphans))

    async def _find(self) -> None:
        ours = [message["ts"] for message in await self._messages() if _may_be_answer(message, self._target)]
        found = [ts for ts in ours if ts not in self._known]
        others = await self._ledger.of_other_turns(found) if found else frozenset()
        for ts in found:
            if ts not in others:
                await self.note(ts)
                self._orphans.append(ts)

    async def files(self) -> dict[str, str]:
        """Return the names of the files, by id, that the bot has shared since the question. Raises CallError."""
        shared = [file for message in await self._messages() for file in message.get("files") or ()]
        return {file["id"]: file.get("name") or "" for file in shared if isinstance(file, dict) and "id" in file}

    async def _messages(self) -> list[Mapping[str, Any]]:
        """Return the bot's messages since the question.

        https://docs.slack.dev/reference/methods/conversations.replies, and for a rolling conversation .history.
        """
        found: list[Mapping[str, Any]] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self._page(cursor)
            found += [message for message in page["messages"] if _is_ours(message, self._bot, self._target)]
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return found

    async def _page(self, cursor: str | None) -> AsyncSlackResponse:
        client, thread, oldest = self._slack.client, self._target.thread, self._target.message_id

        async def replies() -> AsyncSlackResponse:
            return await client.conversations_replies(
                channel=thread.channel, ts=thread.root, oldest=oldest, limit=_PAGE, cursor=cursor
            )

        async def history() -> AsyncSlackResponse:
            return await client.conversations_history(channel=thread.channel, oldest=oldest, limit=_PAGE, cursor=cursor)

        method, send = ("conversations.replies", replies)
        if thread.rolling:
            method, send = ("conversations.history", history)
        return await self._slack.limiter.call(method, send, wait_s=LONGEST_WAIT_S, idempotent=True)

    def _edited(self, ts: str) -> EditedMessage:
        return EditedMessage(self._slack, self._target.thread.channel, ts, orphaned=True)


def _is_ours(message: Mapping[str, Any], bot: BotIdentity, target: AnswerTarget) -> bool:
    is_public = not message.get("is_ephemeral") and message.get("subtype") != "tombstone"
    is_newer = message.get("ts", "") > target.message_id  # the root comes in any case
    return is_newer and is_public and is_by_this_bot(message, bot)


def _may_be_answer(message: Mapping[str, Any], target: AnswerTarget) -> bool:
    # At the top level of a DM there are other messages of the bot, too: an export's file, threads.
    return not message.get("files") and message.get("thread_ts") in (None, target.thread.root, message["ts"])
