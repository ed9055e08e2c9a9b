"""Slack, as the work layer sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime

from slack_sdk.web.async_client import AsyncWebClient

from bot.adapter import Asked, Posted
from bot.slack.identity import PLATFORM
from bot.slack.messages import Clients
from bot.slack.names import Names
from bot.slack.reply import Reply
from bot.slack.status import Status
from bot.slack.streaming import Pace, Streaming


class SlackAdapter:
    """Shows answers in Slack's threads, and knows what people there are called. Implements adapter.Adapter."""

    platform = PLATFORM

    def __init__(
        self,
        client: AsyncWebClient,
        *,
        clock: Callable[[], datetime],
        streaming: str,
        append_every_s: float = 0.7,
        update_every_s: float = 1.5,
    ) -> None:
        """`streaming` is the setting SLACK_STREAMING: auto, direct or off."""
        self._clients = Clients.of(client)
        self._status = Status(client)
        self._names = Names(client, clock)
        self._streaming = Streaming(streaming)
        self._pace = Pace(lambda: self._running, append_every_s, update_every_s)
        self._running = 0

    async def reply(self, asked: Asked, deltas: AsyncIterator[str], posted: Posted) -> None:
        """Show that the bot works, then the answer as it grows. Raises PlatformError when Slack refuses."""
        self._running += 1
        try:
            reply = Reply(self._clients, self._status, self._streaming, self._pace, asked=asked, posted=posted)
            await reply.show(deltas)
        finally:
            self._running -= 1

    async def names(self, workspace: str, user_ids: Iterable[str]) -> Mapping[str, str]:
        """The display names of these people, as far as they can be had within two seconds."""
        del workspace  # one installation, which sees the people of shared channels as well
        return await self._names.look_up(user_ids)
