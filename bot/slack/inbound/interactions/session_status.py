"""The list of a person's open sessions in a channel: `/attendant status`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from bot.domain import session_texts, texts
from bot.domain.events import Author
from bot.domain.language import translated
from bot.domain.sessions import IdleLimits, OpenSession
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.inbound.interactions.ephemeral_reply import EphemeralReply
from bot.slack.permalinks import permalink
from bot.slack.port import SessionResets

MAX_SESSIONS = 10


class SessionStatus:
    """Lists open sessions: their links, their age and their expiry."""

    def __init__(
        self, sessions: SessionResets, bot: BotIdentity, clock: Callable[[], datetime], idle: IdleLimits
    ) -> None:
        self._sessions = sessions
        self._bot = bot
        self._clock = clock
        self._idle = idle

    async def list_sessions(self, user: str, channel: str) -> EphemeralReply:
        """List the person's open sessions in a channel, the most recently active first."""
        author = Author(user, self._bot.team_id)
        sessions = await self._sessions.open_sessions(PLATFORM, self._bot.team_id, channel, author)
        count = await self._sessions.count_open(PLATFORM, self._bot.team_id, channel, author)
        idle_after = self._idle.of(channel)
        lines = [self._line(session, idle_after) for session in sessions[:MAX_SESSIONS]]
        return EphemeralReply(session_texts.status(count, lines, idle_after))

    def _line(self, session: OpenSession, idle_after: timedelta) -> str:
        now = self._clock()
        link = f"<{permalink(session.thread, self._bot.team_url)}|{translated(texts.THREAD)}>"
        expires_in = session.last_active_at + idle_after - now
        return session_texts.status_line(link, now - session.opened_at, session.turns, expires_in)
