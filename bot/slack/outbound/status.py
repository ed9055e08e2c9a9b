"""The line that says the bot is working, until its answer stands there.

Rule: best effort and never late: it takes two seconds at most, and nothing here raises. One way of saying it is used,
never two, because Slack's bridge between them overwrites: https://docs.slack.dev/ai/agent-sessions
"""

from __future__ import annotations

import asyncio
import enum
import logging
from functools import partial

from bot.domain import texts
from bot.domain.events import Thread
from bot.slack.errors import CallError, RefusedError
from bot.slack.outbound.messages import Slack

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

    def __init__(self, slack: Slack, timeout_s: float = 2.0) -> None:
        self._slack = slack
        self._timeout_s = timeout_s
        self._ways: dict[str, _Way] = {}
        self._found: set[str] = set()  # workspaces whose way is known to work
        self._finding = asyncio.Lock()
        self._waiting: dict[Thread, asyncio.Task[None]] = {}

    async def show(self, thread: Thread) -> None:
        """Let the people in the thread see that the bot works."""
        await self._until_told(thread)
        await self._set(thread, "processing", texts.WORKING)

    async def show_waiting(self, thread: Thread) -> None:
        """Let them see that they will be answered, in a while."""
        if thread in self._waiting:
            return
        self._waiting[thread] = asyncio.create_task(self._set(thread, "processing", texts.WAITING))
        try:
            await self._waiting[thread]
        finally:
            del self._waiting[thread]

    async def end_waiting(self, thread: Thread) -> None:
        """Take that back."""
        await self._until_told(thread)
        await self.clear(thread)

    async def clear(self, thread: Thread) -> None:
        """End the status where nothing else does: no message was posted, or one was, beside an agent's session."""
        await self._set(thread, "active", "")

    async def after_post(self, thread: Thread) -> None:
        """End the status after chat.postMessage, which ends it by itself except in an agent's session."""
        if self._ways.get(thread.workspace) is _Way.SESSIONS:
            await self.clear(thread)

    async def _until_told(self, thread: Thread) -> None:
        if (waiting := self._waiting.get(thread)) is not None:  # or it would come after what is said now
            await asyncio.wait([waiting])

    async def _set(self, thread: Thread, session_status: str, text: str) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                while not await self._say(thread, session_status, text):
                    pass
        except (CallError, TimeoutError) as failure:
            log.debug("status_not_set", extra={"place": str(thread), "error": str(failure)})

    async def _say(self, thread: Thread, session_status: str, text: str) -> bool:
        """Whether it is said, or need not be; False when this workspace refused the way, and the next one is due."""
        if thread.workspace not in self._found:
            async with self._finding:  # many may begin at once: one of them tries the ways for all
                if thread.workspace not in self._found:
                    return await self._try(thread, session_status, text)
        return await self._try(thread, session_status, text)

    async def _try(self, thread: Thread, session_status: str, text: str) -> bool:
        way = self._ways.setdefault(thread.workspace, _Way.SESSIONS)
        try:
            await self._say_by(way, thread, session_status, text)
        except RefusedError as refusal:
            if refusal.code not in _NEVER_ALLOWED:
                raise
            self._ways[thread.workspace] = _Way(max(way + 1, self._ways[thread.workspace]))
            self._found.discard(thread.workspace)
            return False
        self._found.add(thread.workspace)
        return True

    async def _say_by(self, way: _Way, thread: Thread, session_status: str, text: str) -> None:
        client, call = self._slack.client, self._slack.limiter.call
        channel, root = thread.channel, thread.root
        match way:
            case _Way.SESSIONS:
                session = partial(client.agents_sessions_setStatus, channel_id=channel, thread_ts=root)
                await call("agents.sessions.setStatus", partial(session, status=session_status), wait_s=self._timeout_s)
            case _Way.THREADS:
                line = partial(client.assistant_threads_setStatus, channel_id=channel, thread_ts=root)
                await call("assistant.threads.setStatus", partial(line, status=text), wait_s=self._timeout_s)
            case _Way.NONE:
                pass
