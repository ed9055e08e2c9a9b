"""Which messages in a thread the bot answers although they do not mention it.

Rule: pure. In a direct message every message is for the bot, so nothing here applies there.
"""

from __future__ import annotations

import enum


class ThreadAnswers(enum.Enum):
    """Whose messages in a thread are answered without a mention (ANSWER_IN_THREADS)."""

    ALL = "all"
    PARTICIPANTS = "participants"  # those of people who have asked the bot in this thread before
    MENTIONS = "mentions"  # nobody's


class QuietOutcome(enum.Enum):
    """The outcome of `!quiet` or `!back`. The values are stored beside those of the other commands."""

    QUIET = "quiet"  # from now on only a mention is answered
    ALREADY_QUIET = "quiet_already"
    BACK = "quiet_ended"
    NOT_QUIET = "quiet_not"  # a `!back` that changed nothing
    OUTSIDE = "quiet_outside"  # the bot takes no part in the thread
    DIRECT = "quiet_direct"  # in a direct message
