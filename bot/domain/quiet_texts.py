"""The replies to `!quiet` and `!back`, and to a command that this version does not know."""

from __future__ import annotations

from bot.domain.language import translated
from bot.domain.listening import QuietOutcome

_REPLIES = {
    QuietOutcome.QUIET: "OK, I'll be quiet in this thread. I read along, and I answer again once somebody mentions me "
    "or writes `!back`.",
    QuietOutcome.ALREADY_QUIET: "I'm quiet in this thread already. I answer again once somebody mentions me or writes "
    "`!back`.",
    QuietOutcome.BACK: "I'm back, and I answer in this thread as before.",
    QuietOutcome.NOT_QUIET: "I'm here: I wasn't quiet in this thread.",
    QuietOutcome.OUTSIDE: "I take no part in this thread, so I answer only messages that mention me.",
    QuietOutcome.DIRECT: "It's just the two of us here, so I answer all that you write. To end an answer, write "
    "`!stop`.",
}

BEING_UPDATED = (
    "I've got that, but I'm just being updated and can't tell you what came of it. If you're not sure, please write it "
    "again in a minute."
)

OF_QUIET = (
    "• *Have me listen only*: write `!quiet` in the thread. I answer there again once somebody mentions me or writes "
    "`!back`. A message that begins by mentioning somebody else is none of my business.\n"
)


def reply(outcome: QuietOutcome) -> str:
    """Return the reply to a `!quiet` or a `!back`."""
    return translated(_REPLIES[outcome])
