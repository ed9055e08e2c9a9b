"""Tests of waiting for a condition, and of its cost."""

from __future__ import annotations

import asyncio

from bot.playground.workspace.watch import Watch

CHANGES = 200


async def test_every_change_wakes() -> None:
    """The condition is evaluated again after every change."""
    watch, evaluations = Watch(), 0

    def condition() -> bool:
        nonlocal evaluations
        evaluations += 1
        asyncio.get_running_loop().call_soon(watch.changed)
        return evaluations == CHANGES

    await watch.until(condition, timeout_s=20, describe=str)


async def test_a_slow_condition_is_evaluated_less_often() -> None:
    """A slow condition is not evaluated at every change, but the last change is never missed."""
    watch, seen, evaluations = Watch(), 0, 0

    def condition() -> bool:
        nonlocal evaluations
        evaluations += 1
        return sum(range(300_000)) > 0 and seen == CHANGES

    waiting = asyncio.ensure_future(watch.until(condition, timeout_s=20, describe=str))
    for seen in range(1, CHANGES + 1):  # noqa: B007 - the condition reads it
        await asyncio.sleep(0)
        watch.changed()
    await waiting

    assert evaluations < CHANGES // 4
