"""Slack's side of the port to a chat platform."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import BinaryIO

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain import activities, texts
from bot.domain.events import Attachment, Thread
from bot.domain.file_content import FileOutcome
from bot.domain.preferences import ModelsChange, Profile
from bot.errors import PlatformError, PlatformUnavailable
from bot.prompt.thread_context import ThreadContext
from bot.slack.behaviour import UNKNOWN, SlackBehaviour
from bot.slack.client import without_retries
from bot.slack.errors import CallError, RefusedError, UnconfirmedError
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.outbound import thread_reader
from bot.slack.outbound.answer_file import SCOPE, AnswerFile, LongAnswers, delete_file
from bot.slack.outbound.answer_messages import AnswerMessages
from bot.slack.outbound.answer_status import AnswerStatus
from bot.slack.outbound.answer_text import AnswerText
from bot.slack.outbound.answer_writer import SlackAnswerWriter
from bot.slack.outbound.file_downloads import FileDownloads
from bot.slack.outbound.memberships import SlackPeople
from bot.slack.outbound.message_form import MessageForm
from bot.slack.outbound.messages import Slack, say
from bot.slack.outbound.orphaned_messages import OrphanedMessages
from bot.slack.outbound.status import Status
from bot.slack.outbound.streaming_policy import StreamingPolicy
from bot.slack.outbound.user_directory import UserDirectory
from bot.slack.outbound.user_groups import UserGroups
from bot.slack.rate_limiter import RateLimiter
from bot.slack.views.kept_preferences import kept_preferences
from bot.turns.adapter import AnswerTarget, FetchedFile, Ledger

log = logging.getLogger(__name__)

_SHOW_KEPT_S = 2.0  # the longest wait for the rate limit: the thread's next answer follows it
_BESIDE_S = 5.0  # the longest wait for the rate limit: the answer's end waits for it
_NOTIFY_S = 30.0  # the longest wait for the rate limit, for a message that answers nothing


class SlackAdapter:
    """One Slack workspace. Implements adapter.Adapter."""

    platform = PLATFORM

    def __init__(
        self,
        client: AsyncWebClient,
        bot: BotIdentity,
        *,
        clock: Callable[[], datetime],
        streaming: str,
        limiter: RateLimiter | None = None,
        measured: SlackBehaviour = UNKNOWN,
        long_answer_messages: int = 0,
    ) -> None:
        """`streaming` is the setting SLACK_STREAMING: auto, direct or off. One limiter serves all calls.

        `measured`: how this workspace behaves. What is not known is learned from Slack's refusals.
        `long_answer_messages`: after so many messages an answer goes on in a file; 0: never.
        """
        self._slack = Slack(without_retries(client), limiter or RateLimiter(), form=MessageForm(measured))
        self._bot = bot
        self._status = Status(self._slack, measured=measured)
        self._names = UserDirectory(self._slack, clock, team_id=bot.team_id)
        self.people = SlackPeople(self._names, UserGroups(self._slack, clock))
        self._files = FileDownloads(self._slack, bot)
        self._streaming = StreamingPolicy(streaming, measured)
        may_upload = not bot.scopes or SCOPE in bot.scopes
        self._long_answers = LongAnswers(long_answer_messages if may_upload else 0)
        self._answering: dict[Thread, AnswerStatus] = {}

    @property
    def workspace(self) -> str:
        """The team that the app is installed in."""
        return self._bot.team_id

    @property
    def bot_name(self) -> str:
        """The app's name in Slack."""
        return self._bot.name

    @asynccontextmanager
    async def writer(self, target: AnswerTarget, ledger: Ledger) -> AsyncIterator[SlackAnswerWriter]:
        """Show the status, and open the answer for writing. Raises PlatformError and PlatformUnavailable."""
        slack = replace(self._slack, is_ours=ledger.is_ours)
        orphans = OrphanedMessages(slack, self._bot, target, ledger)
        messages = AnswerMessages(slack, self._streaming, orphans, target)
        status = AnswerStatus(self._status, target.thread, self._slack.limiter.clock)
        file = AnswerFile(slack, target, ledger, orphans, self._long_answers)
        writer = SlackAnswerWriter(messages, orphans, status, file, AnswerText(messages, file, status))
        self._answering[target.thread] = status
        try:
            async with writer.opened(attempt=target.attempt):
                yield writer
        finally:
            self._answering.pop(target.thread, None)

    async def show_waiting(self, target: AnswerTarget, waited: timedelta = timedelta()) -> None:
        """Show that the message waits, except below an answer that grows, where the status would never end."""
        if target.thread not in self._answering:
            await self._status.show_waiting(target.thread, activities.queued(waited))

    async def end_waiting(self, target: AnswerTarget) -> None:
        """End the status that says that the message waits."""
        await self._status.end_waiting(target.thread)

    async def names(self, workspace: str, user_ids: Iterable[str]) -> Mapping[str, str]:
        """Return the display names of these people, as far as Slack returns them within two seconds."""
        del workspace  # the one installation sees the people of shared channels, too
        return await self._names.look_up(user_ids)

    async def earlier(self, thread: Thread, before: str) -> ThreadContext:
        """Return the thread's messages before this one, as far as Slack sends them within three seconds."""
        return await thread_reader.read(self._slack, self._bot, thread, before)

    async def fetch_file(self, file: Attachment, into: BinaryIO, most_bytes: int) -> FetchedFile | FileOutcome:
        """Download a file from Slack, within half a minute."""
        return await self._files.fetch(file, into, most_bytes)

    async def delete_file(self, file_id: str) -> None:
        """Delete one of the bot's files, if it still exists."""
        try:
            await delete_file(self._slack, file_id)
        except RefusedError as refusal:
            raise PlatformError(refusal.code, refusal.method) from None
        except CallError as failure:
            raise PlatformUnavailable(str(failure)) from None

    async def notify(self, thread: Thread, text: str) -> None:
        """Post a line in the thread. A line that may have been posted is not posted again."""
        await _post(self._slack, thread, text, wait_s=_NOTIFY_S)

    async def post_beside(
        self, thread: Thread, text: str, after: str, is_ours: Callable[[], Awaitable[bool]]
    ) -> str | None:
        """Post a line while an answer grows. It ends the answer's status in Slack, which is shown again.

        If Slack does not say whether it was posted, the line is looked for in the thread.
        """
        ts = await _post(replace(self._slack, is_ours=is_ours), thread, text, wait_s=_BESIDE_S)
        if ts is None:
            ts = await thread_reader.find_own(self._slack, self._bot, thread, after, text)
        if (status := self._answering.get(thread)) is not None:
            await status.restore()
        return ts

    async def show_kept(self, target: AnswerTarget, change: ModelsChange) -> None:
        """Show the change in an ephemeral message in the thread."""
        client, thread, author = self._slack.client, target.thread, target.author.id

        async def send() -> None:
            await client.chat_postEphemeral(
                channel=thread.channel,
                user=author,
                thread_ts=thread.root or None,
                text=texts.kept(change.wishes),
                blocks=kept_preferences(change, author),
            )

        try:
            await self._slack.limiter.call("chat.postEphemeral", send, wait_s=_SHOW_KEPT_S)
        except CallError as failure:
            log.warning("kept_preferences_not_shown", extra={"place": str(thread), "error": str(failure)})

    async def profile(self, workspace: str, user_id: str) -> Profile:
        """Return this person's time zone and locale, as far as Slack returns them within two seconds."""
        del workspace
        return await self._names.profile(user_id)


async def _post(slack: Slack, thread: Thread, text: str, *, wait_s: float) -> str | None:
    """Post a line, and return its ts; None when Slack does not say whether it was posted."""
    try:
        posted, _ = await say(slack, thread, lambda: text, wait_s=wait_s)
    except RefusedError as refusal:
        raise PlatformError(refusal.code, refusal.method) from None
    except CallError as failure:
        if not (isinstance(failure, UnconfirmedError) and failure.sent):
            raise PlatformUnavailable(str(failure)) from None
        log.warning("notice_unconfirmed", extra={"place": str(thread), "error": str(failure)})
        return None
    return str(posted["ts"])
