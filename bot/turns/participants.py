"""The names of the people in a session. The model reads each person under one name, from the first turn to the last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from bot.store import display_names
from bot.store.engine import Store

MOST_LOOKED_UP = 50  # people at a time: a message may mention any number

LookUp = Callable[[Iterable[str]], Awaitable[Mapping[str, str]]]


class Participants:
    """Gives people names, and stores them with the session."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def names(
        self, session_id: str, people: Sequence[str], look_up: LookUp, bots: Mapping[str, str], *, own_name: str = ""
    ) -> Mapping[str, str]:
        """Return a name for each of these people. The names of `bots` need no look-up. `own_name` is this bot's.

        A person without a name is "Somebody", the next one "Somebody (2)". The label is kept for the whole session, so
        that two people are not confused.
        """
        if not people:
            return {}
        stored = await self._store.run_until_available(display_names.of_session, session_id)
        unnamed = [person for person in people if person not in stored]
        if not unnamed:
            return stored
        unknown = [person for person in unnamed if person not in bots][:MOST_LOOKED_UP]
        profile_names = {**(await look_up(unknown) if unknown else {}), **bots}
        assign = partial(display_names.assign, bots=bots.keys(), own_name=own_name)
        return await self._store.run_until_available(assign, session_id, people, profile_names)
