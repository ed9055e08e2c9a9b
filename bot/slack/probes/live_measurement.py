"""The measurement: every probe in its turn, one look at the messages that stand, and their removal.

Rule: it takes two minutes at most, and removes its messages also when it is cancelled or fails.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.slack.behaviour import ALLOWED, Measurement, SlackBehaviour
from bot.slack.errors import CallError
from bot.slack.probes.finding import Finding, Judge, Probe, concluded
from bot.slack.probes.scratch_thread import ScratchThread
from bot.slack.probes.stream_probes import MORE_STREAMS, first_stream
from bot.slack.probes.surface_probes import FEEDBACK_AT_STOP, SURFACE_PROBES, status_probe
from bot.slack.probes.text_probes import TEXT_PROBES

_WRITE_S = 75.0  # reading and removing take 40 s at most

Tell = Callable[[Finding], None]


@dataclass(slots=True)
class Findings:
    """The findings so far, and the error codes of the messages that could not be deleted."""

    thread: ScratchThread
    tell: Tell  # is called with each finding
    found: list[Finding] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Add a finding, and tell it."""
        self.found.append(finding)
        self.tell(finding)

    def measurement(self, kind: str, now: datetime) -> Measurement:
        """Return all findings as one value."""
        sentences = {finding.tried: finding.did for finding in self.found}
        return Measurement(self.thread.bot.team_id, now, kind, _behaviour(self.found), sentences)


async def measure(thread: ScratchThread, kind: str, tell: Tell) -> Findings:
    """Measure in the thread, remove its messages, and return the findings.

    Raises StartupError when the bot may not post in the channel.
    """
    findings = Findings(thread, tell)
    try:
        await thread.open()
        await _measure(findings, kind)
    finally:
        findings.left = await thread.remove_all()
        if thread.root:
            findings.add(Finding("removing the messages", _removal_words(findings.left)))
    return findings


def _removal_words(left: Mapping[str, str]) -> str:
    codes = ", ".join(sorted(set(left.values())))
    return f"{len(left)} of them cannot be deleted ({codes})" if left else "all of them are deleted"


async def _measure(findings: Findings, kind: str) -> None:
    thread, judges = findings.thread, list[Judge]()
    try:
        async with thread.clock.timeout(_WRITE_S):
            await _write(judges, thread, kind)
    except TimeoutError:
        judges.append(concluded("the time", "it ran out, so the probes that are missing here were not tried"))
    try:
        standing = {str(message.get("ts")): message for message in await thread.read()}
    except CallError as failure:
        findings.add(Finding("reading the thread", f"Slack does not show what stands there ({failure.code})"))
        return
    for judge in judges:
        findings.add(judge(standing))


async def _write(judges: list[Judge], thread: ScratchThread, kind: str) -> None:
    await _attempt(judges, thread, *TEXT_PROBES, first_stream(kind))
    facts = judges[-1]({}).facts
    if facts.get("streams") == {kind: ALLOWED} and facts.get("stops", ALLOWED) == ALLOWED:  # else they stay behind
        await _attempt(judges, thread, *MORE_STREAMS, FEEDBACK_AT_STOP)
    await _attempt(judges, thread, *SURFACE_PROBES, status_probe(kind))


async def _attempt(judges: list[Judge], thread: ScratchThread, *probes: Probe) -> None:
    """Make the calls of these probes. One that cannot be tried has its judge as well."""
    for probe in probes:
        try:
            judges.append(await probe.write(thread))
        except CallError as failure:
            judges.append(concluded(probe.tried, f"could not be tried ({failure.code})"))


def _behaviour(findings: Iterable[Finding]) -> SlackBehaviour:
    """Return the facts together. Of two lengths at which a stream ended, the smaller counts, and a cut the most."""
    facts: dict[str, Any] = {}
    for finding in findings:
        for name, value in finding.facts.items():
            if name == "stream_bytes":
                facts[name] = min(value, facts.get(name, value))
            elif name != "long_stream" or facts.get(name) in (None, ALLOWED):
                facts[name] = value
    return dataclasses.replace(SlackBehaviour(), **facts)
