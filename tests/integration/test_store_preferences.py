"""What people asked to be kept in mind, as it is stored: whose it is, and how it goes. On both databases."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from bot.errors import PreferencesRefused
from bot.preferences import NO_PREFERENCES, Preferences
from bot.store import preferences
from bot.store.engine import Store
from bot.store.tables import preferences as table
from tests.builders import NOON

ANA = ("desk", "T1", "U-ANA")
OTHERS = [("desk", "T1", "U-BEN"), ("desk", "T2", "U-ANA"), ("slack", "T1", "U-ANA")]


async def change(store: Store, person: tuple[str, str, str], **wishes: str) -> Preferences:
    """Take in what this person wishes."""
    return await store.run(preferences.change, *person, wishes, now=NOON)


async def kept(store: Store, person: tuple[str, str, str]) -> Preferences:
    """What is kept for this person."""
    return await store.run(preferences.of_person, *person)


async def test_preferences_belong_to_a_person_of_a_workspace(store: Store) -> None:
    """Another person, the same id in another workspace and on another platform have their own."""
    await change(store, ANA, name="Rita")
    for person in OTHERS:
        assert await kept(store, person) == NO_PREFERENCES
        await change(store, person, name=person[1])

    assert await kept(store, ANA) == Preferences("Rita")


async def test_a_change_leaves_the_rest(store: Store) -> None:
    """What is given changes, and what one asks for by then is told; when one wish is refused none is kept."""
    await change(store, ANA, name="Rita", about="I use Linux.")
    assert await change(store, ANA, name="", language="French") == Preferences(language="French", about="I use Linux.")
    with pytest.raises(PreferencesRefused):
        await change(store, ANA, name="Rita", tone="rude")

    assert await kept(store, ANA) == Preferences(language="French", about="I use Linux.")


async def test_changes_at_the_same_time_are_all_kept(store: Store) -> None:
    """Said in two threads at once, neither wish overwrites the other."""
    people = [("desk", "T1", f"U-{number}") for number in range(20)]
    for person in people:
        await asyncio.gather(*(change(store, person, **{field: field}) for field in ("name", "language", "about")))

    assert {await kept(store, person) for person in people} == {Preferences("name", "language", None, "about")}


async def test_erasing(store: Store) -> None:
    """One person's are erased without anybody else's, a workspace's without another's, and no row is left."""
    for person in (ANA, *OTHERS):
        await change(store, person, name="Rita")
    await store.run(preferences.erase, platform=ANA[0], workspace=ANA[1], user_id=ANA[2])
    assert await kept(store, ANA) == NO_PREFERENCES
    assert [await kept(store, person) for person in OTHERS] == [Preferences("Rita")] * 3
    await store.run(preferences.erase, platform="desk", workspace="T1")

    assert await kept(store, OTHERS[0]) == NO_PREFERENCES
    assert await store.run(lambda c: c.execute(sa.select(sa.func.count()).select_from(table)).scalar()) == 2
