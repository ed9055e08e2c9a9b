"""What may happen to a store at the one moment that a test is about: before or after a function, or a lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate

from sqlalchemy import Connection

from bot.store.engine import P, Store, T


class InterferedStore(Store):
    """A real store; what is to happen meanwhile is said by function."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.before: dict[Callable[..., Any], Callable[[], Awaitable[object]]] = {}
        self.after: dict[Callable[..., Any], Callable[[Any], Awaitable[object]]] = {}  # told the function's result

    async def run(self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See Store.run."""
        if function in self.before:
            await self.before[function]()
        result = await super().run(function, *args, **kwargs)
        if function in self.after:
            await self.after[function](result)
        return result


async def rival(store: Store) -> sqlite3.Connection:
    """Another process's connection to the same SQLite file, for whose locks this store does not wait a moment."""
    await store.run(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=0"))
    return sqlite3.connect(str(store.engine.url.database), isolation_level=None, check_same_thread=False)
