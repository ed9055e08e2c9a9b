"""The pacer: the steps of many requests are spread over passes of the event loop."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable

from bot.turns.pacer import LONG_PASS_S, MOST_STEPS, Pacer

MANY = 1_000


async def steps_in_each_pass(begin: Callable[[Callable[[], None]], None]) -> list[int]:
    """Let `begin` begin many steps that call its argument. Return how many were made in each pass until all were."""
    made = itertools.count(1)
    done, counts = 0, list[int]()

    def count() -> None:
        nonlocal done
        done = next(made)

    begin(count)
    while done < MANY:
        before = done
        await asyncio.sleep(0)
        counts.append(done - before)
    return counts


async def test_a_pass_makes_a_few_steps() -> None:
    """A thousand requests that are ready at once make a few steps in each pass. None is left out."""
    pacer, tasks = Pacer(), list[asyncio.Task[None]]()

    async def request(count: Callable[[], None]) -> None:
        await pacer.step()
        count()

    def begin(count: Callable[[], None]) -> None:
        tasks.extend(asyncio.create_task(request(count)) for _ in range(MANY))

    counts = await steps_in_each_pass(begin)

    assert max(counts) <= 2 * MOST_STEPS  # those at once, and those that waited for this pass
    assert sum(counts) == MANY


async def test_a_pass_calls_a_few_functions() -> None:
    """The same holds for a thousand calls, such as the ends of lost connections."""
    pacer = Pacer()

    def begin(count: Callable[[], None]) -> None:
        for _ in range(MANY):
            pacer.call(count)

    counts = await steps_in_each_pass(begin)

    assert max(counts) <= MOST_STEPS


async def test_steps_are_made_in_the_order_in_which_they_came() -> None:
    """A step that came later never overtakes one that waits. A cancelled one is left out."""
    pacer, order = Pacer(), list[int]()

    async def request(number: int) -> None:
        await pacer.step()
        order.append(number)

    tasks = [asyncio.create_task(request(number)) for number in range(4 * MOST_STEPS)]
    await asyncio.sleep(0)
    tasks[2 * MOST_STEPS].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert order == [number for number in range(4 * MOST_STEPS) if number != 2 * MOST_STEPS]


async def test_long_steps_leave_room_for_others() -> None:
    """When each step takes long, a pass soon makes one of them only."""
    pacer, steps = Pacer(), itertools.count()

    def begin(count: Callable[[], None]) -> None:
        def step() -> None:
            count()
            if next(steps) < 2 * MOST_STEPS:
                until = time.monotonic() + LONG_PASS_S
                while time.monotonic() < until:
                    pass

        for _ in range(MANY):
            pacer.call(step)

    counts = await steps_in_each_pass(begin)

    assert 1 in counts[:10]
