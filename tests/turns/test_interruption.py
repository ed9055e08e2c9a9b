"""The interruption of one turn: which step it ends, and how often."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain.sessions import Interrupted
from bot.turns.interruption import Interruption, TurnInterrupted


async def forever() -> None:
    """A step that never ends by itself."""
    await asyncio.Event().wait()


async def at_once() -> str:
    """A step without a wait."""
    return "done"


@pytest.mark.parametrize("why", Interrupted)
async def test_an_interruption_that_is_polled_again_ends_one_step(why: Interrupted) -> None:
    """A process polls the same interruption until the turn is settled. The steps that settle it run."""
    interruption = Interruption()
    asyncio.get_running_loop().call_soon(interruption.interrupt, why)
    with pytest.raises(TurnInterrupted):
        await interruption.limit(forever)
    interruption.interrupt(why)

    assert await interruption.limit(at_once) == "done"


async def test_another_reason_ends_a_further_step() -> None:
    """A question that is edited and then deleted has no answer to finish."""
    interruption = Interruption()
    interruption.interrupt(Interrupted.EDITED)
    with pytest.raises(TurnInterrupted):
        await interruption.limit(at_once)
    interruption.interrupt(Interrupted.DELETED)

    with pytest.raises(TurnInterrupted):
        await interruption.limit(at_once)
    assert interruption.why is Interrupted.DELETED
