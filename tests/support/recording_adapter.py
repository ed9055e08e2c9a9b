"""An adapter that records the shown answers. A test can make it pause, refuse or fail."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import BinaryIO

from bot.domain.events import Attachment, Thread
from bot.domain.file_content import FileOutcome
from bot.domain.preferences import NO_PROFILE, ModelsChange, Profile
from bot.errors import PlatformUnavailable
from bot.prompt.thread_context import NO_THREAD_CONTEXT, ThreadContext
from bot.turns.adapter import AnswerTarget, FetchedFile, Ledger


class RecordingAdapter:
    """A chat platform in memory. `replies[thread]` are its finished answers that are not empty, oldest first."""

    platform = "chat"
    bot_name = "Attendant"
    workspace = "T1"

    def __init__(self) -> None:
        self.replies: defaultdict[Thread, list[str]] = defaultdict(list)
        self.targets: list[AnswerTarget] = []
        self.earlier_messages: list[Sequence[str]] = []  # in the ledger, at the start of each later attempt
        self.shown_waiting: list[AnswerTarget] = []
        self.waited: list[timedelta] = []  # at each of them
        self.ended_waiting: list[AnswerTarget] = []
        self.shown_changes: list[tuple[str, ModelsChange]] = []
        self.people: dict[str, str] = {}
        self.profiles: dict[str, Profile] = {}
        self.looked_up: list[frozenset[str]] = []
        self.thread_context = NO_THREAD_CONTEXT  # of every thread
        self.context_reads: list[tuple[Thread, str]] = []  # the thread, and the message before which it was read
        self.context_available = asyncio.Event()  # while it is clear, reading the thread context waits
        self.context_available.set()
        self.files: dict[str, bytes | FileOutcome] = {}  # by id
        self.fetched: list[str] = []  # the ids of fetched files
        self.files_available = asyncio.Event()  # while it is clear, fetching files waits
        self.files_available.set()
        self.deleted_files: list[str] = []
        self.notified: list[tuple[Thread, str]] = []
        self.failures: list[Exception] = []  # each is raised by one of the next answers or notices
        self.on_finish: Callable[[str], None] = lambda _: None  # called with the text of each finished answer
        self.thoughts = 0  # times that a model was said to think
        self.running = 0  # answers that are being shown
        self.most_running = 0
        self.most_in_one_thread = 0
        self.may_write = asyncio.Event()  # while it is clear, answers wait before their first text
        self.may_write.set()
        self.names_available = asyncio.Event()  # while it is clear, looking up names waits
        self.names_available.set()
        self.status_available = asyncio.Event()  # while it is clear, showing the waiting status waits
        self.status_available.set()
        self._running_in: defaultdict[Thread, int] = defaultdict(int)
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def writer(self, target: AnswerTarget, ledger: Ledger) -> AsyncIterator[RecordingWriter]:
        """See Adapter.writer."""
        await self._count(target.thread, 1)
        try:
            await self._begin(target, ledger)
            yield RecordingWriter(self, target.thread)
        finally:
            await self._count(target.thread, -1)

    async def show_waiting(self, target: AnswerTarget, waited: timedelta = timedelta()) -> None:
        """See Adapter.show_waiting."""
        self.waited.append(waited)
        self.shown_waiting.append(target)
        await self._notify_waiters()
        await self.status_available.wait()

    async def end_waiting(self, target: AnswerTarget) -> None:
        """See Adapter.end_waiting."""
        self.ended_waiting.append(target)
        await self._notify_waiters()

    async def show_kept(self, target: AnswerTarget, change: ModelsChange) -> None:
        """See Adapter.show_kept."""
        self.shown_changes.append((target.author.id, change))

    async def names(self, workspace: str, user_ids: Iterable[str]) -> Mapping[str, str]:
        """See Adapter.names."""
        del workspace
        wanted = frozenset(user_ids)
        self.looked_up.append(wanted)
        await self._notify_waiters()
        await self.names_available.wait()
        return {person: name for person, name in self.people.items() if person in wanted}

    async def earlier(self, thread: Thread, before: str) -> ThreadContext:
        """See Adapter.earlier."""
        self.context_reads.append((thread, before))
        await self._notify_waiters()
        await self.context_available.wait()
        return self.thread_context

    async def fetch_file(self, file: Attachment, into: BinaryIO, most_bytes: int) -> FetchedFile | FileOutcome:
        """See Adapter.fetch_file."""
        self.fetched.append(file.id)
        await self._notify_waiters()
        await self.files_available.wait()
        stored = self.files.get(file.id, FileOutcome.NOT_SHARED)
        if isinstance(stored, FileOutcome):
            return stored
        into.write(stored)
        return FetchedFile(file.name, file.mimetype) if len(stored) <= most_bytes else FileOutcome.TOO_LARGE

    async def delete_file(self, file_id: str) -> None:
        """See Adapter.delete_file."""
        if self.failures:
            raise self.failures.pop(0)
        self.deleted_files.append(file_id)

    async def notify(self, thread: Thread, text: str) -> None:
        """See Adapter.notify."""
        if self.failures:
            raise self.failures.pop(0)
        self.notified.append((thread, text))
        await self._notify_waiters()

    async def post_beside(
        self, thread: Thread, text: str, after: str, is_ours: Callable[[], Awaitable[bool]]
    ) -> str | None:
        """See Adapter.post_beside."""
        del after
        if not await is_ours():
            raise PlatformUnavailable("lost")
        await self.notify(thread, text)
        return f"beside-{len(self.notified)}"

    async def profile(self, workspace: str, user_id: str) -> Profile:
        """See Adapter.profile."""
        del workspace
        return self.profiles.get(user_id, NO_PROFILE)

    async def until(self, state: Callable[[], bool]) -> None:
        """Wait until `state`, a condition on the recorded fields, is true."""
        async with self._changed:
            await self._changed.wait_for(state)

    async def shown(self, thread: Thread, number: int = 1) -> list[str]:
        """Wait until the thread has so many finished answers. Return all of them."""
        await self.until(lambda: len(self.replies[thread]) >= number)
        return self.replies[thread]

    async def _begin(self, target: AnswerTarget, ledger: Ledger) -> None:
        self.targets.append(target)
        if target.attempt > 1:
            self.earlier_messages.append(await ledger.of_this_turn())
        await self.may_write.wait()
        if self.failures:
            raise self.failures.pop(0)
        await ledger.posted(f"answer-to-{target.message_id}")

    async def _count(self, thread: Thread, change: int) -> None:
        self.running += change
        self._running_in[thread] += change
        self.most_running = max(self.most_running, self.running)
        self.most_in_one_thread = max(self.most_in_one_thread, self._running_in[thread])
        await self._notify_waiters()

    async def _notify_waiters(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class RecordingWriter:
    """Collects one answer. Implements adapter.AnswerWriter."""

    def __init__(self, adapter: RecordingAdapter, thread: Thread) -> None:
        self._adapter = adapter
        self._thread = thread
        self._text = ""

    def write(self, text: str) -> None:
        """See AnswerWriter."""
        self._text += text

    def close_with(self, text: str, *, wanted: bool = True) -> None:
        """See AnswerWriter."""
        del wanted
        self._text += text

    def restart(self) -> None:
        """See AnswerWriter."""
        self._text = ""

    def think(self) -> None:
        """See AnswerWriter."""
        self._adapter.thoughts += 1

    def speak_anew(self) -> None:
        """See AnswerWriter."""

    async def drain(self) -> None:
        """See AnswerWriter."""

    async def finish(self) -> None:
        """See AnswerWriter."""
        if self._text:
            self._adapter.replies[self._thread].append(self._text)
            self._adapter.on_finish(self._text)
