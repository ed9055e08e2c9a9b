"""The replies to `!quiet` and `!back`, and to a command that this version does not know."""

from __future__ import annotations

from typing import Literal

from bot.domain.language import translated
from bot.domain.listening import QuietOutcome
from bot.domain.sessions import StatusReply

_REPLIES: dict[QuietOutcome | StatusReply, str] = {
    QuietOutcome.QUIET: "OK, I'll be quiet in this thread. I read along, and I answer again once somebody mentions me "
    "or writes `!back`.",
    QuietOutcome.ALREADY_QUIET: "I'm quiet in this thread already. I answer again once somebody mentions me or writes "
    "`!back`.",
    QuietOutcome.BACK: "I'm back, and I answer in this thread as before.",
    QuietOutcome.NOT_QUIET: "I'm here: I wasn't quiet in this thread.",
    QuietOutcome.OUTSIDE: "I take no part in this thread, so I answer only messages that mention me.",
    QuietOutcome.DIRECT: "It's just the two of us here, so I answer all that you write. To end an answer, write "
    "`!stop`.",
    StatusReply.UNKNOWN: "I've got that, but I'm just being updated and can't tell you what came of it. If you're not "
    "sure, please write it again in a minute.",
}


def reply(outcome: QuietOutcome | Literal[StatusReply.UNKNOWN]) -> str:
    """Return the reply to a `!quiet` or a `!back`, or to a command of another version."""
    return translated(_REPLIES[outcome])
