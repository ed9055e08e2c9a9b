"""What a process counts for Prometheus while it answers, and while it stops."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest

from bot import app, metrics
from bot.services import utc_now
from bot.testing import PausedStep
from tests.support.openai_server import Fails, OpenAIServer, says
from tests.support.room import Room, free_port, playground, settings_for
from tests.support.timeouts import GENEROUS_S


@pytest.fixture
def room_settings() -> dict[str, Any]:
    """A bot that serves /metrics."""
    return {"health_port": free_port()}


async def scraped(room: Room) -> str:
    """Return what Prometheus reads."""
    url = f"http://127.0.0.1:{room.settings.health_port}/metrics"
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.content_type == "text/plain"
        return await response.text()


async def test_a_turn_is_counted(room: Room) -> None:
    """One answered question adds one to each count that it concerns, and its tokens."""

    def counts() -> dict[str, float]:
        return {
            "events": metrics.value("attendant_events_total", kind="MessageReceived", outcome="accepted"),
            "turns": metrics.value("attendant_turns_total", platform="slack", state="answered", trouble=""),
            "first": metrics.value("attendant_first_word_seconds_count"),
            "whole": metrics.value("attendant_whole_answer_seconds_count"),
            "model": metrics.value("attendant_model_requests_total", outcome="answered"),
        }

    before = counts()
    await room.guest("Ana").mentions("a-marked-word-of-anas").answers(1)
    await room.settled()
    text = await scraped(room)

    assert {name: count - before[name] for name, count in counts().items()} == dict.fromkeys(before, 1)
    assert re.search(r'attendant_slack_calls_total\{method="chat.\w+",outcome="ok"\} [1-9]', text)
    assert re.search(r'attendant_database_seconds_count\{queue="urgent"\} [1-9]', text)
    assert "attendant_owed_messages 0.0" in text
    assert 'attendant_part_up{part="slack"} 1.0' in text
    assert "a-marked-word-of-anas" not in text


async def test_a_failure_is_counted_with_its_reason(room: Room) -> None:
    """A backend that refuses the key is a failed request and a failed turn, each with the reason."""
    before = metrics.value("attendant_turns_total", platform="slack", state="failed", trouble="refused_key")
    room.model.script(Fails(401, {"message": "no"}))
    await room.guest("Ana").mentions("hello").answers(1)
    await room.settled()

    assert metrics.value("attendant_turns_total", platform="slack", state="failed", trouble="refused_key") == before + 1
    assert metrics.value("attendant_model_requests_total", outcome="refused_key") >= 1


async def test_metrics_answer_until_the_last_turn_has_drained(empty_sqlite_url: str, reciter: OpenAIServer) -> None:
    """While a stopping bot ends its last answer, /metrics and /readyz still answer, and say that it drains."""
    hold, address = PausedStep(), f"http://127.0.0.1:{(port := free_port())}"
    reciter.script(says("one ", hold, "two"))
    async with playground(utc_now) as (workspace, server), aiohttp.ClientSession() as http:
        settings = settings_for(workspace, server, reciter, database_url=empty_sqlite_url, health_port=port)
        running, stop = asyncio.Event(), asyncio.Event()

        async def run() -> None:
            async with app.slack_bot(settings):
                running.set()
                await stop.wait()

        bot = asyncio.create_task(run())
        await running.wait()
        ana = next(iter(workspace.people.values()))
        workspace.post(ana, workspace.dm(ana), "hello")
        await hold.reached()
        stop.set()
        async with asyncio.timeout(GENEROUS_S):
            while "attendant_draining 1.0" not in await (await http.get(f"{address}/metrics")).text():
                pass
        status, body = await readiness(http, address)
        hold.release()
        await bot

    assert (status, body["draining"], body["ready"], body["counts"]["running"]) == (503, True, False, 1)


async def readiness(http: aiohttp.ClientSession, address: str) -> tuple[int, Any]:
    """Return the status and the body of /readyz."""
    async with http.get(f"{address}/readyz") as response:
        return response.status, await response.json()
