"""Fixed replies: the outcomes of commands, as the column messages.fixed_reply holds them."""

from __future__ import annotations

from bot.domain.listening import QuietOutcome
from bot.domain.sessions import ResetOutcome, StatusReply, StopOutcome

FixedReply = ResetOutcome | StopOutcome | StatusReply | QuietOutcome

_KNOWN: dict[str, FixedReply] = {
    each.value: each for each in (*ResetOutcome, *StopOutcome, *StatusReply, *QuietOutcome)
}


def read(stored: str) -> FixedReply:
    """Return the outcome. During a rolling deploy, a replica of the next version may have stored one of its own."""
    return _KNOWN.get(stored, StatusReply.UNKNOWN)
