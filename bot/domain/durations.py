"""Durations in words, for sentences that people read."""

from __future__ import annotations

import math
from datetime import timedelta

MINUTE = timedelta(minutes=1)


def duration(time: timedelta, units: int = 2) -> str:
    """Return a duration in its largest units, such as "1 day 2 hours"; empty for less than a minute."""
    minutes, parts = max(0, int(time.total_seconds())) // 60, []
    for unit, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        number, minutes = divmod(minutes, size)
        if number > 0:
            parts.append(f"{number} {unit}{'' if number == 1 else 's'}")
    return " ".join(parts[:units])


def whole_minutes(seconds: float) -> timedelta:
    """Return the seconds, rounded up to minutes, so that a person who waits for that time does not come too early."""
    return math.ceil(seconds / MINUTE.total_seconds()) * MINUTE
