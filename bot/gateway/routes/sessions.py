"""GET and DELETE sessions/{id}: describe a session and reset it. Only the key that it belongs to can do so."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from bot.domain.sessions import ResetOutcome
from bot.gateway.inbound import headers
from bot.gateway.inbound.auth import Authenticator
from bot.gateway.outbound.errors import ApiError, not_found
from bot.gateway.outbound.response_models import DeletedSession, SessionDescription
from bot.turns.chat_sessions import ChatSessions

PARAMETER = "id"


class SessionRoutes:
    """The handlers of a session's path."""

    def __init__(self, sessions: ChatSessions, authenticator: Authenticator, idle_after: timedelta) -> None:
        self._sessions = sessions
        self._authenticator = authenticator
        self._idle_after = idle_after

    async def describe(self, http: web.Request) -> web.Response:
        """Return when the session was opened and how many turns it has, without its text."""
        key = await self._authenticator.authenticate(http)
        name = headers.checked(http.match_info[PARAMETER], PARAMETER)
        session = await self._sessions.find(self._sessions.places.session(key.id, name))
        if session is None:
            raise _session_not_found()
        description = SessionDescription(
            id=name,
            created=int(session.opened_at.timestamp()),
            last_active=int(session.last_active_at.timestamp()),
            expires_at=int((session.last_active_at + self._idle_after).timestamp()),
            turns=session.turns,
        )
        return web.json_response(description.model_dump())

    async def reset(self, http: web.Request) -> web.Response:
        """Close the session and erase its text. An answer that is being generated there ends."""
        key = await self._authenticator.authenticate(http)
        name = headers.checked(http.match_info[PARAMETER], PARAMETER)
        if await self._sessions.reset(self._sessions.places.session(key.id, name)) is not ResetOutcome.DONE:
            raise _session_not_found()
        return web.json_response(DeletedSession(id=name).model_dump())


def _session_not_found() -> ApiError:
    return not_found("There is no open session with this id.", "session_not_found")
