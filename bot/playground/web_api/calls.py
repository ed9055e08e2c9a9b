"""A log of the app's Web API calls.

Rule: it contains no tokens, and at most a fixed number of the newest calls.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.playground.web_api.rate_limits import bucket_of
from bot.playground.workspace.messages import Json
from bot.playground.workspace.watch import Watch

_MAX_KEPT = 50_000
_IN_FLIGHT = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call with its arguments and its error: Slack's, or an injected one.

    A call without an error was carried out, although its response may have been lost.
    """

    method: str
    args: Json
    at: datetime  # when it arrived
    error: str | None
    answered_at: datetime
    retry_after_s: int | None = None  # of a 429 response


class ApiCalls:
    """The calls so far, oldest first."""

    def __init__(self, watch: Watch) -> None:
        self._calls: deque[ApiCall] = deque(maxlen=_MAX_KEPT)
        self._counts: Counter[str] = Counter()
        self._watch = watch

    def record(self, call: ApiCall) -> None:
        """Add a call that has ended."""
        self._calls.append(call)
        self._counts[call.method] += 1
        self._watch.changed()

    def all(self) -> list[ApiCall]:
        """Return every call."""
        return list(self._calls)

    def of(self, method: str) -> list[ApiCall]:
        """Return the calls of one method."""
        return [call for call in self._calls if call.method == method]

    def count(self, method: str) -> int:
        """Return the number of calls of one method, in constant time."""
        return self._counts[method]

    def refused(self) -> list[ApiCall]:
        """Return the calls that got a 429."""
        return [call for call in self._calls if call.retry_after_s is not None]

    def too_early(self, in_flight: timedelta = _IN_FLIGHT) -> list[ApiCall]:
        """Return the calls that did not respect the Retry-After of an earlier 429.

        Calls within `in_flight` after that 429 do not count, since the app may have sent them before it read the 429.
        """
        retry_windows: defaultdict[tuple[str, str], list[tuple[datetime, datetime]]] = defaultdict(list)
        for call in self._calls:
            if call.retry_after_s is not None:
                end = call.answered_at + timedelta(seconds=call.retry_after_s)
                retry_windows[bucket_of(call.method, call.args)].append((call.answered_at + in_flight, end))
        return [
            call
            for call in self._calls
            if any(start < call.at < end for start, end in retry_windows.get(bucket_of(call.method, call.args), ()))
        ]
