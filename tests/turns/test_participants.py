"""Participants: each person is looked up once, and has one name for the whole session. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from bot.store import display_names, tables
from bot.store.engine import Store
from bot.turns.participants import MOST_LOOKED_UP, Participants
from tests.support.builders import ANA, THREAD, mention, reply
from tests.support.store_driver import StoreDriver


class Directory:
    """A user directory that records its look-ups."""

    def __init__(self, people: Mapping[str, str]) -> None:
        self.people = dict(people)
        self.looked_up: list[list[str]] = []

    async def look_up(self, people: Iterable[str]) -> Mapping[str, str]:
        """See Adapter.names."""
        self.looked_up.append(list(people))
        return {person: self.people[person] for person in self.looked_up[-1] if person in self.people}


async def called(store: Store, directory: Directory, *people: str, session: str = "s1") -> list[str]:
    """Return the names under which the model reads these people."""
    given = await Participants(store).names(session, people, directory.look_up, {})
    return [given[person] for person in people]


async def test_names_stay_whatever_people_call_themselves_later(driver: StoreDriver) -> None:
    """A changed profile does not change a name within the session, and each person is looked up once."""
    await driver.answer(mention("hi"))
    directory = Directory({"U1": "Ana", "U2": "Ben"})
    assert await called(driver.store, directory, "U1", "U2") == ["Ana", "Ben"]
    directory.people = {"U1": "Ben", "U2": "Ana", "U3": "ana"}

    assert await called(driver.store, directory, "U1", "U2", "U3") == ["Ana", "Ben", "ana (2)"]
    assert directory.looked_up == [["U1", "U2"], ["U3"]]


async def test_a_person_cannot_take_the_name_of_a_bot(driver: StoreDriver) -> None:
    """A person with another bot's name, or this bot's, is marked. The other bot keeps its name, without a look-up."""
    await driver.answer(mention("hi"))
    directory = Directory({"U1": "Jenkins (a bot)", "U2": "\u041delper"})
    people = ["B1", "U1", "U2"]
    bots = {"B1": "Jenkins (a bot)"}
    given = await Participants(driver.store).names("s1", people, directory.look_up, bots, own_name="Helper")

    assert [given[person] for person in people] == [
        "Jenkins (a bot)", "Jenkins (a bot) (a person)", "\u041delper (a person)"
    ]  # fmt: skip
    assert directory.looked_up == [["U1", "U2"]]


async def test_the_first_of_two_namesakes_stays_the_first(driver: StoreDriver) -> None:
    """A person keeps the plain name when their messages are no longer shown."""
    await driver.answer(mention("hi"))
    directory = Directory({"U1": "Ana", "U2": "Ana"})
    await called(driver.store, directory, "U1", "U2")

    assert await called(driver.store, directory, "U2") == ["Ana (2)"]


async def test_a_person_without_a_name_keeps_the_same_label(driver: StoreDriver) -> None:
    """A person without a profile keeps the same label in any order, and is not looked up again."""
    await driver.answer(mention("hi"))
    directory = Directory({})
    assert await called(driver.store, directory, "U1", "U2") == ["Somebody", "Somebody (2)"]
    directory.people = {"U1": "Ana"}

    assert await called(driver.store, directory, "U2") == ["Somebody (2)"]
    assert await called(driver.store, directory, "U2", "U1", "U3") == ["Somebody (2)", "Somebody", "Somebody (3)"]
    assert directory.looked_up == [["U1", "U2"], ["U3"]]


async def test_concurrent_assignments_give_unique_names(driver: StoreDriver) -> None:
    """If a turn and a summary assign names at the same time, each person has a unique name."""
    await driver.answer(mention("hi"))
    people = [f"U{number}" for number in range(8)]
    directory = Directory(dict.fromkeys(people[::2], "Ana"))
    await asyncio.gather(*(called(driver.store, directory, person) for person in people))

    given = await called(driver.store, directory, *people)
    assert len(set(given)) == len(people)


async def test_sessions_do_not_share_names(driver: StoreDriver) -> None:
    """Each session has its own names, which are deleted with it."""
    await driver.answer(mention("hi"))
    await called(driver.store, Directory({"U1": "Ana"}), "U1")
    await driver.reset(THREAD, ANA)
    await driver.answer(reply("hi again", "2.0"))

    assert (await driver.rows(tables.DISPLAY_NAMES)) == []
    assert await called(driver.store, Directory({"U2": "Ana"}), "U2", session="s2") == ["Ana"]


async def test_a_closed_session_remembers_nobody(driver: StoreDriver) -> None:
    """A turn that continues after a reset stores no names."""
    await driver.answer(mention("hi"))
    await driver.reset(THREAD, ANA)

    assert await called(driver.store, Directory({"U1": "Ana"}), "U1") == ["Ana"]
    assert (await driver.rows(tables.DISPLAY_NAMES)) == []


async def test_look_ups_are_bounded(driver: StoreDriver) -> None:
    """A message with many mentions causes a bounded number of look-ups. The other people have labels."""
    await driver.answer(mention("hi"))
    crowd = [f"U{number}" for number in range(MOST_LOOKED_UP + 10)]
    directory = Directory({person: f"Ana {person}" for person in crowd})
    given = await called(driver.store, directory, *crowd)

    assert directory.looked_up == [crowd[:MOST_LOOKED_UP]]
    assert given[MOST_LOOKED_UP:][:2] == ["Somebody", "Somebody (2)"]
    assert await called(driver.store, directory, *crowd) == given
    assert len(directory.looked_up) == 1


async def test_nobody_is_asked_for_where_nobody_is_named(store: Store) -> None:
    """Without people there is nothing to do, in the database neither."""
    statements: list[str] = []
    sa.event.listen(store.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    assert await Participants(store).names("s1", [], Directory({}).look_up, {}) == {}
    assert statements == []
    assert await store.run(display_names.of_session, "s1") == {}
