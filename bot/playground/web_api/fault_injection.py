"""Trouble on purpose, for tests: a method that refuses, fails, is slow or loses its answer; lost acknowledgements."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

from bot.playground.workspace.messages import Json
from bot.playground.workspace.watch import Watch


@dataclass(slots=True)
class InjectedFault:
    """What goes wrong with a method, and how many times more (None: always)."""

    kind: Literal["refuse", "rate_limit", "lose_answer", "fail"]
    error: str = ""
    retry_after_s: int = 0
    status: int | None = None  # of the HTTP answer; None breaks the connection
    times: int | None = None
    details: Json = field(default_factory=dict)


class HeldCall:
    """Keeps the calls of a method waiting until they are let go. `waiting` says how many there are."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._held: set[asyncio.Future[bool]] = set()
        self._over = False

    @property
    def waiting(self) -> int:
        """How many calls are held."""
        return len(self._held)

    def release(self) -> None:
        """Let them go on, and those that come later too."""
        self._end(go_on=True)

    def drop(self) -> None:
        """Let them break off as if they had got lost on their way; those that come later go on."""
        self._end(go_on=False)

    async def wait(self) -> bool:
        """Return when let go: whether to go on."""
        if self._over:
            return True
        held = asyncio.get_running_loop().create_future()
        self._held.add(held)
        self._watch.changed()
        try:
            return bool(await held)
        finally:
            self._held.discard(held)

    def _end(self, *, go_on: bool) -> None:
        self._over = True
        for held in self._held:
            if not held.done():
                held.set_result(go_on)


class FaultInjector:
    """What shall go wrong. Faults of one method happen in the order in which they were asked for."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._faults: defaultdict[str, list[InjectedFault]] = defaultdict(list)
        self._holds: dict[tuple[str, bool], HeldCall] = {}
        self._acks_to_drop = 0

    def refuse(self, method: str, error: str, times: int | None = None, **details: object) -> None:
        """Have a method answer `error`, so many times or always."""
        self._faults[method].append(InjectedFault("refuse", error, times=times, details=details))

    def rate_limit(self, method: str, retry_after_s: int = 1, times: int | None = 1) -> None:
        """Have a method answer 429 with this Retry-After."""
        self._faults[method].append(InjectedFault("rate_limit", "ratelimited", retry_after_s, times=times))

    def lose_answer(self, method: str, times: int | None = 1, status: int | None = None) -> None:
        """Have a method do its work, and then the connection break, or a server error of this status come instead."""
        self._faults[method].append(InjectedFault("lose_answer", status=status, times=times))

    def fail(self, method: str, times: int | None = 1, status: int = 503) -> None:
        """Have a method do nothing and answer a server error of this status."""
        self._faults[method].append(InjectedFault("fail", f"http_{status}", status=status, times=times))

    def hold(self, method: str, *, after: bool = False) -> HeldCall:
        """Keep the calls of a method waiting before their work is done, or after it, before the answer.

        In Socket Mode a kind of delivery (`events_api`) is held like a method: what comes after a hold that was
        replaced by another overtakes what the first one keeps.
        """
        self._holds[method, after] = HeldCall(self._watch)
        return self._holds[method, after]

    def drop_acks(self, times: int) -> None:
        """Lose so many acknowledgements on their way to Slack."""
        self._acks_to_drop += times

    def clear(self, method: str) -> None:
        """Let a method work again."""
        self._faults.pop(method, None)
        for after in (False, True):
            if hold := self._holds.pop((method, after), None):
                hold.release()

    async def goes_on(self, method: str, *, after: bool = False) -> bool:
        """Whether a call goes on, when nothing holds it any more."""
        hold = self._holds.get((method, after))
        return hold is None or await hold.wait()

    def next_of(self, method: str) -> InjectedFault | None:
        """What goes wrong with this call of a method, or None."""
        for fault in self._faults.get(method, ()):
            if fault.times is None:
                return fault
            if fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def drops_ack(self) -> bool:
        """Whether this acknowledgement gets lost."""
        if self._acks_to_drop == 0:
            return False
        self._acks_to_drop -= 1
        return True
