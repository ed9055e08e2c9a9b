"""Slack's rate limits, off by default.

Each method has a tier, and posting has a limit per channel: docs.slack.dev/apis/web-api/rate-limits.
A method for which Slack documents no number (assistant.threads.setStatus, auth.test) has no limit here.
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
    """A sliding-window limit of `calls` in any period `within`, for each channel separately if `by_channel`."""

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
    "conversations.members": _TIER_4,
    "conversations.replies": _TIER_3,
    "files.delete": _TIER_3,
    "chat.appendStream": _TIER_4,
    "chat.postEphemeral": _TIER_4,
    "usergroups.users.list": _TIER_2,
    "users.info": _TIER_4,
    "views.open": _TIER_4,
    "views.publish": _TIER_4,
    "views.update": _TIER_4,
    "files.completeUploadExternal": _TIER_4,
    "files.getUploadURLExternal": _TIER_4,
    "chat.postMessage": Limit(1, timedelta(seconds=1), by_channel=True),
}


def bucket_of(method: str, args: Json) -> tuple[str, str]:
    """Return the key by which a call is counted: its method, and its channel if the limit is per channel."""
    limit = LIMITS.get(method)
    return method, str(args.get("channel", "")) if limit and limit.by_channel else ""


class RateLimits:
    """Limits the calls of the methods for which `enforce` was called."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._enforced: set[str] = set()
        self._calls: defaultdict[tuple[str, str], deque[datetime]] = defaultdict(deque)

    def enforce(self, *methods: str) -> None:
        """Switch on the limits of these methods, or without arguments of all methods."""
        self._enforced |= set(methods or LIMITS)

    def retry_after_s(self, method: str, args: Json) -> int | None:
        """Count a call and return None, or return the seconds to wait. A refused call does not count."""
        if method not in self._enforced:
            return None
        limit, calls, now = LIMITS[method], self._calls[bucket_of(method, args)], self._clock()
        while calls and now - calls[0] >= limit.within:
            calls.popleft()
        if len(calls) >= limit.calls:
            return math.ceil((limit.within - (now - calls[0])).total_seconds())
        calls.append(now)
        return None
