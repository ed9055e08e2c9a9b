"""Attacks over HTTP: how long people in Slack wait while the bot is quiet, and beside each attack."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from bot.testing import PausedStep
from tests.support import attacks
from tests.support.hostile_world import HostileWorld, Waits, hostile_world
from tests.support.openai_server import Fails, Says, delta, event

MENTIONS = 100  # beside each attack
KEYS = 50
READERS = 1_000
UNLIMITED = {"GATEWAY_REQUESTS_PER_MINUTE": "100000000", "GATEWAY_TOKENS_PER_MINUTE": "999999999"}
WRITTEN = 64  # pieces, a kilobyte each

Attack = Callable[[HostileWorld], AbstractAsyncContextManager[object]]


def report() -> None:
    """Measure, then print the table."""
    asyncio.run(_report())


async def _report() -> None:
    print(f"\nAttacks over HTTP, each beside {MENTIONS} mentions in Slack, ten a second; ms.")
    print(f"{'':44}{'ack, p50':>14}{'p99':>14}{'first words':>14}{'p99':>14}")
    for name, attack in ATTACKS.items():
        waits = await _waits(attack)
        figures = (*_percentiles(waits.acks), *_percentiles(waits.first_words))
        print(f"{name:44}" + "".join(f"{value:>14.0f}" for value in figures))


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile, in milliseconds."""
    return 1000 * statistics.median(seconds), 1000 * statistics.quantiles(seconds, n=100, method="inclusive")[-1]


async def _waits(attack: Attack) -> Waits:
    with tempfile.TemporaryDirectory(prefix="attendant-bench-", dir="/tmp") as folder:
        async with hostile_world(Path(folder), keys=KEYS, environ=UNLIMITED) as world:
            async with attack(world), world.mentions() as mentions:
                await mentions.more(MENTIONS)
            return mentions.waits()


@asynccontextmanager
async def _quiet(_: HostileWorld) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _quoted_values(world: HostileWorld) -> AsyncIterator[None]:
    words = "Invalid value: 'maximum context 600'"
    world.answer = lambda _: Fails(400, {"message": words, "param": "stop", "code": "invalid_value"})
    body = partial(attacks.asking, "x " * 2_000, stop=["maximum context 600"])
    async with _flooded(world, body):
        yield


def _held() -> Says:
    """Return an answer that is written at once and then never ends, so that the model itself costs no CPU time."""
    return Says((*(event(delta("word " * 200)),) * WRITTEN, PausedStep()))


@asynccontextmanager
async def _slow_readers(world: HostileWorld) -> AsyncIterator[None]:
    held = _held()
    world.answer = lambda _: held
    async with attacks.slow_readers(world.port, world.keys, readers=READERS):
        yield


@asynccontextmanager
async def _holding_readers(world: HostileWorld) -> AsyncIterator[None]:
    held = _held()
    world.answer = lambda _: held
    async with attacks.slow_readers(world.port, world.keys, readers=READERS) as statuses:
        while statuses.total() < READERS:  # noqa: ASYNC110 - the counter has no event to wait for
            await asyncio.sleep(0.05)
        yield


@asynccontextmanager
async def _leaving_readers(world: HostileWorld) -> AsyncIterator[None]:
    async with _holding_readers(world):
        pass
    yield


@asynccontextmanager
async def _flooded(world: HostileWorld, body: Callable[[], bytes]) -> AsyncIterator[None]:
    flooding = asyncio.create_task(attacks.flood(world.port, world.keys, [body()]))
    try:
        yield
    finally:
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)


ATTACKS: Mapping[str, Attack] = {
    "quiet": _quiet,
    "a backend that quotes a caller's values": _quoted_values,
    f"{READERS:,} slow readers connect": _slow_readers,
    "… while their streams stay open": _holding_readers,
    "… when all of them go away": _leaving_readers,
    "8 connections: a small request": partial(_flooded, body=attacks.asking),
    "8 connections: a resent history": partial(_flooded, body=attacks.resent_history),
    **{f"8 connections: {body.__name__.replace('_', ' ')}": partial(_flooded, body=body) for body in attacks.HEAVY},
}
