"""A record of the calls that the app made of the Web API.

Rule: no token is kept; the newest calls are kept, up to a bound.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from bot.playground.messages import Json
from bot.playground.watch import Watch

_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its arguments as they came, and Slack's error or None."""

    method: str
    args: Json
    at: datetime
    error: str | None


class Calls:
    """The calls so far, oldest first."""

    def __init__(self, watch: Watch) -> None:
        self._made: deque[Call] = deque(maxlen=_KEPT)
        self._watch = watch

    def record(self, call: Call) -> None:
        """Keep a call that was answered."""
        self._made.append(call)
        self._watch.changed()

    def all(self) -> list[Call]:
        """Every call."""
        return list(self._made)

    def of(self, method: str) -> list[Call]:
        """The calls of one method."""
        return [call for call in self._made if call.method == method]
