"""The status line that says that the bot works, until its answer is shown.

Rule: best effort. It takes two seconds at most, and nothing here raises. Only one of Slack's two methods is used,
because each overwrites the other: https://docs.slack.dev/ai/agent-sessions
"""

from __future__ import annotations

import asyncio
import enum
import logging
from functools import partial

from bot.domain import texts
from bot.domain.events import Thread
from bot.domain.language import translated
from bot.slack.behaviour import UNKNOWN, SlackBehaviour
from bot.slack.errors import CallError, RefusedError
from bot.slack.outbound.messages import Slack

log = logging.getLogger(__name__)


class _Method(enum.IntEnum):
    SESSIONS = 0  # agents.sessions.setStatus, for apps that are declared agents
    THREADS = 1  # assistant.threads.setStatus, for all others
    NONE = 2


_NAMES = {_Method.SESSIONS: "agents.sessions.setStatus", _Method.THREADS: "assistant.threads.setStatus"}
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
    """The status of threads, by the method that each workspace allows."""

    def __init__(self, slack: Slack, timeout_s: float = 2.0, *, measured: SlackBehaviour = UNKNOWN) -> None:
        self._slack = slack
        self._measured = measured
        self._timeout_s = timeout_s
        self._methods: dict[str, _Method] = {}  # by workspace
        self._known: set[str] = set()  # workspaces whose method is known to work
        self._probing = asyncio.Lock()
        self._waiting: dict[Thread, asyncio.Task[bool]] = {}

    async def show(self, thread: Thread, text: str = "") -> None:
        """Show the people in the thread that the bot works."""
        await self._wait_for_waiting_status(thread)
        await self._set(thread, "processing", text or translated(texts.WORKING))

    async def renew(self, thread: Thread, text: str) -> bool:
        """Show a status again; False when Slack did not take it, or has no room beside the first status of others."""
        method = _NAMES.get(self._methods.get(thread.workspace, self._first(thread)))
        if method is not None and not self._slack.limiter.can_reserve(method):
            return False
        return await self._set(thread, "processing", text)

    async def show_waiting(self, thread: Thread, text: str = "") -> None:
        """Show them that the answer comes later."""
        if thread in self._waiting:
            return
        self._waiting[thread] = asyncio.create_task(self._set(thread, "processing", text or translated(texts.WAITING)))
        try:
            await self._waiting[thread]
        finally:
            del self._waiting[thread]

    async def end_waiting(self, thread: Thread) -> None:
        """End that status."""
        await self._wait_for_waiting_status(thread)
        await self.clear(thread)

    async def clear(self, thread: Thread) -> None:
        """End the status where no message ends it: none was posted, or one was posted beside an agent's session."""
        await self._set(thread, "active", "")

    async def after_post(self, thread: Thread) -> None:
        """End the status after chat.postMessage, which ends it by itself except in an agent's session."""
        if self._methods.get(thread.workspace) is _Method.SESSIONS:
            await self.clear(thread)

    async def _wait_for_waiting_status(self, thread: Thread) -> None:
        if (waiting := self._waiting.get(thread)) is not None:  # or it would overwrite the status that is set now
            await asyncio.wait([waiting])

    async def _set(self, thread: Thread, session_status: str, text: str) -> bool:
        if thread.rolling:  # Slack shows a status in threads only
            return False
        try:
            async with asyncio.timeout(self._timeout_s):
                while not await self._set_once(thread, session_status, text):
                    pass
        except (CallError, TimeoutError) as failure:
            log.debug("status_not_set", extra={"place": str(thread), "error": str(failure)})
            return False
        return True

    async def _set_once(self, thread: Thread, session_status: str, text: str) -> bool:
        """Return True when it is set, or cannot be; False when the workspace refused the method, to try the next."""
        if thread.workspace not in self._known:
            async with self._probing:  # of many answers that begin at once, one tries the methods for all
                if thread.workspace not in self._known:
                    return await self._try(thread, session_status, text)
        return await self._try(thread, session_status, text)

    async def _try(self, thread: Thread, session_status: str, text: str) -> bool:
        method = self._methods.setdefault(thread.workspace, self._first(thread))
        try:
            await self._call(method, thread, session_status, text)
        except RefusedError as refusal:
            if refusal.code not in _NEVER_ALLOWED:
                raise
            self._methods[thread.workspace] = _Method(max(method + 1, self._methods[thread.workspace]))
            self._known.discard(thread.workspace)
            return False
        self._known.add(thread.workspace)
        return True

    def _first(self, thread: Thread) -> _Method:
        """Return the first method that Slack is not known to refuse there."""
        refused = self._measured.refuses
        open_methods = (method for method in _NAMES if not refused(_NAMES[method], direct=thread.direct))
        return next(open_methods, _Method.NONE)

    async def _call(self, method: _Method, thread: Thread, session_status: str, text: str) -> None:
        client, call = self._slack.client, self._slack.limiter.call
        channel, root = thread.channel, thread.root
        match method:
            case _Method.SESSIONS:
                session = partial(client.agents_sessions_setStatus, channel_id=channel, thread_ts=root)
                await call(_NAMES[method], partial(session, status=session_status), wait_s=self._timeout_s)
            case _Method.THREADS:
                set_status = partial(client.assistant_threads_setStatus, channel_id=channel, thread_ts=root)
                await call(_NAMES[method], partial(set_status, status=text), wait_s=self._timeout_s)
            case _Method.NONE:
                pass
