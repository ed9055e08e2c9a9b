"""The health port: the process lives, and what it needs is there, each part by its name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from bot.errors import PlatformUnavailable, StartupError, StoreUnavailable
from bot.ops import health

HOST = "127.0.0.1"
Part = Callable[[], Awaitable[bool]]


async def there() -> bool:
    """A part that is in order."""
    return True


async def not_there() -> bool:
    """A part that knows that it is not."""
    return False


async def database_gone() -> bool:
    """A part that cannot even be asked."""
    raise StoreUnavailable("OperationalError: the password is hunter2")


async def platform_gone() -> bool:
    """Another one."""
    raise PlatformUnavailable("no connection")


async def hanging() -> bool:
    """A part that never answers."""
    return await asyncio.Future[bool]()


async def no_counts() -> dict[str, int]:
    """Nothing is counted."""
    return {}


async def fetched(
    path: str,
    *,
    here: dict[str, Callable[[], int]] | None = None,
    everywhere: Callable[[], Awaitable[dict[str, int]]] = no_counts,
    **parts: Part,
) -> tuple[int, Any]:
    """The status and what was told there."""
    async with (
        health.served(HOST, 0, parts, here or {}, everywhere) as port,
        aiohttp.ClientSession() as http,
        http.get(f"http://{HOST}:{port}{path}") as response,
    ):
        return response.status, await response.json()


async def test_a_process_that_answers_lives() -> None:
    """Whatever else is wrong: starting it anew would not help."""
    assert await fetched("/healthz", database=database_gone) == (200, {"alive": True})


async def test_ready_is_who_has_all_it_needs() -> None:
    """With the figures of this process, as they are at the moment."""
    running = iter([1, 2])
    here = {"running": lambda: next(running)}

    told = {"ready": True, "parts": {"database": True, "slack": True}, "counts": {"running": 1}}
    assert await fetched("/readyz", here=here, database=there, slack=there) == (200, told)
    assert (await fetched("/readyz", here=here))[1]["counts"] == {"running": 2}


async def test_what_all_replicas_count_is_told_as_long_as_it_can_be_had() -> None:
    """It takes the place of what this process knows by itself, which is told when the database is away."""
    here = {"running": lambda: 1, "refusals": lambda: 2}

    async def everywhere() -> dict[str, int]:
        return {"owed": 3, "refusals": 40}

    async def away() -> dict[str, int]:
        raise StoreUnavailable("database is locked")

    _, told = await fetched("/readyz", here=here, everywhere=everywhere)
    assert told["counts"] == {"running": 1, "refusals": 40, "owed": 3}
    _, told = await fetched("/readyz", here=here, everywhere=away)
    assert told["counts"] == {"running": 1, "refusals": 2}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("database", database_gone),
        ("slack", platform_gone),
        ("slack", not_there),
        ("worker", not_there),
        ("scheduler", hanging),
    ],
)
async def test_each_part_that_is_missing_is_named(name: str, part: Part) -> None:
    """Whether it says so, fails, or hangs; the others are told as they are, and nothing else is told."""
    parts: dict[str, Any] = dict.fromkeys(["database", "slack", "worker", "scheduler"], there) | {name: part}

    status, told = await fetched("/readyz", **parts)
    assert (status, told["ready"]) == (503, False)
    assert told["parts"] == {each: each != name for each in parts}
    assert "hunter2" not in str(told)


async def test_nothing_else_is_served() -> None:
    """Neither another path nor another method, nor a word more than needed."""
    async with (
        health.served(HOST, 0, {}, {}, no_counts) as port,
        aiohttp.ClientSession(f"http://{HOST}:{port}") as http,
        http.get("/") as other,
        http.post("/readyz") as posted,
    ):
        assert (other.status, posted.status) == (404, 405)


async def test_a_port_that_is_taken_stops_the_start_with_a_line() -> None:
    """It names the setting and the remedy; the port is not held by what could not start."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=rf"^Port {port} on {HOST} [^\n]+HEALTH_PORT [^\n]+\.$"):
            await health.served(HOST, port, {}, {}, no_counts).__aenter__()
    async with health.served(HOST, port, {}, {}, no_counts) as served:
        assert served == port


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
async def test_a_host_that_is_not_this_machine_stops_the_start_with_a_line(host: str) -> None:
    """It names HOST, for no other port would do."""
    with pytest.raises(StartupError, match=rf"^HOST {host} [^\n]+\.$"):
        await health.served(host, 0, {}, {}, no_counts).__aenter__()
