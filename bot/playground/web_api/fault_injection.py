"""Faults that tests inject: a method that refuses, fails, hangs or loses its response, and lost acknowledgements."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

from bot.playground.workspace.messages import Json
from bot.playground.workspace.watch import Watch


@dataclass(slots=True)
class InjectedFault:
    """A fault of a method. `times` is how many more calls it affects, None for every call."""

    kind: Literal["refuse", "rate_limit", "lose_answer", "fail"]
    error: str = ""
    retry_after_s: int = 0
    status: int | None = None  # of the HTTP response; None breaks the connection
    times: int | None = None
    details: Json = field(default_factory=dict)


class HeldCalls:
    """A gate that keeps the calls of a method waiting until the test opens it."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._futures: set[asyncio.Future[bool]] = set()
        self._is_open = False

    @property
    def waiting(self) -> int:
        """How many calls are waiting."""
        return len(self._futures)

    def release(self) -> None:
        """Let the waiting calls continue, and all later ones."""
        self._open(may_continue=True)

    def drop(self) -> None:
        """Break off the waiting calls as if the network had lost them. Later calls continue."""
        self._open(may_continue=False)

    async def wait(self) -> bool:
        """Wait at the gate. Return whether the call may continue."""
        if self._is_open:
            return True
        future = asyncio.get_running_loop().create_future()
        self._futures.add(future)
        self._watch.changed()
        try:
            return bool(await future)
        finally:
            self._futures.discard(future)

    def _open(self, *, may_continue: bool) -> None:
        self._is_open = True
        for future in self._futures:
            if not future.done():
                future.set_result(may_continue)


class FaultInjector:
    """The faults to inject. Faults of one method take effect in the order in which they were added."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._faults: defaultdict[str, list[InjectedFault]] = defaultdict(list)
        self._gates: dict[tuple[str, bool], HeldCalls] = {}  # by method, and whether it is after the work
        self._acks_to_drop = 0

    def refuse(self, method: str, error: str, times: int | None = None, **details: object) -> None:
        """Make a method respond with this error."""
        self._faults[method].append(InjectedFault("refuse", error, times=times, details=details))

    def rate_limit(self, method: str, retry_after_s: int = 1, times: int | None = 1) -> None:
        """Make a method respond with 429 and this Retry-After."""
        self._faults[method].append(InjectedFault("rate_limit", "ratelimited", retry_after_s, times=times))

    def lose_answer(self, method: str, times: int | None = 1, status: int | None = None) -> None:
        """Make a method do its work but lose its response. The app gets this HTTP status or a broken connection."""
        self._faults[method].append(InjectedFault("lose_answer", status=status, times=times))

    def fail(self, method: str, times: int | None = 1, status: int = 503) -> None:
        """Make a method do nothing and respond with this HTTP status."""
        self._faults[method].append(InjectedFault("fail", f"http_{status}", status=status, times=times))

    def hold(self, method: str, *, after: bool = False) -> HeldCalls:
        """Keep the calls of a method waiting before their work, or with `after` between work and response.

        In Socket Mode a kind of delivery (`events_api`) can be held like a method. A second hold on the same method
        replaces the first. Calls that wait at the first one keep waiting there, and later calls overtake them.
        """
        self._gates[method, after] = HeldCalls(self._watch)
        return self._gates[method, after]

    def drop_acks(self, times: int) -> None:
        """Lose this many acknowledgements of the app."""
        self._acks_to_drop += times

    def clear(self, method: str) -> None:
        """Remove the faults of a method and release its waiting calls."""
        self._faults.pop(method, None)
        for after in (False, True):
            if gate := self._gates.pop((method, after), None):
                gate.release()

    async def may_continue(self, method: str, *, after: bool = False) -> bool:
        """Wait while the method is held. Return whether the call may continue."""
        gate = self._gates.get((method, after))
        return gate is None or await gate.wait()

    def take(self, method: str) -> InjectedFault | None:
        """Return the fault of this call, or None, and count it."""
        for fault in self._faults.get(method, ()):
            if fault.times is None:
                return fault
            if fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def take_ack_drop(self) -> bool:
        """Return whether this acknowledgement is lost, and count it."""
        if self._acks_to_drop == 0:
            return False
        self._acks_to_drop -= 1
        return True
