"""GET and DELETE sessions/{id}: what there is of a session, and its end; for the key it belongs to, and nobody else."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from bot.domain.sessions import ResetOutcome
from bot.gateway import headers
from bot.gateway.auth import Authenticator
from bot.gateway.errors import ApiError, not_found
from bot.turns.chat_question import place
from bot.turns.chat_sessions import ChatSessions

PARAMETER = "id"


class SessionRoutes:
    """Tells of sessions and resets them."""

    def __init__(self, sessions: ChatSessions, doorman: Authenticator, idle_after: timedelta) -> None:
        self._sessions = sessions
        self._doorman = doorman
        self._idle_after = idle_after

    async def tell(self, http: web.Request) -> web.Response:
        """When it was opened and how long it is, without its words."""
        key = await self._doorman.know(http)
        name = headers.checked(http.match_info[PARAMETER], PARAMETER)
        found = await self._sessions.find(place(key.id, name))
        if found is None:
            raise _unknown()
        return web.json_response(
            {
                "id": name,
                "object": "session",
                "created": int(found.opened_at.timestamp()),
                "last_active": int(found.last_active_at.timestamp()),
                "expires_at": int((found.last_active_at + self._idle_after).timestamp()),
                "turns": found.turns,
            }
        )

    async def reset(self, http: web.Request) -> web.Response:
        """Close it and erase its words; an answer that is running there ends."""
        key = await self._doorman.know(http)
        name = headers.checked(http.match_info[PARAMETER], PARAMETER)
        if await self._sessions.reset(place(key.id, name)) is not ResetOutcome.DONE:
            raise _unknown()
        return web.json_response({"id": name, "object": "session.deleted", "deleted": True})


def _unknown() -> ApiError:
    return not_found("There is no open session with this id.", "session_not_found")
