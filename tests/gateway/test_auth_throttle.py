"""The brake: each wrong key from an address makes the next refusal slower; it forgets, and its memory is bounded."""

from __future__ import annotations

from datetime import timedelta

from bot.gateway.inbound import auth_throttle
from bot.gateway.inbound.auth_throttle import FORGOTTEN_AFTER, MOST_S, AuthThrottle
from tests.support.builders import NOON


def test_each_failure_doubles_the_wait_up_to_a_limit() -> None:
    """For its own address alone."""
    used = AuthThrottle()
    waits = [used.failed("10.0.0.1", NOON) for _ in range(2_000)]

    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(waits) == MOST_S
    assert used.failed("10.0.0.2", NOON) == 0.1


def test_it_forgets() -> None:
    """After some quiet minutes the count begins anew; until then it goes on."""
    used = AuthThrottle()
    waits = [used.failed("10.0.0.1", NOON + FORGOTTEN_AFTER * quiet) for quiet in (0, 1, 2.1)]

    assert waits == [0.1, 0.2, 0.1]


def test_its_memory_is_bounded() -> None:
    """Of many addresses the longest quiet are forgotten first."""
    used = AuthThrottle()
    used.failed("first", NOON)
    for number in range(auth_throttle.REMEMBERED - 1):
        used.failed(str(number), NOON + timedelta(seconds=1))
    assert used.failed("first", NOON + timedelta(seconds=2)) == 0.2

    used.failed("one more", NOON + timedelta(seconds=3))
    assert used.failed("0", NOON + timedelta(seconds=4)) == 0.1
