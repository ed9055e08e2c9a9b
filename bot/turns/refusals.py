"""Refuses the commands of people who took no part, while the answer that they wanted to end goes on.

Rule: the process that answers in a thread posts there, and nobody else. A refusal that cannot be posted meanwhile waits
for the end of the answer, as other commands do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from bot.domain import texts
from bot.domain.language import speaking
from bot.errors import PlatformError, PlatformUnavailable, StoreUnavailable
from bot.store import refused_commands
from bot.store.claims import PlatformClaim
from bot.store.engine import Store
from bot.turns.adapter import Adapter
from bot.turns.reader_languages import ReaderLanguages
from bot.turns.running_turn import RunningTurn

Running = RunningTurn[PlatformClaim]


class Refusals:
    """Posts the refusals in the threads that are answered here."""

    def __init__(
        self,
        store: Store,
        adapters: Mapping[str, Adapter],
        languages: ReaderLanguages,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """`adapters` are those of each platform."""
        self._store = store
        self._adapters = adapters
        self._languages = languages
        self._clock = clock
        self._running: dict[int, Running] = {}  # by thread
        self._posting: dict[int, asyncio.Task[None]] = {}  # by thread

    @asynccontextmanager
    async def during(self, turn: Running) -> AsyncIterator[None]:
        """Allow refusals in the turn's thread while the block runs. Leave when none is being posted."""
        thread_id = turn.claim.thread_id
        self._running[thread_id] = turn
        try:
            yield
        finally:
            del self._running[thread_id]
            if (posting := self._posting.get(thread_id)) is not None:
                await asyncio.wait([posting])

    def post_in(self, thread_id: int) -> None:
        """Post the refusals that wait in this thread, if its answer is written here."""
        if thread_id in self._running and thread_id not in self._posting:
            self._posting[thread_id] = asyncio.create_task(self._post_in(self._running[thread_id]))

    async def poll(self) -> None:
        """Post those that other processes have received. Raises StoreUnavailable."""
        if self._running:
            for command in await self._store.run(refused_commands.waiting, list(self._running)):
                self.post_in(command.thread_id)

    async def _post_in(self, turn: Running) -> None:
        thread_id, place = turn.claim.thread_id, turn.claim.thread
        try:
            with suppress(StoreUnavailable, PlatformError, PlatformUnavailable):  # they wait for the end of the answer
                for command in await self._store.run(refused_commands.waiting, [thread_id]):
                    with speaking(await self._languages.find(place.platform, place.workspace, command.author_id)):
                        sentence = texts.fixed_reply(command.outcome)
                    post = self._adapters[place.platform].post_beside
                    answer_id = await post(place, sentence, command.message_id, turn.is_ours)
                    now = self._clock()
                    await self._store.run_until_available(refused_commands.settle, command, answer_id, now=now)
        finally:
            del self._posting[thread_id]
