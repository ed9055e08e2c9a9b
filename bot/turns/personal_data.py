"""The data that the bot keeps of a person: preferences and messages, to be shown, changed, exported and erased."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from bot.access.redaction import Redactor
from bot.domain.events import Author
from bot.domain.personal_data import ExportedContextMessage, ExportedMessage, PersonalDataExport
from bot.domain.preferences import ModelsChange, Preferences
from bot.store import access_notices, erasure, export, greetings, preferences
from bot.store.engine import Store
from bot.store.erasure import Scope
from bot.turns.leases import LeaseKeeper
from bot.turns.reader_languages import ReaderLanguages

log = logging.getLogger(__name__)

EXPORTED_MESSAGES = 10_000
_LANGUAGE_S = 0.4  # a person waits who has pressed a button, and Slack allows three seconds for everything
EXPORT_BATCH = 100  # messages in one transaction


class PersonalData:
    """Serves people's requests about their own data. Each method may raise StoreUnavailable."""

    def __init__(
        self,
        store: Store,
        leases: LeaseKeeper,
        languages: ReaderLanguages,
        *,
        clock: Callable[[], datetime],
        redactor: Redactor,
    ) -> None:
        self._store = store
        self._languages = languages
        self._leases = leases
        self._clock = clock
        self._redactor = redactor

    async def preferences(self, platform: str, workspace: str, user_id: str) -> Preferences:
        """Return the person's preferences."""
        return await self._store.run_urgent(preferences.of_person, platform, workspace, user_id)

    async def language(self, platform: str, workspace: str, user_id: str) -> str:
        """Return the language in which to speak to the person. It never raises, and takes less than half a second."""
        return await self._languages.find(platform, workspace, user_id, _LANGUAGE_S)

    async def set_preferences(
        self, platform: str, workspace: str, user_id: str, wishes: Mapping[str, object]
    ) -> Preferences:
        """Change the person's preferences, and return the new ones. Raises PreferencesRefused."""
        change, redacted = preferences.change, self._redactor.text
        wishes = {field: redacted(wish) if isinstance(wish, str) else wish for field, wish in wishes.items()}
        return await self._store.run_urgent(change, platform, workspace, user_id, wishes, now=self._clock())

    async def claim_greeting(self, platform: str, workspace: str, user_id: str, channel: str) -> bool:
        """Note that the person is greeted in this DM. Return whether to greet them: once, and not in a used DM."""
        claim = greetings.claim
        return await self._store.run_urgent(claim, platform, workspace, user_id, channel, now=self._clock())

    async def claim_access_notice(self, platform: str, workspace: str, user_id: str) -> bool:
        """Return whether to tell the person now that they are not answered, and note it. At most once a day."""
        claim = access_notices.claim
        return await self._store.run_urgent(claim, platform, workspace, user_id, now=self._clock())

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

    async def export(
        self, platform: str, workspace: str, author: Author, *, limit: int = EXPORTED_MESSAGES
    ) -> PersonalDataExport:
        """Return the person's messages in a workspace: the newest `limit` of each kind, oldest first."""
        # One more than the limit shows whether there are more.
        ids = await self._store.run(export.newest, platform, workspace, author.id, limit=limit + 1)
        written, in_context = (of_kind[:limit] for of_kind in ids)
        messages, context = list[ExportedMessage](), list[ExportedContextMessage]()
        for part in _parts(written):
            messages += await self._store.run(export.messages, author.id, part)
        for part in _parts(in_context):
            context += await self._store.run(export.context_messages, author.id, part)
        complete = max(map(len, ids)) <= limit
        return PersonalDataExport(tuple(messages[::-1]), tuple(context[::-1]), complete=complete)


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the ids in parts that one transaction reads."""
    return (ids[start : start + EXPORT_BATCH] for start in range(0, len(ids), EXPORT_BATCH))
