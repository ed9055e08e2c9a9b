"""The languages of the people who read the bot's lines: by their preference, then by their locale on the platform.

Rule: best effort. Nothing here raises, and no first sign of life waits: until a language is found out, the person is
spoken to in the one that this process knew last, or in English.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from bot.domain.events import Author, Thread
from bot.domain.language import ENGLISH, Reader, speaking
from bot.domain.language_names import language_of, named
from bot.domain.preferences import NO_PROFILE
from bot.errors import StoreUnavailable
from bot.store import preferences
from bot.store.engine import Store
from bot.turns.adapter import Adapter

_PEOPLE = 10_000  # whose languages are remembered; the least recently used leave first
_TIMEOUT_S = 2.5  # an adapter looks a profile up within two seconds


@dataclass(frozen=True, slots=True)
class Addressee:
    """The person to whom a turn speaks. `was`: the language that was assumed at first."""

    reader: Reader
    was: str
    finding: asyncio.Task[None]

    @property
    def is_other(self) -> bool:
        """Whether the language is another one than was assumed."""
        return self.reader.language != self.was

    async def found(self) -> None:
        """Wait until the language is known, a few seconds at most."""
        await asyncio.wait([self.finding])


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a person's language."""

    language: str = ENGLISH
    by_wish: bool = False


class ReaderLanguages:
    """Finds out the languages of people, and remembers them for their next first sign."""

    def __init__(self, store: Store, adapters: Mapping[str, Adapter]) -> None:
        """`adapters` are by platform."""
        self._store = store
        self._adapters = adapters
        self._known: OrderedDict[tuple[str, str, str], _Known] = OrderedDict()

    def last_known(self, thread: Thread, person: str) -> str:
        """Return the language that this process knew last; English for somebody new."""
        return self._known.get((thread.platform, thread.workspace, person), _Known()).language

    async def find(self, platform: str, workspace: str, person: str, within_s: float = _TIMEOUT_S) -> str:
        """Return the person's language, or the one that was known last if it is not found out in time."""
        key = (platform, workspace, person)
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(within_s):
                found = await self._look_up(*key)
            if found is not None:
                self._remember(key, found)
            elif self._known.get(key, _Known()).by_wish:  # it was taken back
                del self._known[key]
        return self._known.get(key, _Known()).language

    @asynccontextmanager
    async def speaking_to(self, thread: Thread, author: Author) -> AsyncIterator[Addressee]:
        """Speak to this person in the block: at first in the language that was known last."""
        with speaking(self.last_known(thread, author.id)) as reader:

            async def find() -> None:
                reader.language = await self.find(thread.platform, thread.workspace, author.id)

            finding = asyncio.create_task(find())
            try:
                yield Addressee(reader, reader.language, finding)
            finally:
                finding.cancel()
                await asyncio.wait([finding])

    async def _look_up(self, platform: str, workspace: str, person: str) -> _Known | None:
        """Return the language; None when neither a preference nor the profile names one now."""
        wishes = await self._store.run(preferences.of_person, platform, workspace, person)
        if (wished := named(wishes.language)) is not None:
            return _Known(wished, by_wish=True)
        adapter = self._adapters.get(platform)
        profile = NO_PROFILE if adapter is None else await adapter.profile(workspace, person)
        return _Known(language_of("", profile.locale)) if profile.locale else None

    def _remember(self, key: tuple[str, str, str], known: _Known) -> None:
        self._known[key] = known
        self._known.move_to_end(key)
        if len(self._known) > _PEOPLE:
            self._known.popitem(last=False)
