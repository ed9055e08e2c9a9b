"""The throttle: each wrong key from an address delays the next error response; old failures expire."""

from __future__ import annotations

from datetime import timedelta

from bot.gateway.inbound.auth_throttle import FORGET_AFTER, MAX_DELAY_S, MAX_NAMES, AuthThrottle
from tests.support.builders import NOON


def test_each_failure_doubles_the_delay_up_to_a_limit() -> None:
    """A failure delays only the address that it came from."""
    throttle = AuthThrottle()
    delays = [throttle.record_failure("10.0.0.1", NOON) for _ in range(2_000)]

    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(delays) == MAX_DELAY_S
    assert throttle.record_failure("10.0.0.2", NOON) == 0.1


def test_failures_expire() -> None:
    """The count starts again after ten minutes without a failure."""
    throttle = AuthThrottle()
    delays = [throttle.record_failure("10.0.0.1", NOON + FORGET_AFTER * pause) for pause in (0, 1, 2.1)]

    assert delays == [0.1, 0.2, 0.1]


def test_the_number_of_addresses_is_limited() -> None:
    """Above the limit, the throttle forgets the address with the oldest failure."""
    throttle = AuthThrottle()
    throttle.record_failure("first", NOON)
    for number in range(MAX_NAMES - 1):
        throttle.record_failure(str(number), NOON + timedelta(seconds=1))
    assert throttle.record_failure("first", NOON + timedelta(seconds=2)) == 0.2

    throttle.record_failure("one more", NOON + timedelta(seconds=3))
    assert throttle.record_failure("0", NOON + timedelta(seconds=4)) == 0.1
