"""The bot as a process: in the playground, over Socket Mode, over signed HTTP, stopped and started again."""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.workspace import Workspace
from bot.services import utc_now
from bot.store.engine import Store
from bot.store.metrics import figures
from bot.testing import PausedStep
from tests.support.openai_server import OpenAIServer, says
from tests.support.process import Process
from tests.support.room import free_port, playground, recites
from tests.support.timeouts import GENEROUS_S


@dataclass(frozen=True, slots=True)
class World:
    """The surroundings of the process: Slack, the model, and the settings that lead there."""

    workspace: Workspace
    server: PlaygroundServer
    environ: Mapping[str, str]
    http_port: int

    async def ask(self, text: str, root: str | None = None) -> tuple[str, str]:
        """Post as Ana in #help-desk; return the thread's root and the bot's whole answer."""
        channel = self.workspace.channel("help-desk")
        asked = self.workspace.post(self.workspace.person("ana"), channel, text, root)

        def answered() -> bool:
            last = self.workspace.thread(channel, asked.root)[-1]
            return last.bot_id is not None and not last.streaming_since and last.ts > asked.ts

        await self.workspace.until(answered, timeout_s=GENEROUS_S)
        return asked.root, self.workspace.thread(channel, asked.root)[-1].text


@pytest.fixture(params=["socket", "http"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A workspace that delivers over Socket Mode, or over signed HTTP."""
    async with AsyncExitStack() as stack:
        model = OpenAIServer(recites)
        await model.start()
        stack.push_async_callback(model.stop)
        port = free_port()
        url = f"http://127.0.0.1:{port}/slack/events" if request.param == "http" else None
        workspace, server = await stack.enter_async_context(playground(utc_now, request_url=url))
        secret = {
            "socket": {"SLACK_APP_TOKEN": workspace.app.app_token},
            "http": {"SLACK_SIGNING_SECRET": workspace.app.signing_secret, "PORT": str(port)},
        }[request.param]
        environ = {
            "SLACK_BOT_TOKEN": workspace.app.bot_token,
            "SLACK_API_URL": server.api_url,
            "OPENAI_BASE_URL": model.base_url,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'attendant.db'}",
            **secret,
        }
        yield World(workspace, server, environ, port)


async def test_a_process_answers_and_remembers(tmp_path: Path, world: World) -> None:
    """In either mode a mention is answered in its thread. The model sees the history with the next reply."""
    async with Process.running(tmp_path, world.environ) as process:
        await process.says("Attendant is running")
        root, answer = await world.ask("@attendant my VPN is down")
        assert answer == "I was shown: my VPN is down"

        assert (await world.ask("still down", root))[1].endswith("my VPN is down | still down")


async def test_memory_survives_a_restart(tmp_path: Path, world: World) -> None:
    """A conversation continues after the process was stopped and started again."""
    async with Process.running(tmp_path, world.environ) as process:
        await process.says("Attendant is running")
        root, _ = await world.ask("@attendant my VPN is down")
    async with Process.running(tmp_path, world.environ) as process:
        await process.says("Attendant is running")

        assert (await world.ask("still down", root))[1].endswith("my VPN is down | still down")


async def test_logs_hold_no_texts_and_no_secrets(tmp_path: Path, world: World) -> None:
    """At the debug level no line has a person's text or a token."""
    async with Process.running(tmp_path, {**world.environ, "LOG_LEVEL": "debug"}) as process:
        await process.says("Attendant is running")
        await world.ask("@attendant my VPN is down")
        ended = await process.stop()

    printed = "\n".join(ended.lines)
    assert ended.status == 0
    assert "VPN" not in printed
    app = world.workspace.app
    for secret in (app.bot_token, app.app_token, app.signing_secret):
        assert secret not in printed


@pytest.mark.parametrize("world", ["http"], indirect=True)
async def test_http_refuses_invalid_requests(tmp_path: Path, world: World) -> None:
    """A bad signature, a body that is not UTF-8 or too large, and another path are refused and not logged."""
    url = f"http://127.0.0.1:{world.http_port}/slack/events"
    signed = {"X-Slack-Request-Timestamp": "1", "X-Slack-Signature": "v0=00"}
    bodies = [b'{"type":"event_callback","secret":"hidden words"}', b"\xff\xfe", io.BytesIO(b"x" * 2_000_000)]
    async with Process.running(tmp_path, world.environ) as process, aiohttp.ClientSession() as http:
        await process.says("Attendant is running")
        statuses = []
        for body in bodies:
            async with http.post(url, data=body, headers=signed) as response:
                statuses.append(response.status)
        async with http.get(url.replace("/slack/events", "/")) as response:
            statuses.append(response.status)
        ended = await process.stop()

    assert statuses == [401, 400, 413, 404]
    assert "hidden words" not in "\n".join(ended.lines)


async def test_without_slack_settings_the_playground_starts(tmp_path: Path) -> None:
    """`attendant run` without settings serves a page. The demo model answers there and says that it is a demo."""
    async with Process.running(tmp_path, {}) as process, aiohttp.ClientSession() as http:
        line = await process.says("Attendant is running")
        page = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert page is not None, line
        assert "demo model" in line
        asked = {"as": "U0ANASILVA", "channel": "C0HELPDESK", "text": "@attendant hello"}
        async with http.get(f"{page[0]}page/events?as=U0ANASILVA") as events:
            async with http.post(f"{page[0]}page/post", json=asked) as response:
                assert response.status == 200
            said = [message async for message in _bot_messages(events)]

    assert "demo model" in said[-1]["text"]
    assert said[-1]["thread_ts"]


async def test_a_restarted_playground_goes_on_with_its_database(tmp_path: Path) -> None:
    """It is the same workspace, so that preferences stay, and the question of a thread that is gone is settled."""
    model = OpenAIServer(recites)
    hold = PausedStep()
    model.script(says("Let me ", hold))
    environ = {"PORT": str(free_port()), "OPENAI_BASE_URL": await model.start(), "OPENAI_API_KEY": "sk-test"}
    url = f"http://127.0.0.1:{environ['PORT']}/page/"
    asked = {"as": "U0ANASILVA", "channel": "C0HELPDESK", "text": "@attendant hello"}
    async with Process.running(tmp_path, environ) as process, aiohttp.ClientSession() as http:
        await process.says("Attendant is running")
        async with http.get(f"{url}state") as response:
            team = (await response.json())["team"]["id"]
        async with http.post(f"{url}post", json=asked) as response:
            assert response.status == 200
        await hold.reached()
        await process.stop(signal.SIGKILL)
    hold.release()
    store = Store(f"sqlite:///{tmp_path / 'data' / 'attendant.db'}")
    assert (await figures(store, now=utc_now())).owed_messages == 1
    async with Process.running(tmp_path, environ) as process, aiohttp.ClientSession() as http:
        await process.says("Attendant is running")
        async with http.get(f"{url}state") as response:
            assert (await response.json())["team"]["id"] == team
        async with asyncio.timeout(GENEROUS_S):
            while (await figures(store, now=utc_now())).owed_messages:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0)
    await store.close()
    await model.stop()


async def _bot_messages(events: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    """Yield the bot's messages from the page's events, up to the first whole one."""
    async for line in events.content:
        told = json.loads(line[5:]) if line.startswith(b"data:") else {}
        message = told.get("message", {})
        if message.get("is_bot"):
            yield message
            if not message["streaming"]:
                return
