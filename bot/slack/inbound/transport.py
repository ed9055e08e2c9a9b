"""The transport of Slack's requests to the app: Socket Mode, or signed HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slack_bolt.async_app import AsyncApp

from bot.config.settings import Settings
from bot.slack.inbound.http_mode import HttpMode
from bot.slack.inbound.socket_mode import SocketMode

Transport = SocketMode | HttpMode


@asynccontextmanager
async def connect(app: AsyncApp, settings: Settings) -> AsyncIterator[Transport]:
    """Receive requests in the mode of the settings, until the context ends. Raise StartupError if that is impossible.

    An app-level token means Socket Mode.
    """
    transport: Transport
    if settings.slack_app_token:
        transport = SocketMode(app, settings.slack_app_token)
    else:
        transport = HttpMode(app, settings.slack_signing_secret or "", settings.host, settings.port)
    try:
        await transport.start()
        yield transport
    finally:
        await transport.stop()
