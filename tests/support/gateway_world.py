"""The surroundings of gateway processes: a database, a model, a folder, and an API key."""

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
    """Starts gateway processes, and sends them requests."""

    folder: Path
    environ: Mapping[str, str]
    model: OpenAIServer
    key: str

    @asynccontextmanager
    async def running(self, *command: str, **environ: str) -> AsyncIterator[tuple[Process, str]]:
        """Run a process, and yield it with the gateway's address."""
        async with Process.running(self.folder, {**self.environ, **environ}, *command) as process:
            line = await process.says("Attendant is running")
            yield process, re.findall(r"http://[^/ ]+", line.partition(" at ")[2])[0]

    async def ask(self, address: str, text: str, *, stream: bool = False) -> tuple[int, str | None, str]:
        """Send a question, and return the status, the state of the session, and the response's text."""
        headers = {"Authorization": f"Bearer {self.key}", "sessionId": "one"}
        body: Any = {"messages": [{"role": "user", "content": text}], "stream": stream}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{address}/v1", json=body, headers=headers) as response,
        ):
            return response.status, response.headers.get("x-session-state"), await response.text()

    def hold_model(self) -> PausedStep:
        """Pause the model's next answer until it is released."""
        hold = PausedStep()
        self.model.script(says("Try ", hold, "again."))
        return hold
