"""Waiting for a state, and what waiting costs."""

from __future__ import annotations

import asyncio

from bot.playground.workspace.watch import Watch

CHANGES = 200


async def test_every_change_wakes() -> None:
    """Whenever something changes, the question is asked again."""
    watch, asked = Watch(), 0

    def holds() -> bool:
        nonlocal asked
        asked += 1
        asyncio.get_running_loop().call_soon(watch.changed)
        return asked == CHANGES

    await watch.until(holds, timeout_s=20, describe=str)


async def test_a_slow_question_is_asked_less_often() -> None:
    """One that takes milliseconds is not asked at every change, and yet none gets lost by it."""
    watch, seen, asked = Watch(), 0, 0

    def holds() -> bool:
        nonlocal asked
        asked += 1
        return sum(range(300_000)) > 0 and seen == CHANGES

    waiting = asyncio.ensure_future(watch.until(holds, timeout_s=20, describe=str))
    for seen in range(1, CHANGES + 1):  # noqa: B007 - the question reads it
        await asyncio.sleep(0)
        watch.changed()
    await waiting

    assert asked < CHANGES // 4
