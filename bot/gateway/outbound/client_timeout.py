"""The time-out of a client that reads slowly: how long one answer waits for it, all its writes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ClientTimeout:
    """The time that an answer may still wait for a client that reads slowly."""

    def __init__(self, seconds: float) -> None:
        self._left_s = seconds

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Count the block, which writes to the client. Raises ConnectionResetError when no time is left."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._left_s):
                yield
        except TimeoutError:
            raise ConnectionResetError("the client reads too slowly") from None
        finally:
            self._left_s -= loop.time() - began
