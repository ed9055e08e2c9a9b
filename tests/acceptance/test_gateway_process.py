"""The gateway as a process: beside the Slack bot, stopped by a signal, and killed."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.store.engine import Store
from bot.store.tables import RUNNING
from bot.turns.leases import LEASE
from tests.support.gateway_world import GatewayWorld
from tests.support.process import Process
from tests.support.store_driver import lapse

HI = "My VPN is down"


async def test_the_gateway_runs_beside_the_slack_bot(world: GatewayWorld) -> None:
    """The gateway has its own port. Its sessions continue when it runs alone."""
    async with world.running("run", GATEWAY_PORT="0") as (_, address):
        assert (await world.ask(address, HI))[:2] == (200, "created")
    async with world.running("gateway") as (_, address):
        status, state, answer = await world.ask(address, "and now?")

    assert (status, state, HI in answer) == (200, "continued", True)


async def test_the_start_without_a_key_shows_how_to_make_one(world: GatewayWorld, tmp_path: Path) -> None:
    """Without a key nobody can use the API. If there is a key, the start prints no hint."""
    for database_url, has_hint in ((f"sqlite:///{tmp_path / 'none.db'}", True), (world.environ["DATABASE_URL"], False)):
        environ = {**world.environ, "DATABASE_URL": database_url}
        async with Process.running(world.folder, environ, "gateway") as process:
            assert ("attendant keys create" in await process.says("Attendant is running")) is has_hint


@pytest.mark.parametrize("stream", [False, True])
async def test_sigterm_lets_running_answers_finish(world: GatewayWorld, *, stream: bool) -> None:
    """The answer ends within the drain time and is stored."""
    hold = world.hold_model()
    async with world.running("gateway") as (process, address):
        asking = asyncio.create_task(world.ask(address, HI, stream=stream))
        await hold.reached()
        process.tell()
        assert "An answer runs" in await process.says("is stopping")
        hold.release()

        assert (await asking)[0] == 200
        assert (await process.ended()).status == 0
    async with world.running("gateway") as (_, address):
        assert HI in (await world.ask(address, "and now?"))[2]


@pytest.mark.parametrize("stream", [False, True])
async def test_sigterm_ends_long_requests_after_the_drain_time(world: GatewayWorld, *, stream: bool) -> None:
    """A request ends with an error and leaves no row, so that the client can retry it elsewhere."""
    hold = world.hold_model()
    async with world.running("gateway", DRAIN_SECONDS="0.1") as (process, address):
        asking = asyncio.create_task(world.ask(address, HI, stream=stream))
        await hold.reached()
        assert (await process.stop()).status == 0
        status, _, answer = await asking
        assert (status, "service_unavailable" in answer) == (200 if stream else 503, True)
    async with world.running("gateway", GATEWAY_WAIT_SECONDS="1") as (_, address):
        assert (await world.ask(address, "hello"))[:2] == (200, "created")


async def killed_in_an_answer(world: GatewayWorld, process: Process, address: str) -> None:
    """Ask two questions in one session. SIGKILL comes during the second answer."""
    await world.ask(address, "first")
    hold = world.hold_model()
    asking = asyncio.create_task(world.ask(address, HI))
    await hold.reached()
    await process.stop(signal.SIGKILL)
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_restarted_gateway_continues_a_session_at_once(world: GatewayWorld) -> None:
    """After SIGKILL and a restart a session is not kept busy by the request that died."""
    async with world.running("gateway") as (process, address):
        await killed_in_an_answer(world, process, address)
    async with world.running("gateway", GATEWAY_WAIT_SECONDS="10") as (_, address):  # a third of a lease
        status, state, answer = await world.ask(address, "second")

    assert (status, state) == (200, "continued")
    assert ("first" in answer, HI in answer) == (True, False)


async def test_a_killed_gateways_question_is_withdrawn_at_once(world: GatewayWorld) -> None:
    """The next process finds that the old one is gone, and removes its question long before the lease runs out."""
    async with world.running("gateway") as (process, address):
        await killed_in_an_answer(world, process, address)
    store, since = Store(world.environ["DATABASE_URL"]), time.monotonic()
    assert await running(store) == 1
    async with world.running("gateway"):
        while await running(store):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0)
    await store.close()

    assert time.monotonic() - since < LEASE.total_seconds() / 2


async def running(store: Store) -> int:
    """Return how many turns run, by the rows."""
    return await store.run(
        lambda connection: connection.execute(sa.select(sa.func.count()).where(RUNNING)).scalar_one()
    )


async def test_a_killed_gateway_leaves_no_request(world: GatewayWorld) -> None:
    """When the lease has expired, another replica continues the session without the request."""
    async with world.running("gateway") as (process, address), world.running("gateway") as (_, other):
        await killed_in_an_answer(world, process, address)
        store = Store(world.environ["DATABASE_URL"])
        await lapse(store)
        await store.close()
        status, state, answer = await world.ask(other, "second")

    assert (status, state) == (200, "continued")
    assert ("first" in answer, HI in answer) == (True, False)
