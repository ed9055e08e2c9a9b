"""The data that the bot keeps of a person: preferences and messages, to be shown, changed, exported and erased."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from bot.domain.events import Author
from bot.domain.personal_data import PersonalDataExport
from bot.domain.preferences import ModelsChange, Preferences
from bot.store import erasure, export, preferences
from bot.store.engine import Store
from bot.store.erasure import Scope
from bot.turns.leases import LeaseKeeper

log = logging.getLogger(__name__)

EXPORTED_MESSAGES = 10_000


class PersonalData:
    """Serves people's requests about their own data. Each method may raise StoreUnavailable."""

    def __init__(self, store: Store, leases: LeaseKeeper, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._leases = leases
        self._clock = clock

    async def preferences(self, platform: str, workspace: str, user_id: str) -> Preferences:
        """Return the person's preferences."""
        return await self._store.run_urgent(preferences.of_person, platform, workspace, user_id)

    async def set_preferences(
        self, platform: str, workspace: str, user_id: str, wishes: Mapping[str, object]
    ) -> Preferences:
        """Change the person's preferences, and return the new ones. Raises PreferencesRefused."""
        change = preferences.change
        return await self._store.run_urgent(change, platform, workspace, user_id, wishes, now=self._clock())

    async def last_change(self, platform: str, workspace: str, user_id: str) -> ModelsChange | None:
        """Return the last change of the person's preferences, if the model made it and it can be undone."""
        return await self._store.run_urgent(preferences.last_change, platform, workspace, user_id)

    async def undo_change(self, platform: str, workspace: str, user_id: str, turn_id: int) -> bool:
        """Restore what stood before the model's change in this turn. Return False if another change followed."""
        undo = preferences.undo
        restored = await self._store.run_urgent(undo, platform, workspace, user_id, turn_id, now=self._clock())
        return restored is not None

    async def forget(self, platform: str, workspace: str, author: Author) -> int:
        """Erase the person's messages in a workspace, and the answers to them; return how many messages."""
        scope, total = Scope(platform, workspace, person=author.id), 0
        while erased := await self._store.run(erasure.erase, scope, now=self._clock()):
            total += erased
            await self._leases.poll_interruptions()
        log.info("person_forgotten", extra={"place": f"{platform}/{workspace}", "count": total})
        return total

    async def export(self, platform: str, workspace: str, author: Author) -> PersonalDataExport:
        """Return the person's messages in a workspace: the newest EXPORTED_MESSAGES, oldest first."""
        return await self._store.run(export.of_person, platform, workspace, author.id, limit=EXPORTED_MESSAGES)
