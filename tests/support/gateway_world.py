"""What is around the gateway's processes: a database, a model, a folder, and a key for all of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bot.testing import PausedStep
from tests.support.openai_server import OpenAIServer, says
from tests.support.process import Process


@dataclass(frozen=True, slots=True)
class GatewayWorld:
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

    def hold_model(self) -> PausedStep:
        """Have the model's next answer wait until it is released."""
        hold = PausedStep()
        self.model.script(says("Try ", hold, "again."))
        return hold
