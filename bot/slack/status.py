"""The line that says the bot is working, until its answer stands there.

Rule: best effort and never late: it takes two seconds at most, and nothing here raises. One way of saying it is used,
never two, because Slack's bridge between them overwrites: https://docs.slack.dev/ai/agent-sessions
"""

from __future__ import annotations

import asyncio
import enum
import logging

from slack_sdk.web.async_client import AsyncWebClient

from bot import wording
from bot.events import Thread
from bot.slack.client import CallFailed, error_code, impatient

log = logging.getLogger(__name__)


class _Way(enum.IntEnum):
    SESSIONS = 0  # agents.sessions.setStatus, for apps that are declared agents
    THREADS = 1  # assistant.threads.setStatus, for all others
    NONE = 2


# https://docs.slack.dev/reference/methods/agents.sessions.setStatus: errors that will be the same next time
_NEVER_ALLOWED = frozenset(
    {
        "feature_disabled",
        "feature_not_enabled",
        "method_deprecated",
        "missing_scope",
        "not_agent_app",
        "not_allowed_token_type",
        "not_authorized",
        "unknown_method",
    }
)


class Status:
    """The status of threads, in the way that each workspace allows."""

    def __init__(self, client: AsyncWebClient, timeout_s: float = 2.0) -> None:
        self._client = impatient(client)
        self._timeout_s = timeout_s
        self._ways: dict[str, _Way] = {}

    async def show(self, thread: Thread) -> None:
        """Let the people in the thread see that the bot works."""
        await self._set(thread, "processing", wording.WORKING)

    async def clear(self, thread: Thread) -> None:
        """End the status where nothing else does: no message was posted, or one was, beside an agent's session."""
        await self._set(thread, "active", "")

    async def after_post(self, thread: Thread) -> None:
        """End the status after chat.postMessage, which ends it by itself except in an agent's session."""
        if self._ways.get(thread.workspace) is _Way.SESSIONS:
            await self.clear(thread)

    async def _set(self, thread: Thread, session_status: str, text: str) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                while not await self._say(thread, session_status, text):
                    pass
        except CallFailed as error:
            log.debug("no status was set in %s (%s)", thread, error_code(error))

    async def _say(self, thread: Thread, session_status: str, text: str) -> bool:
        """Whether it is said, or need not be; False when this workspace refused the way, and the next one is due."""
        way = self._ways.setdefault(thread.workspace, _Way.SESSIONS)
        try:
            match way:
                case _Way.SESSIONS:
                    await self._client.agents_sessions_setStatus(
                        channel_id=thread.channel, thread_ts=thread.root, status=session_status
                    )
                case _Way.THREADS:
                    await self._client.assistant_threads_setStatus(
                        channel_id=thread.channel, thread_ts=thread.root, status=text
                    )
                case _Way.NONE:
                    pass
        except CallFailed as error:
            if error_code(error) not in _NEVER_ALLOWED:
                raise
            self._ways[thread.workspace] = _Way(max(way + 1, self._ways[thread.workspace]))
            return False
        return True
