"""Slack's rate limits, off unless they are switched on.

Tiers are per method, app and workspace, and posting has a limit per channel: docs.slack.dev/apis/web-api/rate-limits.
Where Slack names no number (assistant.threads.setStatus, auth.test) there is no limit here.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.playground.workspace.messages import Json

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls in any stretch of this length, in each channel by itself where `by_channel`."""

    calls: int
    within: timedelta = _MINUTE
    by_channel: bool = False


_TIER_2, _TIER_3, _TIER_4 = Limit(20), Limit(50), Limit(100)
LIMITS = {
    "chat.startStream": _TIER_2,
    "chat.stopStream": _TIER_2,
    "agents.sessions.setStatus": _TIER_3,
    "apps.connections.open": _TIER_3,
    "chat.delete": _TIER_3,
    "chat.update": _TIER_3,
    "conversations.info": _TIER_3,
    "conversations.replies": _TIER_3,
    "chat.appendStream": _TIER_4,
    "chat.postEphemeral": _TIER_4,
    "users.info": _TIER_4,
    "views.open": _TIER_4,
    "views.publish": _TIER_4,
    "views.update": _TIER_4,
    "files.completeUploadExternal": _TIER_4,
    "files.getUploadURLExternal": _TIER_4,
    "chat.postMessage": Limit(1, timedelta(seconds=1), by_channel=True),
}


def counted_with(method: str, args: Json) -> tuple[str, str]:
    """What a call counts against: its method, with the channel where each channel has a limit of its own."""
    limit = LIMITS.get(method)
    return method, str(args.get("channel", "")) if limit and limit.by_channel else ""


class RateLimits:
    """Counts the calls of the methods for which the limits were switched on."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._enforced: set[str] = set()
        self._calls: defaultdict[tuple[str, str], deque[datetime]] = defaultdict(deque)

    def enforce(self, *methods: str) -> None:
        """Switch the limits of these methods on, without any the limits of all."""
        self._enforced |= set(methods or LIMITS)

    def retry_after_s(self, method: str, args: Json) -> int | None:
        """Count a call: None when it may go on, else the seconds to wait; a refused call does not count."""
        if method not in self._enforced:
            return None
        limit, calls, now = LIMITS[method], self._calls[counted_with(method, args)], self._clock()
        while calls and now - calls[0] >= limit.within:
            calls.popleft()
        if len(calls) >= limit.calls:
            return math.ceil((limit.within - (now - calls[0])).total_seconds())
        calls.append(now)
        return None
