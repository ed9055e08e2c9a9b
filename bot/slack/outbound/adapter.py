"""Slack, as the work layer sees it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.events import Thread
from bot.domain.preferences import Profile
from bot.errors import PlatformError, PlatformUnavailable
from bot.prompt.thread_context import ThreadContext
from bot.slack.client import without_retries
from bot.slack.errors import CallError, RefusedError, UnconfirmedError
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.outbound import thread_reader
from bot.slack.outbound.answer_writer import AnswerWriter
from bot.slack.outbound.messages import Slack, say
from bot.slack.outbound.orphaned_messages import OrphanedMessages
from bot.slack.outbound.status import Status
from bot.slack.outbound.streaming_policy import StreamingPolicy
from bot.slack.outbound.user_directory import UserDirectory
from bot.slack.rate_limiter import RateLimiter
from bot.turns.adapter import Asked, Ledger

log = logging.getLogger(__name__)

_NOTIFY_S = 30.0  # what nobody asked for waits no longer for its turn


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
        limiter: RateLimiter | None = None,
    ) -> None:
        """`streaming` is the setting SLACK_STREAMING: auto, direct or off. One limiter serves all that is shown."""
        self._slack = Slack(without_retries(client), limiter or RateLimiter())
        self._bot = bot
        self._status = Status(self._slack)
        self._names = UserDirectory(self._slack, clock)
        self._streaming = StreamingPolicy(streaming)
        self._answering: set[Thread] = set()

    @property
    def workspace(self) -> str:
        """The team it is installed in."""
        return self._bot.team_id

    async def reply(self, asked: Asked, deltas: AsyncIterator[str], ledger: Ledger) -> None:
        """Show that the bot works, then the answer as it grows. Raises PlatformError and PlatformUnavailable."""
        slack = replace(self._slack, is_ours=ledger.is_ours)
        leftovers = OrphanedMessages(slack, self._bot, asked, ledger)
        self._answering.add(asked.thread)
        try:
            await AnswerWriter(slack, self._status, self._streaming, leftovers, asked=asked).show(deltas)
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

    async def earlier(self, thread: Thread, before: str) -> ThreadContext:
        """What was said in the thread before this message, as far as it can be had within three seconds."""
        return await thread_reader.read(self._slack, self._bot, thread, before)

    async def notify(self, thread: Thread, text: str) -> None:
        """Say a line in the thread, by itself. One that may have been said counts as said: it is not repeated."""
        try:
            await say(self._slack, thread, lambda: text, wait_s=_NOTIFY_S)
        except RefusedError as refusal:
            raise PlatformError(refusal.code, refusal.method) from None
        except CallError as failure:
            if not (isinstance(failure, UnconfirmedError) and failure.sent):
                raise PlatformUnavailable(str(failure)) from None
            log.warning("Slack did not say whether a line was posted (%s)", failure)

    async def profile(self, workspace: str, user_id: str) -> Profile:
        """This person's time zone and locale, as far as they can be had within two seconds."""
        del workspace
        return await self._names.profile(user_id)
