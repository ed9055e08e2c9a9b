"""Roster: who is who in a session. The model reads each person under one name, from the first word to the last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from bot.store import display_names as given_names
from bot.store.engine import Store

MOST_LOOKED_UP = 50  # people at a time: a message may mention any number

LookUp = Callable[[Iterable[str]], Awaitable[Mapping[str, str]]]


class Participants:
    """Gives names, and remembers them with the session."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def names(
        self, session_id: str, people: Sequence[str], look_up: LookUp, told: Mapping[str, str]
    ) -> Mapping[str, str]:
        """A name for each of these people. `told` are names that need no looking up.

        Who has none is "Somebody", the next one "Somebody (2)", and stays it: else the one were taken for the other.
        """
        if not people:
            return {}
        taken = await self._store.run_until_available(given_names.of_session, session_id)
        unknown = [person for person in people if person not in taken]
        if not unknown:
            return taken
        asked = [person for person in unknown if person not in told][:MOST_LOOKED_UP]
        called = {**(await look_up(asked) if asked else {}), **told}
        return await self._store.run_until_available(given_names.give, session_id, people, called)
