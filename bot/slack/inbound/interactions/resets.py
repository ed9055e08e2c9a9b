"""Resets of sessions by a slash command, a button or the message shortcut."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bot.domain import texts
from bot.domain.events import ROLLING, Author, Thread
from bot.domain.language import translated
from bot.domain.sessions import ResetOutcome
from bot.slack import permalinks
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.inbound.interactions.ephemeral_reply import EphemeralReply
from bot.slack.port import SessionResets
from bot.slack.views.session_picker import session_picker


class Resets:
    """Resets sessions, and reports the outcome to the person."""

    def __init__(
        self, sessions: SessionResets, bot: BotIdentity, clock: Callable[[], datetime], *, rolling: bool
    ) -> None:
        """`rolling`: the top level of a DM is one conversation."""
        self._sessions = sessions
        self._bot = bot
        self._clock = clock
        self._rolling = rolling

    async def reset_by_command(self, user: str, channel: str, argument: str) -> EphemeralReply:
        """Reset the sessions that the argument of `/reset` names: none, `all`, or a permalink."""
        is_direct = channel.startswith("D")
        if argument.casefold() == "all" or (not argument and is_direct and not self._rolling):
            return await self.reset_all(user, channel)
        if not argument and is_direct:
            rolling = Thread(PLATFORM, self._bot.team_id, channel, ROLLING, direct=True)
            if await self._sessions.reset(rolling, self._author(user)) is ResetOutcome.DONE:
                return EphemeralReply(texts.reset_count(1))
        if not argument:
            return await self._reset_or_pick(user, channel)
        if (thread := permalinks.thread_from_permalink(argument, self._bot.team_id)) is None:
            return EphemeralReply(translated(texts.UNKNOWN_CHOICE))
        outcome = await self._sessions.reset(thread, self._author(user))
        # The reply does not reveal whether other people have a session in that thread.
        is_done = outcome is ResetOutcome.DONE
        return EphemeralReply(texts.reset(outcome) if is_done else translated(texts.THREAD_NOT_FOUND))

    async def reset_all(self, user: str, channel: str) -> EphemeralReply:
        """Reset all sessions of the person in a channel."""
        count = await self._sessions.reset_all(PLATFORM, self._bot.team_id, channel, self._author(user))
        return EphemeralReply(texts.reset_count(count) if count else translated(texts.SLASH_NOTHING))

    async def reset_session(self, user: str, session_id: str) -> EphemeralReply:
        """Reset one session."""
        outcome = await self._sessions.reset_session(session_id, self._author(user))
        if outcome is ResetOutcome.NOTHING:
            return EphemeralReply(translated(texts.ALREADY_RESET))
        return EphemeralReply(texts.reset_count(1) if outcome is ResetOutcome.DONE else texts.reset(outcome))

    async def reset_thread(self, user: str, channel: str, root: str) -> EphemeralReply:
        """Reset the session of one thread."""
        thread = permalinks.thread_at(self._bot.team_id, channel, root)
        return EphemeralReply(texts.reset(await self._sessions.reset(thread, self._author(user))))

    async def _reset_or_pick(self, user: str, channel: str) -> EphemeralReply:
        author = self._author(user)
        sessions = await self._sessions.open_sessions(PLATFORM, self._bot.team_id, channel, author)
        if not sessions:
            return EphemeralReply(translated(texts.SLASH_NOTHING))
        if len(sessions) == 1:
            return await self.reset_session(user, sessions[0].id)
        count = await self._sessions.count_open(PLATFORM, self._bot.team_id, channel, author)
        return EphemeralReply(translated(texts.CHOOSE_SESSION), tuple(session_picker(sessions, count, self._clock())))

    def _author(self, user: str) -> Author:
        return Author(user, self._bot.team_id)
