"""The time-out of a client that reads slowly."""

from __future__ import annotations

import asyncio

import pytest

from bot.gateway.outbound.client_timeout import ClientTimeout
from tests.support.virtual_time import in_virtual_time, now


@in_virtual_time
async def test_all_waits_for_a_client_count_together() -> None:
    """A client that reads a little now and then does not keep its answer alive. Other time does not count."""
    client_timeout = ClientTimeout(60)
    for _ in range(2):
        async with client_timeout.writing():
            await passed(25)
        await passed(1_000)  # the model thinks
    began = now()
    with pytest.raises(ConnectionResetError):
        async with client_timeout.writing():
            await passed(25)

    assert now() - began == pytest.approx(10)


async def passed(seconds: float) -> None:
    """Return when so much virtual time has passed."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()
