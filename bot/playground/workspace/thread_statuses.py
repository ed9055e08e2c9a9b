"""The statuses that the app shows in threads, and Slack's Stop button beside them.

Facts: docs.slack.dev/reference/methods/assistant.threads.setStatus, docs.slack.dev/ai/agent-sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.playground.workspace.changes import StatusSet
from bot.playground.workspace.people import Channel

STOP_EVENT = "agent_session_stopped"  # Slack shows no Stop button to apps that do not subscribe to it


@dataclass(frozen=True, slots=True)
class _Status:
    text: str
    until: datetime
    session: bool  # set by an agent session; posting a message does not clear it


class ThreadStatuses:
    """At most one status for each thread."""

    def __init__(
        self, emit: Callable[[StatusSet], None], clock: Callable[[], datetime], subscribes_to_stop: Callable[[], bool]
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._subscribes_to_stop = subscribes_to_stop
        self._statuses: dict[tuple[str, str], _Status] = {}  # by channel id and thread_ts

    def text(self, channel: Channel, thread_ts: str) -> str:
        """Return the status shown in a thread, empty when there is none."""
        return self.in_channel(channel).get(thread_ts, "")

    def in_channel(self, channel: Channel) -> dict[str, str]:
        """Return the statuses shown in a channel, by thread."""
        now = self._clock()
        return {
            thread_ts: status.text
            for (channel_id, thread_ts), status in self._statuses.items()
            if channel_id == channel.id and now < status.until
        }

    def is_stoppable(self, channel: Channel, thread_ts: str) -> bool:
        """Return whether Slack shows its Stop button there: the app is an agent at work and subscribes to the event.

        docs.slack.dev/reference/events/agent_session_stopped
        """
        return self._is_stoppable(channel.id, thread_ts)

    def set(
        self, channel_id: str, thread_ts: str, text: str, lifetime: timedelta = timedelta(), *, session: bool = False
    ) -> None:
        """Show a status for this lifetime. An empty text clears the status.

        `session` marks the status of an agent session at work.
        """
        before = self._statuses.pop((channel_id, thread_ts), None)
        if text:
            self._statuses[channel_id, thread_ts] = _Status(text, self._clock() + lifetime, session)
        if text != (before.text if before else ""):
            self._emit(StatusSet(channel_id, thread_ts, text, self._is_stoppable(channel_id, thread_ts)))

    def clear(self, channel_id: str, thread_ts: str, *, session: bool) -> None:
        """Clear the status there if it is an agent session's, or, without `session`, if it is not."""
        status = self._statuses.get((channel_id, thread_ts))
        if status and status.session is session:
            self.set(channel_id, thread_ts, "")

    def clear_expired(self) -> None:
        """Clear every status whose lifetime is over."""
        for (channel_id, thread_ts), status in tuple(self._statuses.items()):
            if self._clock() >= status.until:
                self.set(channel_id, thread_ts, "")

    def drop_channel(self, channel_id: str) -> None:
        """Forget the statuses of a deleted channel."""
        self._statuses = {where: status for where, status in self._statuses.items() if where[0] != channel_id}

    def _is_stoppable(self, channel_id: str, thread_ts: str) -> bool:
        status = self._statuses.get((channel_id, thread_ts))
        at_work = status is not None and status.session and self._clock() < status.until
        return at_work and self._subscribes_to_stop()
