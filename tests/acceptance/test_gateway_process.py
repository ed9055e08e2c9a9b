"""The gateway as a process: beside the Slack bot, told to stop, and killed."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from bot.store import tables
from bot.store.engine import Store
from bot.testing import Hold
from tests.books import LONG_AGO
from tests.openai_server import OpenAIServer, says
from tests.process import Process
from tests.room import recites

HI = "My VPN is down"


@dataclass(frozen=True, slots=True)
class World:
    """What is around the processes."""

    folder: Path
    environ: Mapping[str, str]
    model: OpenAIServer
    key: str

    @asynccontextmanager
    async def running(self, *command: str, **environ: str) -> AsyncIterator[tuple[Process, str]]:
        """A process, and the gateway's address."""
        async with Process.running(self.folder, {**self.environ, **environ}, *command) as process:
            line = await process.says("Attendant is running")
            yield process, re.findall(r"http://[^/ ]+", line.partition(" at ")[2])[0]

    async def ask(self, address: str, text: str, *, stream: bool = False) -> tuple[int, str | None, str]:
        """The status, what became of the session, and all that was answered."""
        headers = {"Authorization": f"Bearer {self.key}", "sessionId": "one"}
        body: Any = {"messages": [{"role": "user", "content": text}], "stream": stream}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{address}/v1", json=body, headers=headers) as response,
        ):
            return response.status, response.headers.get("x-session-state"), await response.text()

    def hold_model(self) -> Hold:
        """Have the model's next answer wait until it is released."""
        hold = Hold()
        self.model.script(says("Try ", hold, "again."))
        return hold


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """With a model that recites, on each database."""
    model = OpenAIServer(recites)
    environ = {"DATABASE_URL": database_url, "OPENAI_BASE_URL": await model.start(), "OPENAI_API_KEY": "sk-test"}
    made = await Process.run(tmp_path, environ, "keys", "create", "test")
    yield World(tmp_path, environ, model, next(line for line in made.lines if line.startswith("sk-att-")))
    await model.stop()


async def test_it_runs_beside_the_slack_bot(world: World) -> None:
    """With a port of its own; the same sessions go on when it runs alone."""
    async with world.running("run", GATEWAY_PORT="0") as (_, address):
        assert (await world.ask(address, HI))[:2] == (200, "created")
    async with world.running("gateway") as (_, address):
        status, state, answer = await world.ask(address, "and now?")

    assert (status, state, HI in answer) == (200, "continued", True)


async def test_without_a_key_its_start_says_how_to_make_one(world: World, tmp_path: Path) -> None:
    """Nobody could ask there; with one it does not."""
    for database_url, told in ((f"sqlite:///{tmp_path / 'none.db'}", True), (world.environ["DATABASE_URL"], False)):
        environ = {**world.environ, "DATABASE_URL": database_url}
        async with Process.running(world.folder, environ, "gateway") as process:
            assert ("attendant keys create" in await process.says("Attendant is running")) is told


@pytest.mark.parametrize("stream", [False, True])
async def test_told_to_stop_it_finishes_what_it_answers(world: World, *, stream: bool) -> None:
    """For so long as it may, and the answer is remembered."""
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
async def test_told_to_stop_it_does_not_wait_for_ever(world: World, *, stream: bool) -> None:
    """What is not done by then ends with an error, and leaves nothing: the client asks again elsewhere."""
    hold = world.hold_model()
    async with world.running("gateway", DRAIN_SECONDS="0.1") as (process, address):
        asking = asyncio.create_task(world.ask(address, HI, stream=stream))
        await hold.reached()
        assert (await process.stop()).status == 0
        status, _, answer = await asking
        assert (status, "service_unavailable" in answer) == (200 if stream else 503, True)
    async with world.running("gateway", GATEWAY_WAIT_SECONDS="1") as (_, address):
        assert (await world.ask(address, "hello"))[:2] == (200, "created")


async def test_killed_it_leaves_nothing(world: World) -> None:
    """When its lease has run out, another replica goes on as if the request had not been."""
    async with world.running("gateway") as (process, address), world.running("gateway") as (_, other):
        await world.ask(address, "first")
        hold = world.hold_model()
        asking = asyncio.create_task(world.ask(address, HI))
        await hold.reached()
        await process.stop(signal.SIGKILL)
        await asyncio.gather(asking, return_exceptions=True)
        await _lapse(world.environ["DATABASE_URL"])
        status, state, answer = await world.ask(other, "second")

    assert (status, state) == (200, "continued")
    assert ("first" in answer, HI in answer) == (True, False)


async def _lapse(database_url: str) -> None:
    """Every lease runs out."""
    store = Store(database_url)
    over = sa.update(tables.threads).where(tables.threads.c.lease_until.is_not(None)).values(lease_until=LONG_AGO)
    await store.run(lambda connection: connection.execute(over))
    await store.close()
