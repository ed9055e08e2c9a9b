"""What a slash command or a button resets, what is said of it, and what there is to be reset."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.domain import texts
from bot.domain.events import Author, Thread
from bot.domain.sessions import IdleLimits, OpenSession, ResetOutcome
from bot.errors import StoreUnavailable
from bot.slack import threads
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.port import SessionResets
from bot.slack.views import blocks as views

log = logging.getLogger(__name__)

LISTED_IN_STATUS = 10  # sessions
WORK_S = 2.5  # Slack waits three seconds: https://docs.slack.dev/interactivity/handling-user-interaction


@dataclass(frozen=True, slots=True)
class Notice:
    """What one person is told, and nobody else sees."""

    text: str
    blocks: tuple[views.Block, ...] = ()
    then: Callable[[dict[str, Any]], Awaitable[None]] | None = None  # goes on with the payload, once they read this


class Resets:
    """Resets on behalf of people who are not in the thread itself."""

    def __init__(self, sessions: SessionResets, bot: BotIdentity, clock: Callable[[], datetime]) -> None:
        self._sessions = sessions
        self._bot = bot
        self._clock = clock

    async def ask(self, user: str, channel: str, words: str) -> Notice:
        """What `/reset` with these words does: nothing, `all`, or a thread's link."""
        if words.casefold() == "all" or (not words and channel.startswith("D")):
            return await self.all(user, channel)
        if not words:
            return await self._the_only_one(user, channel)
        if (thread := threads.thread_of_link(words, self._bot.team_id)) is None:
            return Notice(texts.UNKNOWN_CHOICE)
        outcome = await self._sessions.reset(thread, self._author(user))
        # Whether there is a conversation that is not theirs is nothing to tell.
        return Notice(texts.reset(outcome) if outcome is ResetOutcome.DONE else texts.THREAD_NOT_FOUND)

    async def all(self, user: str, channel: str) -> Notice:
        """Reset the person's sessions in a channel."""
        count = await self._sessions.reset_all(PLATFORM, self._bot.team_id, channel, self._author(user))
        return Notice(texts.reset_count(count) if count else texts.SLASH_NOTHING)

    async def one(self, user: str, session_id: str) -> Notice:
        """Reset the session that was chosen."""
        outcome = await self._sessions.reset_session(session_id, self._author(user))
        if outcome is ResetOutcome.NOTHING:
            return Notice(texts.ALREADY_RESET)
        return Notice(texts.reset_count(1) if outcome is ResetOutcome.DONE else texts.reset(outcome))

    async def thread(self, user: str, channel: str, root: str) -> Notice:
        """Reset the session of the thread that a message's menu was opened in."""
        thread = threads.thread_at(self._bot.team_id, channel, root)
        return Notice(texts.reset(await self._sessions.reset(thread, self._author(user))))

    async def status(self, user: str, channel: str, idle: IdleLimits) -> Notice:
        """What is open of the person in a channel: since when, and until when."""
        found = await self._sessions.open_sessions(PLATFORM, self._bot.team_id, channel, self._author(user))
        idle_after = idle.of(channel)
        lines = [self._line(session, idle_after) for session in found[:LISTED_IN_STATUS]]
        return Notice(texts.status(await self._count_open(user, channel), lines, idle_after))

    def _line(self, session: OpenSession, idle_after: timedelta) -> str:
        now = self._clock()
        expires_in = session.last_active_at + idle_after - now
        return texts.status_line(self._link(session.thread), now - session.opened_at, session.turns, expires_in)

    def _link(self, thread: Thread) -> str:
        # https://docs.slack.dev/reference/methods/chat.getPermalink makes the same, in a call
        return f"<{self._bot.team_url}archives/{thread.channel}/p{thread.root.replace('.', '')}|{texts.THREAD}>"

    async def _count_open(self, user: str, channel: str) -> int:
        return await self._sessions.count_open(PLATFORM, self._bot.team_id, channel, self._author(user))

    async def _the_only_one(self, user: str, channel: str) -> Notice:
        found = await self._sessions.open_sessions(PLATFORM, self._bot.team_id, channel, self._author(user))
        if not found:
            return Notice(texts.SLASH_NOTHING)
        if len(found) == 1:
            return await self.one(user, found[0].id)
        count = await self._count_open(user, channel)
        return Notice(texts.CHOOSE_SESSION, tuple(views.sessions_to_reset(found, count, self._clock())))

    def _author(self, user: str) -> Author:
        return Author(user, self._bot.team_id)


async def in_time(work: Awaitable[Notice]) -> Notice:
    """What is to be told; a plain sentence when the store did not do the work while Slack waits."""
    try:
        async with asyncio.timeout(WORK_S):
            return await work
    except (StoreUnavailable, TimeoutError) as error:
        log.error("a command was not carried out: %s", type(error).__name__)  # noqa: TRY400 - expected
        return Notice(texts.SOMETHING_BROKE)
