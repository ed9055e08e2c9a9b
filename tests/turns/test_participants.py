"""Who is who in a session: looked up once, and the same from its first word to its last. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from bot.store import display_names, tables
from bot.store.engine import Store
from bot.turns.participants import MOST_LOOKED_UP, Participants
from tests.support.builders import ANA, THREAD, mention, reply
from tests.support.store_driver import Books


class Directory:
    """What people are called, and who was asked for."""

    def __init__(self, people: Mapping[str, str]) -> None:
        self.people = dict(people)
        self.asked: list[list[str]] = []

    async def look_up(self, people: Iterable[str]) -> Mapping[str, str]:
        """See Adapter.names."""
        self.asked.append(list(people))
        return {person: self.people[person] for person in self.asked[-1] if person in self.people}


async def called(store: Store, directory: Directory, *people: str, session: str = "s1") -> list[str]:
    """What the model reads them as."""
    given = await Participants(store).names(session, people, directory.look_up, {})
    return [given[person] for person in people]


async def test_names_stay_whatever_people_call_themselves_later(books: Books) -> None:
    """Nobody becomes somebody else in the midst of a conversation; nobody is asked for twice."""
    await books.answer(mention("hi"))
    directory = Directory({"U1": "Ana", "U2": "Ben"})
    assert await called(books.store, directory, "U1", "U2") == ["Ana", "Ben"]
    directory.people = {"U1": "Ben", "U2": "Ana", "U3": "ana"}

    assert await called(books.store, directory, "U1", "U2", "U3") == ["Ana", "Ben", "ana (2)"]
    assert directory.asked == [["U1", "U2"], ["U3"]]


async def test_the_first_of_two_namesakes_stays_the_first(books: Books) -> None:
    """Also when she is not in what is shown any more."""
    await books.answer(mention("hi"))
    directory = Directory({"U1": "Ana", "U2": "Ana"})
    await called(books.store, directory, "U1", "U2")

    assert await called(books.store, directory, "U2") == ["Ana (2)"]


async def test_who_could_not_be_named_stays_the_same_somebody(books: Books) -> None:
    """Nobody is taken for another of them, alone or in another order, nor looked up again."""
    await books.answer(mention("hi"))
    directory = Directory({})
    assert await called(books.store, directory, "U1", "U2") == ["Somebody", "Somebody (2)"]
    directory.people = {"U1": "Ana"}

    assert await called(books.store, directory, "U2") == ["Somebody (2)"]
    assert await called(books.store, directory, "U2", "U1", "U3") == ["Somebody (2)", "Somebody", "Somebody (3)"]
    assert directory.asked == [["U1", "U2"], ["U3"]]


async def test_two_who_are_named_at_once_are_not_one(books: Books) -> None:
    """A turn and a summary may need names in the same moment: each person has one that is nobody else's."""
    await books.answer(mention("hi"))
    people = [f"U{number}" for number in range(8)]
    directory = Directory(dict.fromkeys(people[::2], "Ana"))
    await asyncio.gather(*(called(books.store, directory, person) for person in people))

    given = await called(books.store, directory, *people)
    assert len(set(given)) == len(people)


async def test_sessions_do_not_share_names(books: Books) -> None:
    """What people are called in one session is nothing to another, and goes with it."""
    await books.answer(mention("hi"))
    await called(books.store, Directory({"U1": "Ana"}), "U1")
    await books.reset(THREAD, ANA)
    await books.answer(reply("hi again", "2.0"))

    assert (await books.rows(tables.DISPLAY_NAMES)) == []
    assert await called(books.store, Directory({"U2": "Ana"}), "U2", session="s2") == ["Ana"]


async def test_a_closed_session_remembers_nobody(books: Books) -> None:
    """A turn that runs on after a reset does not bring names back."""
    await books.answer(mention("hi"))
    await books.reset(THREAD, ANA)

    assert await called(books.store, Directory({"U1": "Ana"}), "U1") == ["Ana"]
    assert (await books.rows(tables.DISPLAY_NAMES)) == []


async def test_nobody_can_have_a_crowd_looked_up(books: Books) -> None:
    """However many a message mentions, only some are asked for; the others are nobody in particular."""
    await books.answer(mention("hi"))
    crowd = [f"U{number}" for number in range(MOST_LOOKED_UP + 10)]
    directory = Directory({person: f"Ana {person}" for person in crowd})
    given = await called(books.store, directory, *crowd)

    assert directory.asked == [crowd[:MOST_LOOKED_UP]]
    assert given[MOST_LOOKED_UP:][:2] == ["Somebody", "Somebody (2)"]
    assert await called(books.store, directory, *crowd) == given
    assert len(directory.asked) == 1


async def test_nobody_is_asked_for_where_nobody_is_named(store: Store) -> None:
    """Without people there is nothing to do, in the database neither."""
    statements: list[str] = []
    sa.event.listen(store.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    assert await Participants(store).names("s1", [], Directory({}).look_up, {}) == {}
    assert statements == []
    assert await store.run(display_names.of_session, "s1") == {}
