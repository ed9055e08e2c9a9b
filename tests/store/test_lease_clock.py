"""The lease clock: a process that was suspended knows that its leases may be over."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from bot.store import lease_clock
from bot.store.lease_clock import LeaseClock

STEPS = st.lists(st.tuples(st.floats(-100, 100), st.floats(0, 100)), max_size=20)


class Source:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@given(STEPS)
def test_it_falls_behind_no_source_and_never_goes_back(steps: list[tuple[float, float]]) -> None:
    """Whichever of its sources stands still, or is set back, it advances at least as much as the other one."""
    wall, boot = Source(), Source()
    clock = LeaseClock(wall, boot)
    before, began_at = clock(), boot.now
    for by_wall, by_boot in steps:
        wall.now += by_wall
        boot.now += by_boot
        after = clock()
        assert after - before >= max(by_wall, by_boot, 0.0) - 1e-6
        before = after
    assert clock() >= boot.now - began_at - 1e-6


def test_it_counts_the_time_of_a_suspended_machine() -> None:
    """Its first source is CLOCK_BOOTTIME where there is one, which no suspension stops."""
    source = lease_clock._since_boot  # noqa: SLF001
    wanted = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

    assert abs(source() - wanted) < 60.0
