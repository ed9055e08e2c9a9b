"""Durations in words, for sentences that people read, in the reader's language."""

from __future__ import annotations

import math
from datetime import timedelta

from bot.domain.language import plural

MINUTE = timedelta(minutes=1)


def duration(time: timedelta, units: int = 2) -> str:
    """Return a duration in its largest units, such as "1 day 2 hours"; empty for less than a minute."""
    minutes = max(0, int(time.total_seconds())) // 60
    days, hours = minutes // 1_440, minutes // 60 % 24
    parts = [
        plural("{count} day", "{count} days", days) if days else "",
        plural("{count} hour", "{count} hours", hours) if hours else "",
        plural("{count} minute", "{count} minutes", minutes % 60) if minutes % 60 else "",
    ]
    return " ".join([part for part in parts if part][:units])


def whole_minutes(seconds: float) -> timedelta:
    """Return the seconds, rounded up to minutes, so that a person who waits for that time does not come too early."""
    return math.ceil(seconds / MINUTE.total_seconds()) * MINUTE
