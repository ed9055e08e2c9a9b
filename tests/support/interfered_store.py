"""A store in which something else happens at a chosen moment: before or after a function, or during a lock."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate

from sqlalchemy import Connection

from bot.store.engine import P, Store, T
from tests.support.timeouts import GENEROUS_S


class InterferedStore(Store):
    """A real store that calls a test's hooks before and after chosen functions."""

    def __init__(self, url: str) -> None:
        super().__init__(url, idle_transaction_s=GENEROUS_S)
        self.before: dict[Callable[..., Any], Callable[[], Awaitable[object]]] = {}
        self.after: dict[Callable[..., Any], Callable[[Any], Awaitable[object]]] = {}  # with the function's result

    async def run(self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See Store.run."""
        return await self._interfered(super().run, function, *args, **kwargs)

    async def run_urgent(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See Store.run_urgent."""
        return await self._interfered(super().run_urgent, function, *args, **kwargs)

    async def _interfered(
        self, run: Callable[..., Awaitable[T]], function: Callable[..., T], *args: Any, **kwargs: Any
    ) -> T:
        if function in self.before:
            await self.before[function]()
        result = await run(function, *args, **kwargs)
        if function in self.after:
            await self.after[function](result)
        return result


async def busied(store: Store, go_on: threading.Event) -> asyncio.Task[bool]:
    """Begin a transaction that ends at `go_on`. On SQLite all others wait for it."""
    begun, loop = asyncio.Event(), asyncio.get_running_loop()

    def hold(_: Connection) -> bool:
        loop.call_soon_threadsafe(begun.set)
        return go_on.wait(GENEROUS_S)

    busy = asyncio.create_task(store.run(hold))
    await begun.wait()
    return busy


async def rival(store: Store) -> sqlite3.Connection:
    """Open another process's connection to the same SQLite file. The store waits for none of its locks."""
    await store.run(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=0"))
    return sqlite3.connect(str(store.engine.url.database), isolation_level=None, check_same_thread=False)
