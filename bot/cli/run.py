"""The bot as a process: its start with its checks, its signals, its end.

Rule: a signal to stop counts at any moment, also while a check still waits for a server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import random
import resource
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from bot import manifest
from bot.app import Bot, gateway_bot, slack_bot
from bot.cli import checks
from bot.config.settings import Settings
from bot.errors import StartupError
from bot.llm.from_settings import model_name, with_demo_model
from bot.ops import logs
from bot.services import PlatformServices, Services, utc_now

if TYPE_CHECKING:
    from bot.playground.playground_server import PlaygroundServer
    from bot.playground.workspace.slack_variant import SlackVariant

Announce = Callable[[str], None]

NOTICE = "No language model is connected: the demo model answers. Set OPENAI_API_KEY or OPENAI_BASE_URL for a real one."


def run_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant run` and `attendant playground`."""
    port = getattr(options, "port", None)
    return asyncio.run(run(_with(settings, port=port), announce=_print, slack_variant=options.slack_variant))


def gateway_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant gateway`."""
    return asyncio.run(run(_with(settings, gateway_port=options.port), announce=_print, gateway=True))


def _with(settings: Settings, **flags: int | None) -> Settings:
    """Return the settings with the flags that are given."""
    return settings.model_copy(update={name: value for name, value in flags.items() if value is not None})


def _print(line: str) -> None:
    print(line, flush=True)


async def run(
    settings: Settings, announce: Announce, *, gateway: bool = False, slack_variant: str | None = None
) -> int:
    """Run the bot until SIGINT or SIGTERM; return the exit status, 1 when a check at start failed.

    With `gateway` it serves the HTTP API alone, without Slack. `slack_variant` is for the playground's Slack. Raises
    StartupError for a variant that does not exist, and for a variant of a real workspace.
    """
    variant = _variant(settings, slack_variant) if slack_variant else None
    gc.disable()  # until the bot runs: the start imports much and frees little
    try:
        return await _run_until_stopped(settings, announce, gateway=gateway, variant=variant)
    finally:
        gc.enable()


def _variant(settings: Settings, text: str) -> SlackVariant:
    from bot.playground.workspace import slack_variant  # noqa: PLC0415 - a real workspace does without the playground

    if settings.mode != "playground":
        raise StartupError("--slack-variant is for the playground. Use `attendant playground`.")
    try:
        return slack_variant.parsed(text)
    except ValueError as error:
        raise StartupError(f"--slack-variant {text}: {error}.") from None


async def _run_until_stopped(
    settings: Settings, announce: Announce, *, gateway: bool, variant: SlackVariant | None
) -> int:
    logs.watch(asyncio.get_running_loop())
    stopped = asyncio.create_task(_stop_signal().wait())
    _allow_many_connections()
    async with AsyncExitStack() as stack:
        model = model_name(settings)
        has_demo_model = settings.uses_demo_model
        settings = await stack.enter_async_context(with_demo_model(settings))
        page = ""
        if settings.mode == "playground" and not gateway:
            opening = _playground(settings, variant, notice=NOTICE if has_demo_model else None)
            server, settings = await stack.enter_async_context(opening)
            page = f" · open {server.url}"
        starting = asyncio.create_task(_start(stack, settings, announce, gateway=gateway))
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():  # a check may wait for a slow server
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 0
        if (bot := starting.result()) is None:
            return 1
        announce(
            f"Attendant is running {bot.address}{page} · model: {model} · {_database(settings)} · stop with Ctrl+C"
        )
        _collect_garbage()
        await stopped
        announce(f"Attendant is stopping.{_drain_notice(bot, settings)}")
    return 0


async def _start(
    stack: AsyncExitStack, settings: Settings, announce: Announce, *, gateway: bool
) -> Bot[Services] | Bot[PlatformServices] | None:
    """Connect the bot. Return None when a check failed, after announcing each failure."""
    failures = await checks.failures(settings)
    for line in failures:
        announce(f"attendant: {line}")
    if failures:
        return None
    return await stack.enter_async_context(gateway_bot(settings) if gateway else slack_bot(settings))


def _database(settings: Settings) -> str:
    url = settings.database_url.get_secret_value()
    return f"database: {url.removeprefix('sqlite:///') if url.startswith('sqlite') else 'PostgreSQL'}"


def _drain_notice(bot: Bot[Services] | Bot[PlatformServices], settings: Settings) -> str:
    running = bot.services.running
    answers = "An answer runs" if running == 1 else f"{running} answers run"
    hint = f" {answers} and may go on for {settings.drain_seconds:g} s; Ctrl+C once more leaves at once."
    return hint if running else ""


@asynccontextmanager
async def _playground(
    settings: Settings, variant: SlackVariant | None, *, notice: str | None
) -> AsyncIterator[tuple[PlaygroundServer, Settings]]:
    """Start a playground; yield it, and the settings that connect the bot to it."""
    # Imported here: a bot in a real workspace does without the playground.
    from bot.playground.playground_server import PlaygroundServer  # noqa: PLC0415
    from bot.playground.workspace.sample import harbour  # noqa: PLC0415

    described = manifest.read(manifest.document(settings.slack_command, settings.slack_reset_command))
    workspace = harbour(
        described,
        clock=utc_now,
        rng=random.Random(),  # noqa: S311 - picks connections, not secrets
        team_id=_playground_team(settings.port),
    )
    workspace.variant = variant or workspace.variant
    server = PlaygroundServer(workspace, notice=notice)
    await server.start(settings.port)
    app = workspace.app
    try:
        yield server, settings.connected_to(server.api_url, bot_token=app.bot_token, app_token=app.app_token)
    finally:
        await server.stop()


def _playground_team(port: int) -> str:
    """Return the workspace's id. It stays the same, so that a playground that is restarted goes on with its database.

    Two playgrounds at once have two ports, so that they do not take each other's turns. Port 0 differs each time.
    """
    return f"T0PLAYGROUND{port}" if port else f"T{uuid.uuid4().hex[:10].upper()}"


def _collect_garbage() -> None:
    """Collect the garbage of the start, and let later collections skip the objects that are left."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.enable()


def _allow_many_connections() -> None:
    # Each running turn holds two or three; the usual soft limit of 1,024 files is less than MAX_RUNNING_TURNS needs.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, 65_536, 10_240):  # macOS calls its hard limit infinite, and takes less
        if wanted != soft:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                return


def _stop_signal() -> asyncio.Event:
    """Return the event that the first SIGINT or SIGTERM sets. The second one ends the process at once."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop
