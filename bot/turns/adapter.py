"""The port to a chat platform. A small implementation is tests/support/recording_adapter.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO, Protocol

from bot.domain.events import Attachment, Author, Thread
from bot.domain.file_content import FileOutcome
from bot.domain.preferences import ModelsChange, Profile
from bot.prompt.thread_context import ThreadContext


@dataclass(frozen=True, slots=True)
class AnswerTarget:
    """Where an answer belongs, and whom it is for: the author of the newest message of the turn."""

    thread: Thread
    author: Author
    message_id: str
    attempt: int = 1  # at this turn; a later attempt finds the messages that the earlier ones left in the thread


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file as the platform describes it now. Its name and type are its sender's, and may be wrong."""

    name: str
    mimetype: str


class Ledger(Protocol):
    """Which of the bot's messages in the thread hold this answer. Each awaited method may raise StoreUnavailable."""

    async def is_ours(self) -> bool:
        """Return whether this worker still holds the lease of the turn. If not, it must not write any more.

        It waits while the worker's process has to find out.
        """

    async def posted(self, answer_id: str) -> None:
        """Store that this message holds (a part of) the answer. It is called at once, in the order of the messages."""

    async def removed(self, answer_id: str) -> None:
        """Store that this message was deleted, and holds no part of the answer any more."""

    async def of_this_turn(self) -> Sequence[str]:
        """Return the messages that earlier attempts at this turn posted, in order."""

    async def uploading(self, file_id: str) -> None:
        """Store that this file of the platform holds a part of the answer, before it is shown in the thread."""

    async def file_removed(self, file_id: str) -> None:
        """Store that this file was deleted, or was never shown."""

    async def uploaded(self) -> Sequence[str]:
        """Return the files that earlier attempts at this turn uploaded, in order."""

    async def of_other_turns(self, answer_ids: Sequence[str]) -> AbstractSet[str]:
        """Return the messages among these that belong to other turns, and must be left alone."""


class AnswerWriter(Protocol):
    """Shows one answer while it grows.

    The text is Markdown from the model, so it is untrusted. A text that exceeds the platform's limits is shown in
    several messages. No text of an answer may ping a person, and no link may unfurl.
    """

    def write(self, text: str) -> None:
        """Add text to the answer."""

    def close_with(self, text: str, *, wanted: bool = True) -> None:
        """Add lines of the bot's own, which stand below the answer. No text follows them.

        `wanted`: False if the answer is void, so that text which is not shown yet need not be.
        """

    def restart(self) -> None:
        """Drop all text so far, because the model is asked again. The next text takes its place in the thread."""

    def think(self) -> None:
        """Note that the model thinks, for the status."""

    def speak_anew(self) -> None:
        """Show the status again, because the reader's language has become known."""

    async def drain(self) -> None:
        """Wait while too much text is not shown yet. It may be cancelled without a loss of text, and never raises."""

    async def finish(self) -> None:
        """Return when all of the answer is shown. An answer without text shows nothing, and ends the status."""


class Adapter(Protocol):
    """One workspace of a chat platform."""

    platform: str

    @property
    def workspace(self) -> str:
        """The workspace that it is installed in. Threads of other workspaces in the same database are not its own."""

    @property
    def bot_name(self) -> str:
        """The name under which people know the bot there. Nobody else may have it in a prompt."""

    def writer(self, target: AnswerTarget, ledger: Ledger) -> AbstractAsyncContextManager[AnswerWriter]:
        """Show that the bot works, and open the answer for writing within the block.

        A block that ends without `finish` leaves the answer as it stands. The messages of an earlier attempt that died
        half-way are finished in place, so that the reader sees one answer. The block raises PlatformError when the
        platform refuses and a retry does not help, and PlatformUnavailable when the platform could not be reached, or
        asked for a long wait, and a retry helps. An unreachable platform is not reported before `finish`, so that the
        model's answer can be kept.
        """

    async def show_waiting(self, target: AnswerTarget, waited: timedelta = timedelta()) -> None:
        """Show that the message is accepted, but has to wait, and for how long it has. Best effort: it never raises."""

    async def end_waiting(self, target: AnswerTarget) -> None:
        """End that status, because nothing will be answered here. Best effort: it never raises."""

    async def names(self, workspace: str, user_ids: Iterable[str]) -> Mapping[str, str]:
        """Return the display names of these people, as far as they are known. Best effort: it never raises."""

    async def earlier(self, thread: Thread, before: str) -> ThreadContext:
        """Return the thread's messages before this one, as far as they load within seconds. It never raises."""

    async def fetch_file(self, file: Attachment, into: BinaryIO, most_bytes: int) -> FetchedFile | FileOutcome:
        """Write a file's bytes, as far as there are at most so many; or return the outcome that says why not.

        It takes seconds at most, and never raises.
        """

    async def delete_file(self, file_id: str) -> None:
        """Delete one of the bot's files. One that is gone already is no error.

        Raises PlatformError when the platform refuses, and PlatformUnavailable when it cannot be reached.
        """

    async def notify(self, thread: Thread, text: str) -> None:
        """Post a message of the bot's own that answers nothing, such as an expiry warning.

        Raises PlatformError when the platform refuses, and PlatformUnavailable when the message was surely not posted.
        """

    async def post_beside(
        self, thread: Thread, text: str, after: str, is_ours: Callable[[], Awaitable[bool]]
    ) -> str | None:
        """Post a line of the bot's own while an answer grows in the thread; return the message's id.

        It replies to the message `after`. `is_ours`: see Ledger. None when the message may have been posted, but its id
        is not known. Raises PlatformError and PlatformUnavailable when it was surely not posted.
        """

    async def show_kept(self, target: AnswerTarget, change: ModelsChange) -> None:
        """Show the author alone what the model changed in their preferences, whole, and a button that undoes it.

        Best effort: it never raises.
        """

    async def profile(self, workspace: str, user_id: str) -> Profile:
        """Return this person's profile, as far as it is known. Best effort: it never raises."""
