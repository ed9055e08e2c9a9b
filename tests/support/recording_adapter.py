"""An adapter that keeps what was shown, and can hold, refuse or break."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from bot.domain.events import Thread
from bot.domain.preferences import NO_PROFILE, Profile
from bot.prompt.thread_context import NO_THREAD_CONTEXT, ThreadContext
from bot.turns.adapter import AnswerTarget, Ledger


class RecordingAdapter:
    """A chat platform in memory. `replies[thread]` are the whole answers shown there, oldest first; no empty ones."""

    platform = "desk"
    workspace = "T1"

    def __init__(self) -> None:
        self.replies: defaultdict[Thread, list[str]] = defaultdict(list)
        self.asked: list[AnswerTarget] = []
        self.found: list[Sequence[str]] = []  # what each later attempt was told that earlier ones had posted
        self.told_to_wait: list[AnswerTarget] = []
        self.told_no_more: list[AnswerTarget] = []  # that they wait
        self.people: dict[str, str] = {}
        self.profiles: dict[str, Profile] = {}
        self.looked_up: list[frozenset[str]] = []
        self.background = NO_THREAD_CONTEXT  # what was said in every thread before the bot was called into it
        self.read: list[tuple[Thread, str]] = []  # where, and before which message, it was looked for
        self.readable = asyncio.Event()  # while it is clear, reading it takes its time
        self.readable.set()
        self.notified: list[tuple[Thread, str]] = []
        self.failures: list[Exception] = []  # each raised by one of the next replies instead of showing it
        self.afterwards: Callable[[str], None] = lambda _: None  # told each text as its reply ends
        self.running = 0  # replies under way
        self.most_running = 0
        self.most_in_one_thread = 0
        self.open = asyncio.Event()  # while it is clear, replies wait before they read the answer
        self.open.set()
        self.known = asyncio.Event()  # while it is clear, names are still being looked up
        self.known.set()
        self.patient = asyncio.Event()  # while it is clear, telling people to wait takes its time
        self.patient.set()
        self._here: defaultdict[Thread, int] = defaultdict(int)
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

    async def show_waiting(self, target: AnswerTarget) -> None:
        """See Adapter.show_waiting."""
        self.told_to_wait.append(target)
        await self._tell()
        await self.patient.wait()

    async def end_waiting(self, target: AnswerTarget) -> None:
        """See Adapter.end_waiting."""
        self.told_no_more.append(target)
        await self._tell()

    async def names(self, workspace: str, user_ids: Iterable[str]) -> Mapping[str, str]:
        """See Adapter.names."""
        del workspace
        wanted = frozenset(user_ids)
        self.looked_up.append(wanted)
        await self._tell()
        await self.known.wait()
        return {person: name for person, name in self.people.items() if person in wanted}

    async def earlier(self, thread: Thread, before: str) -> ThreadContext:
        """See Adapter.earlier."""
        self.read.append((thread, before))
        await self._tell()
        await self.readable.wait()
        return self.background

    async def notify(self, thread: Thread, text: str) -> None:
        """See Adapter.notify."""
        if self.failures:
            raise self.failures.pop(0)
        self.notified.append((thread, text))
        await self._tell()

    async def profile(self, workspace: str, user_id: str) -> Profile:
        """See Adapter.profile."""
        del workspace
        return self.profiles.get(user_id, NO_PROFILE)

    async def until(self, state: Callable[[], bool]) -> None:
        """Wait until something that this adapter records has come to that state."""
        async with self._changed:
            await self._changed.wait_for(state)

    async def shown(self, thread: Thread, number: int = 1) -> list[str]:
        """Wait until so many replies were shown whole in the thread; all of them."""
        await self.until(lambda: len(self.replies[thread]) >= number)
        return self.replies[thread]

    async def _begin(self, target: AnswerTarget, ledger: Ledger) -> None:
        self.asked.append(target)
        if target.attempt > 1:
            self.found.append(await ledger.mine())
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        await ledger.posted(f"answer-to-{target.message_id}")

    async def _count(self, thread: Thread, change: int) -> None:
        self.running += change
        self._here[thread] += change
        self.most_running = max(self.most_running, self.running)
        self.most_in_one_thread = max(self.most_in_one_thread, self._here[thread])
        await self._tell()

    async def _tell(self) -> None:
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

    async def drain(self) -> None:
        """See AnswerWriter."""

    async def finish(self) -> None:
        """See AnswerWriter."""
        if self._text:
            self._adapter.replies[self._thread].append(self._text)
            self._adapter.afterwards(self._text)
