"""The messages of ours in a thread that no finished answer owns: what an earlier attempt, or a lost answer, left there.

Rule: each message of an answer is in the ledger before anything else happens to it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain import texts
from bot.slack.errors import CallError, RefusedError, UnconfirmedError
from bot.slack.identity import BotIdentity
from bot.slack.message_fields import is_by_this_bot
from bot.slack.outbound.messages import PATIENCE_S, EditedMessage, Slack
from bot.turns.adapter import Asked, Ledger

log = logging.getLogger(__name__)

_PAGE, _PAGES = 200, 10  # messages, newer than the question
_SEARCHES_AFTER_S = (0.0, 0.5, 1.5)  # a message may show up a moment after it was posted


class OrphanedMessages:
    """What is left over in the thread of one answer, oldest first, to be written into before anything is posted."""

    def __init__(self, slack: Slack, bot: BotIdentity, asked: Asked, ledger: Ledger) -> None:
        self._slack = slack
        self._bot = bot
        self._asked = asked
        self._ledger = ledger
        self._known: set[str] = set()
        self._left: deque[str] = deque()

    async def note(self, ts: str) -> None:
        """Remember that this message holds a part of the answer. May raise StoreUnavailable."""
        if ts not in self._known:
            self._known.add(ts)
            await self._ledger.posted(ts)

    async def gather(self) -> None:
        """Collect what earlier attempts left: what the ledger knows, and what the thread shows. Raises CallError."""
        self._left.extend(await self._ledger.mine())
        self._known.update(self._left)
        try:
            await self._look()
        except RefusedError as refusal:
            log.warning("the thread could not be looked into for an unfinished answer (%s)", refusal)
        self._left = deque(sorted(self._left))

    async def search(self) -> bool:
        """Whether Slack posted a message and did not say so. Raises UnconfirmedError when that cannot be found out."""
        for pause_s in _SEARCHES_AFTER_S:
            await self._slack.limiter.clock.pause(pause_s)
            try:
                await self._look()
            except CallError as failure:
                raise UnconfirmedError(failure.method, failure.code, sent=True, answered=False) from None
            if self._left:
                return True
        return False

    def take(self) -> EditedMessage | None:
        """The next message to write into, if there is one left."""
        return self._edited(self._left.popleft()) if self._left else None

    async def remove_all(self) -> None:
        """Take away what was not written into. Raises CallError when Slack cannot be reached."""
        while (message := self.take()) is not None:
            await self.remove(message)

    async def remove(self, message: EditedMessage) -> None:
        """Take a message away; where Slack does not let us, it says where the answer is. May raise StoreUnavailable.

        Slack tells us of our own deletions as of anybody's: what the ledger holds no more takes no answer with it.
        """
        try:
            await message.remove()
            await self._ledger.removed(message.ts)
        except RefusedError:  # a workspace may forbid to delete: compliance_exports_prevent_deletion
            try:
                await message.finish(texts.ANSWERED_ELSEWHERE)
            except RefusedError as refusal:
                log.warning("an unfinished message could be neither deleted nor changed (%s)", refusal)

    async def _look(self) -> None:
        found = [ts for ts in await self._ours() if ts not in self._known]
        others = await self._ledger.settled(found) if found else frozenset()
        for ts in found:
            if ts not in others:
                await self.note(ts)
                self._left.append(ts)

    async def _ours(self) -> list[str]:
        """The bot's own messages since the question: https://docs.slack.dev/reference/methods/conversations.replies."""
        found: list[str] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self._page(cursor)
            found += [message["ts"] for message in page["messages"] if self._is_ours(message)]
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return found

    async def _page(self, cursor: str | None) -> AsyncSlackResponse:
        async def send() -> AsyncSlackResponse:
            return await self._slack.client.conversations_replies(
                channel=self._asked.thread.channel,
                ts=self._asked.thread.root,
                oldest=self._asked.message_id,
                limit=_PAGE,
                cursor=cursor,
            )

        return await self._slack.limiter.call("conversations.replies", send, wait_s=PATIENCE_S, idempotent=True)

    def _is_ours(self, message: Mapping[str, Any]) -> bool:
        seen_by_all = not message.get("is_ephemeral") and message.get("subtype") != "tombstone"
        newer = message.get("ts", "") > self._asked.message_id  # the root comes in any case
        return newer and seen_by_all and is_by_this_bot(message, self._bot)

    def _edited(self, ts: str) -> EditedMessage:
        return EditedMessage(self._slack, self._asked.thread.channel, ts, left_over=True)
