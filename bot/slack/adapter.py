"""Slack, as the work layer sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from slack_sdk.web.async_client import AsyncWebClient

from bot.adapter import Asked, Ledger
from bot.events import Thread
from bot.slack.client import impatient
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.leftovers import Leftovers
from bot.slack.limiter import Limiter
from bot.slack.messages import Slack
from bot.slack.names import Names
from bot.slack.reply import Reply
from bot.slack.status import Status
from bot.slack.streaming import Streaming


class SlackAdapter:
    """Shows answers in Slack's threads, and knows what people there are called. Implements adapter.Adapter."""

    platform = PLATFORM

    def __init__(
        self,
        client: AsyncWebClient,
        bot: BotIdentity,
        *,
        clock: Callable[[], datetime],
        streaming: str,
        limiter: Limiter | None = None,
    ) -> None:
        """`streaming` is the setting SLACK_STREAMING: auto, direct or off. One limiter serves all that is shown."""
        self._slack = Slack(impatient(client), limiter or Limiter())
        self._bot = bot
        self._status = Status(self._slack)
        self._names = Names(self._slack, clock)
        self._streaming = Streaming(streaming)
        self._answering: set[Thread] = set()

    @property
    def workspace(self) -> str:
        """The team it is installed in."""
        return self._bot.team_id

    async def reply(self, asked: Asked, deltas: AsyncIterator[str], ledger: Ledger) -> None:
        """Show that the bot works, then the answer as it grows. Raises PlatformError and PlatformUnavailable."""
        slack = replace(self._slack, is_ours=ledger.is_ours)
        leftovers = Leftovers(slack, self._bot, asked, ledger)
        self._answering.add(asked.thread)
        try:
            await Reply(slack, self._status, self._streaming, leftovers, asked=asked).show(deltas)
        finally:
            self._answering.discard(asked.thread)

    async def show_waiting(self, asked: Asked) -> None:
        """Say that the message waits its turn; where an answer is being shown that would stay, so it is left out."""
        if asked.thread not in self._answering:
            await self._status.show_waiting(asked.thread)

    async def end_waiting(self, asked: Asked) -> None:
        """End the status that says so."""
        await self._status.end_waiting(asked.thread)

    async def names(self, workspace: str, user_ids: Iterable[str]) -> Mapping[str, str]:
        """The display names of these people, as far as they can be had within two seconds."""
        del workspace  # one installation, which sees the people of shared channels as well
        return await self._names.look_up(user_ids)
