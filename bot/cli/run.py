"""The bot as a process: its start, with its checks; what it is told; its end.

Rule: being told to stop counts at any moment, also while a check still waits for somebody.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import resource
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from bot import manifest
from bot.app import STAND_IN, Bot, gateway_bot, model_name, slack_bot, with_model
from bot.cli import doctor
from bot.config.settings import Settings
from bot.playground.server import PlaygroundServer
from bot.playground.workspace.sample import harbour
from bot.services import PlatformServices, Services, utc_now

Announce = Callable[[str], None]

NOTICE = "No language model is connected: a stand-in answers. Set OPENAI_API_KEY or OPENAI_BASE_URL for a real one."


async def run(settings: Settings, announce: Announce, *, gateway: bool = False) -> int:
    """Run the bot until SIGINT or SIGTERM; the exit status, 1 when a check at start failed.

    `gateway`: behind its HTTP API alone, without Slack.
    """
    stopped = asyncio.create_task(_stop_signal().wait())
    _allow_many_connections()
    async with AsyncExitStack() as stack:
        model = model_name(settings)
        settings = await stack.enter_async_context(with_model(settings))
        page = ""
        if settings.mode == "playground" and not gateway:
            server, settings = await stack.enter_async_context(_playground(settings, model))
            page = f" · open {server.url}"
        starting = asyncio.create_task(_start(stack, settings, announce, gateway=gateway))
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():  # a check may wait for long; being told to stop may not
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 0
        on_file = settings.database_url.startswith("sqlite")
        if (bot := starting.result()) is None:
            return 1
        kept = f"database: {settings.database_url.removeprefix('sqlite:///') if on_file else 'PostgreSQL'}"
        announce(f"Attendant is running {bot.where}{page} · model: {model} · {kept} · stop with Ctrl+C")
        await stopped
        announce(f"Attendant is stopping.{_what_runs(bot, settings)}")
    return 0


async def _start(
    stack: AsyncExitStack, settings: Settings, announce: Announce, *, gateway: bool
) -> Bot[Services] | Bot[PlatformServices] | None:
    """The bot, connected; None when a check failed, each failure being announced."""
    failures = await doctor.failures(settings)
    for line in failures:
        announce(f"attendant: {line}")
    if failures:
        return None
    return await stack.enter_async_context(gateway_bot(settings) if gateway else slack_bot(settings))


def _what_runs(bot: Bot[Services] | Bot[PlatformServices], settings: Settings) -> str:
    running = bot.services.running
    answers = "An answer runs" if running == 1 else f"{running} answers run"
    hint = f" {answers} and may go on for {settings.drain_seconds:g} s; Ctrl+C once more leaves at once."
    return hint if running else ""


@asynccontextmanager
async def _playground(settings: Settings, model: str) -> AsyncIterator[tuple[PlaygroundServer, Settings]]:
    """A running playground, and the settings that connect the bot to it."""
    described = manifest.read(manifest.document(settings.slack_command, settings.slack_reset_command))
    workspace = harbour(
        described,
        clock=utc_now,
        rng=random.Random(),  # noqa: S311 - picks connections, not secrets
        team_id=f"T{uuid.uuid4().hex[:10].upper()}",  # each playground is a workspace of its own in the database
    )
    server = PlaygroundServer(workspace, notice=NOTICE if model == STAND_IN else None)
    await server.start(settings.port)
    try:
        yield (
            server,
            dataclasses.replace(
                settings,
                slack_bot_token=workspace.app.bot_token,
                slack_app_token=workspace.app.app_token,
                slack_api_url=server.api_url,
            ),
        )
    finally:
        await server.stop()


def _allow_many_connections() -> None:
    # Each running turn holds two or three; the usual soft limit of 1,024 files is less than MAX_RUNNING_TURNS needs.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, 65_536, 10_240):  # macOS calls its hard limit infinite, and takes less
        if wanted != soft:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                return


def _stop_signal() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; the second leaves at once, without waiting for anything."""
    stop = asyncio.Event()

    def told() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told)
    return stop
