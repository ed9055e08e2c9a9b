"""`attendant doctor`: the checks of the start, each with its outcome, and the time to the model's first token."""

from __future__ import annotations

import argparse
import asyncio

from bot.cli import checks, output
from bot.cli.checks import Check, CheckOutcome
from bot.config.settings import Settings
from bot.llm.from_settings import open_model

SLOW_SHARE = 0.5  # of MODEL_TIMEOUT_SECONDS: a real question takes longer than a greeting


def doctor_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant doctor`."""
    if options.live:
        from bot.cli.live_doctor import measure_live  # noqa: PLC0415 - the usual checks do without it

        return asyncio.run(measure_live(settings, options.live, as_json=options.json))
    outcomes = asyncio.run(_run_all(settings, show=not options.json))
    if options.json:
        output.print_json(outcomes)
    return 0 if all(outcome["passed"] for outcome in outcomes) else 1


async def _run_all(settings: Settings, *, show: bool) -> list[dict[str, object]]:
    outcomes: list[dict[str, object]] = []
    passed = True
    for check in checks.ALL:
        with output.waiting(f"Checking: {check.name} ..."):
            outcome = await checks.outcome(check, settings)
        passed = _report(outcomes, check, outcome, show=show)  # before the next check, which may wait for a server
    if passed and not settings.uses_demo_model:  # the last check was the model's
        with output.waiting("Asking the model for a first token ..."):
            outcome = await checks.outcome(_FIRST_TOKEN, settings)
        _report(outcomes, _FIRST_TOKEN, outcome, show=show)
    return outcomes


def _report(outcomes: list[dict[str, object]], check: Check, outcome: CheckOutcome, *, show: bool) -> bool:
    """Add an outcome, and print it; return whether the check passed."""
    outcomes.append({"check": check.name, "passed": outcome.passed, "detail": outcome.detail})
    if show:
        output.print_check(check.name, outcome.detail, passed=outcome.passed)
    return outcome.passed


async def first_token(settings: Settings) -> str:
    """Measure the time to the first token; return it, with a warning if it is a large share of the timeout."""
    async with open_model(settings) as model:
        seconds, most = await model.first_piece_s(), settings.model_timeout_seconds
    measured = f"after {seconds:.1f} s"
    if seconds < SLOW_SHARE * most:
        return measured
    return f"{measured}. WARNING: that is close to MODEL_TIMEOUT_SECONDS ({most:g}); raise it to {4 * seconds:.0f}"


_FIRST_TOKEN = Check("first token", first_token)
