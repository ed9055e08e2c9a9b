"""Trouble on purpose, for tests: a method that refuses, is slow or loses its answer; acknowledgements that get lost."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

from bot.playground.messages import Json
from bot.playground.watch import Watch


@dataclass(slots=True)
class Fault:
    """What goes wrong with a method, and how many times more (None: always)."""

    kind: Literal["refuse", "rate_limit", "lose_answer"]
    error: str = ""
    retry_after_s: int = 0
    times: int | None = None
    details: Json = field(default_factory=dict)


class Hold:
    """Keeps the calls of a method waiting until they are released. `waiting` says how many there are."""

    def __init__(self, watch: Watch) -> None:
        self.waiting = 0
        self._watch = watch
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let them go on, and those that come later too."""
        self._released.set()

    async def wait(self) -> None:
        """Return when released."""
        self.waiting += 1
        self._watch.changed()
        try:
            await self._released.wait()
        finally:
            self.waiting -= 1


class Faults:
    """What shall go wrong. Faults of one method happen in the order in which they were asked for."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self._holds: dict[str, Hold] = {}
        self._acks_to_drop = 0

    def refuse(self, method: str, error: str, times: int | None = None, **details: object) -> None:
        """Have a method answer `error`, so many times or always."""
        self._faults[method].append(Fault("refuse", error, times=times, details=details))

    def rate_limit(self, method: str, retry_after_s: int = 1, times: int | None = 1) -> None:
        """Have a method answer 429 with this Retry-After."""
        self._faults[method].append(Fault("rate_limit", "ratelimited", retry_after_s, times))

    def lose_answer(self, method: str, times: int | None = 1) -> None:
        """Have a method do its work, and the connection break before its answer."""
        self._faults[method].append(Fault("lose_answer", times=times))

    def hold(self, method: str) -> Hold:
        """Keep the calls of a method waiting."""
        self._holds[method] = Hold(self._watch)
        return self._holds[method]

    def drop_acks(self, times: int) -> None:
        """Lose so many acknowledgements on their way to Slack."""
        self._acks_to_drop += times

    def clear(self, method: str) -> None:
        """Let a method work again."""
        self._faults.pop(method, None)
        if hold := self._holds.pop(method, None):
            hold.release()

    def hold_of(self, method: str) -> Hold | None:
        """What keeps the method's calls waiting, or None."""
        return self._holds.get(method)

    def next_of(self, method: str) -> Fault | None:
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
