"""What a chat platform must be able to do. A small implementation is tests/support/recording_adapter.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from bot.domain.events import Author, Thread
from bot.domain.preferences import Profile
from bot.prompt.thread_context import ThreadContext


@dataclass(frozen=True, slots=True)
class Asked:
    """Where an answer belongs, and whom it is for: the author of the newest message of the turn."""

    thread: Thread
    author: Author
    message_id: str
    attempt: int = 1  # at this turn; a later one finds what the earlier ones left in the thread


class Ledger(Protocol):
    """What is known of the bot's own messages in the thread. What is awaited may raise StoreUnavailable."""

    def is_ours(self) -> bool:
        """Whether the turn is surely this worker's still; if not, nothing may be written for it any more."""

    async def posted(self, answer_id: str) -> None:
        """Remember that this message of the platform holds (a part of) this turn's answer: told at once, in order."""

    async def removed(self, answer_id: str) -> None:
        """Remember that this message is no part of the answer any more: it was taken away."""

    async def mine(self) -> Sequence[str]:
        """The messages that earlier attempts at this turn are known to have posted, in order."""

    async def settled(self, answer_ids: Sequence[str]) -> AbstractSet[str]:
        """Which of these messages belong to other turns, so that they are to be left alone."""


class Adapter(Protocol):
    """A chat platform, as the work layer sees it: one workspace of it."""

    platform: str

    @property
    def workspace(self) -> str:
        """The workspace it is installed in; threads of others on the same database are none of its business."""

    async def reply(self, asked: Asked, deltas: AsyncIterator[str], ledger: Ledger) -> None:
        """Show that the bot works, then the answer as it grows; all of it stands there when this returns.

        `deltas` are pieces of Markdown from the model, so untrusted; the iterator never raises. Whatever the
        platform's limits, the whole text arrives, and nothing in it may ping anybody or unfurl.
        Where an earlier attempt died half-way, its messages are finished in place: the reader sees one answer.
        Raises PlatformError when the platform refuses, in which case trying again does not help; and
        PlatformUnavailable when it could not be reached or asked to wait for long, in which case it does.
        """

    async def show_waiting(self, asked: Asked) -> None:
        """Let the person see that the message is taken up, though it has to wait. Best effort: it never raises."""

    async def end_waiting(self, asked: Asked) -> None:
        """Take that back: another replica answers, or nobody is to be answered any more. Best effort: never raises."""

    async def names(self, workspace: str, user_ids: Iterable[str]) -> Mapping[str, str]:
        """The display names of these people, as far as they can be known. Best effort: it never raises."""

    async def earlier(self, thread: Thread, before: str) -> ThreadContext:
        """What was said in the thread before this message, as far as it can be had within seconds. It never raises."""

    async def notify(self, thread: Thread, text: str) -> None:
        """Say a line of ours in the thread that nobody asked for.

        Raises PlatformError when the platform refuses, and PlatformUnavailable when it surely was not said for now.
        """

    async def profile(self, workspace: str, user_id: str) -> Profile:
        """What this person's profile tells, as far as it can be known. Best effort: it never raises."""
