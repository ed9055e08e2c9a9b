"""`attendant doctor`: the checks of the start, each with its outcome."""

from __future__ import annotations

import argparse
import asyncio

from bot.cli import checks, output
from bot.config.settings import Settings


def doctor_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant doctor`."""
    outcomes = asyncio.run(_run_all(settings, show=not options.json))
    if options.json:
        output.print_json(outcomes)
    return 0 if all(outcome["passed"] for outcome in outcomes) else 1


async def _run_all(settings: Settings, *, show: bool) -> list[dict[str, object]]:
    outcomes: list[dict[str, object]] = []
    for check in checks.ALL:
        with output.waiting(f"Checking: {check.name} ..."):
            outcome = await checks.outcome(check, settings)
        outcomes.append({"check": check.name, "passed": outcome.passed, "detail": outcome.detail})
        if show:  # before the next check, which may wait for a server
            output.print_check(check.name, outcome.detail, passed=outcome.passed)
    return outcomes
