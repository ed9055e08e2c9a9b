"""The health endpoint: the process is alive, and each part that it needs works."""

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


async def works() -> bool:
    """Report no failure."""
    return True


async def fails() -> bool:
    """Report a failure."""
    return False


async def database_gone() -> bool:
    """Raise an error."""
    raise StoreUnavailable("OperationalError: the password is hunter2")


async def platform_gone() -> bool:
    """Raise another error."""
    raise PlatformUnavailable("no connection")


async def hanging() -> bool:
    """Never answer."""
    return await asyncio.Future[bool]()


async def no_counts() -> dict[str, int]:
    """Return no count."""
    return {}


async def fetched(
    path: str,
    *,
    local: dict[str, Callable[[], int]] | None = None,
    shared: Callable[[], Awaitable[dict[str, int]]] = no_counts,
    **parts: Part,
) -> tuple[int, Any]:
    """Return the status and the body of the response."""
    async with (
        health.served(HOST, 0, parts, local or {}, shared) as port,
        aiohttp.ClientSession() as http,
        http.get(f"http://{HOST}:{port}{path}") as response,
    ):
        return response.status, await response.json()


async def test_a_process_that_answers_is_alive() -> None:
    """A failing part does not matter, because a restart would not help."""
    assert await fetched("/healthz", database=database_gone) == (200, {"alive": True})


async def test_ready_means_that_every_part_works() -> None:
    """The response has the current counts of this process."""
    running = iter([1, 2])
    local = {"running": lambda: next(running)}

    expected = {"ready": True, "draining": False, "parts": {"database": True, "slack": True}, "counts": {"running": 1}}
    assert await fetched("/readyz", local=local, database=works, slack=works) == (200, expected)
    assert (await fetched("/readyz", local=local))[1]["counts"] == {"running": 2}


async def test_shared_counts_override_local_ones_while_the_database_answers() -> None:
    """If the database fails, the response has the counts of this process."""
    local = {"running": lambda: 1, "failed_deliveries": lambda: 2}

    async def shared() -> dict[str, int]:
        return {"owed": 3, "failed_deliveries": 40}

    async def away() -> dict[str, int]:
        raise StoreUnavailable("database is locked")

    _, body = await fetched("/readyz", local=local, shared=shared)
    assert body["counts"] == {"running": 1, "failed_deliveries": 40, "owed": 3}
    _, body = await fetched("/readyz", local=local, shared=away)
    assert body["counts"] == {"running": 1, "failed_deliveries": 2}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("database", database_gone),
        ("slack", platform_gone),
        ("slack", fails),
        ("worker", fails),
        ("scheduler", hanging),
    ],
)
async def test_each_failing_part_is_named(name: str, part: Part) -> None:
    """A part may report a failure, raise or hang. The response names each failing part and shows no error text."""
    parts: dict[str, Any] = dict.fromkeys(["database", "slack", "worker", "scheduler"], works) | {name: part}

    status, body = await fetched("/readyz", **parts)
    assert (status, body["ready"]) == (503, False)
    assert body["parts"] == {each: each != name for each in parts}
    assert "hunter2" not in str(body)


async def test_many_requests_share_one_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests at once, and requests within a second, look once at each part. Later ones look again."""
    looks, may_answer = [0], asyncio.Event()

    async def counted() -> bool:
        looks[0] += 1
        await may_answer.wait()
        return True

    async with (
        health.served(HOST, 0, {"database": counted}, {}, no_counts) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):

        async def status() -> int:
            async with http.get(f"http://{HOST}:{port}/readyz") as response:
                return response.status

        asking = [asyncio.create_task(status()) for _ in range(50)]
        asking[0].cancel()  # a client that goes away takes the result from nobody
        may_answer.set()
        assert set(await asyncio.gather(*asking[1:])) == {200}
        assert await status() == 200
        assert looks == [1]
        monkeypatch.setattr(health, "CACHE_S", 0.0)
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda now=loop.time: now() + 2.0)
        assert await status() == 200
        assert looks == [2]


async def test_nothing_else_is_served() -> None:
    """Other paths and other methods are refused."""
    async with (
        health.served(HOST, 0, {}, {}, no_counts) as port,
        aiohttp.ClientSession(f"http://{HOST}:{port}") as http,
        http.get("/") as other,
        http.post("/readyz") as posted,
    ):
        assert (other.status, posted.status) == (404, 405)


async def test_a_port_that_is_taken_stops_the_start_with_a_line() -> None:
    """The line names the setting and the remedy. After the failure the port is free again."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=rf"^Port {port} on {HOST} [^\n]+HEALTH_PORT [^\n]+\.$"):
            await health.served(HOST, port, {}, {}, no_counts).__aenter__()
    async with health.served(HOST, port, {}, {}, no_counts) as served:
        assert served == port


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
async def test_a_host_that_is_not_this_machine_stops_the_start_with_a_line(host: str) -> None:
    """The line names HOST, because another port would not help."""
    with pytest.raises(StartupError, match=rf"^HOST {host} [^\n]+\.$"):
        await health.served(host, 0, {}, {}, no_counts).__aenter__()
