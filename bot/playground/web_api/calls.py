"""A record of the calls that the app made of the Web API.

Rule: no token is kept; the newest calls are kept, up to a bound.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.playground.web_api.rate_limits import counted_with
from bot.playground.workspace.messages import Json
from bot.playground.workspace.watch import Watch

_KEPT = 50_000
_ON_THEIR_WAY = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call: its arguments as they came, and Slack's error, or the trouble that a test asked for.

    Without an error its work was done, though its answer may have got lost.
    """

    method: str
    args: Json
    at: datetime  # when it came
    error: str | None
    answered_at: datetime
    retry_after_s: int | None = None  # of a call that was refused with 429


class ApiCalls:
    """The calls so far, oldest first."""

    def __init__(self, watch: Watch) -> None:
        self._made: deque[ApiCall] = deque(maxlen=_KEPT)
        self._counts: Counter[str] = Counter()
        self._watch = watch

    def record(self, call: ApiCall) -> None:
        """Keep a call that was answered."""
        self._made.append(call)
        self._counts[call.method] += 1
        self._watch.changed()

    def all(self) -> list[ApiCall]:
        """Every call."""
        return list(self._made)

    def of(self, method: str) -> list[ApiCall]:
        """The calls of one method."""
        return [call for call in self._made if call.method == method]

    def count(self, method: str) -> int:
        """How many calls of one method there were; quick, however many."""
        return self._counts[method]

    def refused(self) -> list[ApiCall]:
        """The calls that were too many, and got a 429."""
        return [call for call in self._made if call.retry_after_s is not None]

    def too_early(self, on_their_way: timedelta = _ON_THEIR_WAY) -> list[ApiCall]:
        """The calls that came before the end of an earlier 429's Retry-After.

        Those that came within `on_their_way` of that 429 do not count: they were sent before it was read.
        """
        closed: defaultdict[tuple[str, str], list[tuple[datetime, datetime]]] = defaultdict(list)
        for call in self._made:
            if call.retry_after_s is not None:
                opens = call.answered_at + timedelta(seconds=call.retry_after_s)
                closed[counted_with(call.method, call.args)].append((call.answered_at + on_their_way, opens))
        return [
            call
            for call in self._made
            if any(since < call.at < until for since, until in closed.get(counted_with(call.method, call.args), ()))
        ]
