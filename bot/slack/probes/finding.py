"""One probe's finding, and the two steps of a probe: it writes, and later it judges the messages that stand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.slack.behaviour import ALLOWED
from bot.slack.probes.scratch_thread import ScratchThread


@dataclass(frozen=True, slots=True)
class Finding:
    """`tried` names the probe, `did` says in plain words how Slack behaved. `facts` are fields of SlackBehaviour."""

    tried: str
    did: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Standing = Mapping[str, dict[str, Any]]  # the messages that stand in the thread, by ts
Judge = Callable[[Standing], Finding]


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe. `write` makes its calls, and returns the function that judges what stands. It raises CallError."""

    tried: str
    write: Callable[[ScratchThread], Awaitable[Judge]]


def concluded(tried: str, did: str, **facts: Any) -> Judge:
    """Return a judge for a finding that needs no look at the thread. Facts that are None are not known."""
    known = {name: value for name, value in facts.items() if value is not None}
    return lambda _: Finding(tried, did, known)


def words_for(code: str, taken: str = "Slack takes it") -> str:
    """Return plain words for the outcome of a call."""
    return taken if code == ALLOWED else f"Slack refuses it ({code})"
