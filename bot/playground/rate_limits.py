"""Slack's rate limits by tier, in calls per minute, off unless a method is named.

docs.slack.dev/apis/web-api/rate-limits
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

_MINUTE = timedelta(minutes=1)
PER_MINUTE = {
    "chat.startStream": 20,
    "chat.stopStream": 20,
    "chat.update": 50,
    "chat.delete": 50,
    "chat.postMessage": 60,  # one a second and channel
    "agents.sessions.setStatus": 50,
    "conversations.info": 50,
    "conversations.replies": 50,
    "chat.appendStream": 100,
    "chat.postEphemeral": 100,
    "users.info": 100,
}


class RateLimits:
    """Counts the calls of the methods for which the limits were switched on."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._calls: dict[str, deque[datetime]] = {}

    def enforce(self, *methods: str) -> None:
        """Switch the limits of these methods on."""
        self._calls |= {method: deque(maxlen=PER_MINUTE[method]) for method in methods}

    def retry_after_s(self, method: str) -> int | None:
        """Count a call: None when it may go on, else the seconds to wait; a refused call does not count."""
        calls = self._calls.get(method)
        now = self._clock()
        if calls is None:
            return None
        if len(calls) == calls.maxlen and now - calls[0] < _MINUTE:
            return math.ceil((_MINUTE - (now - calls[0])).total_seconds())
        calls.append(now)
        return None
