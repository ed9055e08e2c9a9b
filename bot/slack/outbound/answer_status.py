"""The status of one answer, while none of its text grows: its words change as time passes.

Rule: Slack ends a status after two minutes, so it is renewed before. A status that comes after text would stay, so only
the task that shows the text renews it. https://docs.slack.dev/reference/methods/assistant.threads.setStatus
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from bot.domain import texts
from bot.domain.activities import LATER, Activity, working
from bot.domain.events import Thread
from bot.domain.language import translated
from bot.slack.monotonic_clock import MonotonicClock
from bot.slack.outbound.status import Status

RENEW_S = 90.0
RETRY_S = 5.0  # when Slack's rate limit has no room for a renewal


class AnswerStatus:
    """The status of one answer."""

    def __init__(self, status: Status, thread: Thread, clock: MonotonicClock) -> None:
        self._status = status
        self._thread = thread
        self._clock = clock
        self._began_at = clock.now()
        self._activity = Activity.WAITING
        self._words = ""  # that were shown last
        self._renew_at = self._began_at + LATER.total_seconds()
        self._has_text = self._had_text = False
        self._stays = False  # it was shown below a message, so that no text ends it

    async def show(self) -> None:
        """Show it before any text."""
        self._words = translated(texts.WORKING)
        await self._status.show(self._thread, self._words)

    def note(self, activity: Activity) -> None:
        """Note what the answer waits for."""
        self._activity = activity

    def note_text(self) -> None:
        """Note that there is text, which ends the status."""
        self._has_text = self._had_text = True

    def note_rest(self) -> None:
        """Note that the rest of the text is not shown while it grows."""
        self._activity, self._has_text, self._renew_at = Activity.WRITING, False, self._clock.now()

    def note_restart(self) -> None:
        """Note that the text is void, because the model is asked again."""
        self._activity, self._has_text = Activity.ASKING_AGAIN, False

    def until_due(self) -> AbstractAsyncContextManager[object]:
        """Return a timeout for the moment at which it is to be renewed; while there is text there is none."""
        return self._clock.timeout(None if self._has_text else self._left_s)

    async def renew(self) -> None:
        """Show it again if that is due, or if other words are right. End it if text grows above it."""
        if self._has_text:
            if self._stays:
                self._stays = False
                await self._status.clear(self._thread)
        elif self._left_s <= 0 or self._wanted != self._words:
            self._words = self._wanted
            is_shown = await self._status.renew(self._thread, self._words)
            self._renew_at = self._clock.now() + (RENEW_S if is_shown else RETRY_S)
            self._stays = self._stays or (is_shown and self._had_text)

    async def restore(self) -> None:
        """Show it again after another message of the bot's has ended it."""
        if not self._has_text:
            await self._status.show(self._thread, self._words or translated(texts.WORKING))
            self._stays = self._stays or self._has_text  # text may have begun meanwhile

    async def end(self, *, any_made: bool, any_posted: bool) -> None:
        """End the status where no message ended it: none was made, or it was posted beside an agent's session."""
        if not any_made or self._stays:
            await self._status.clear(self._thread)
        elif any_posted:
            await self._status.after_post(self._thread)

    async def clear(self) -> None:
        """End the status, because no text will end it."""
        await self._status.clear(self._thread)

    @property
    def _left_s(self) -> float:
        return max(0.0, self._renew_at - self._clock.now())

    @property
    def _wanted(self) -> str:
        return working(self._activity, timedelta(seconds=self._clock.now() - self._began_at))
