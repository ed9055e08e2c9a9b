"""Preferences in the store: their owners, and their erasure. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot.domain.preferences import NO_PREFERENCES, ModelsChange, Preferences
from bot.errors import PreferencesRefused
from bot.prompt.compose import PromptParts
from bot.prompt.history import Past, Turn
from bot.store import preferences
from bot.store.engine import Store
from bot.store.tables import PREFERENCES
from bot.tools.set_preferences import set_preferences
from tests.support import builders
from tests.support.builders import BEN, NOON, deletion, edit, mention, reply, stop
from tests.support.store_driver import StoreDriver

ANA = ("chat", "T1", "U-ANA")
OTHERS = [("chat", "T1", "U-BEN"), ("chat", "T2", "U-ANA"), ("slack", "T1", "U-ANA")]


async def change(store: Store, person: tuple[str, str, str], **wishes: str) -> Preferences:
    """Change this person's preferences."""
    return await store.run(preferences.change, *person, wishes, now=NOON)


async def stored(store: Store, person: tuple[str, str, str]) -> Preferences:
    """Return this person's preferences."""
    return await store.run(preferences.of_person, *person)


async def test_preferences_belong_to_a_person_of_a_workspace(store: Store) -> None:
    """The same person id in another workspace or on another platform has other preferences."""
    await change(store, ANA, name="Rita")
    for person in OTHERS:
        assert await stored(store, person) == NO_PREFERENCES
        await change(store, person, name=person[1])

    assert await stored(store, ANA) == Preferences("Rita")


async def test_a_change_keeps_the_other_fields(store: Store) -> None:
    """Only the given fields change, and all preferences are returned. If one field is invalid, none changes."""
    await change(store, ANA, name="Rita", about="I use Linux.")
    assert await change(store, ANA, name="", language="French") == Preferences(language="French", about="I use Linux.")
    with pytest.raises(PreferencesRefused):
        await change(store, ANA, name="Rita", tone="rude")

    assert await stored(store, ANA) == Preferences(language="French", about="I use Linux.")


async def test_changes_at_the_same_time_are_all_kept(store: Store) -> None:
    """Two concurrent changes do not overwrite each other."""
    people = [("chat", "T1", f"U-{number}") for number in range(20)]
    for person in people:
        await asyncio.gather(*(change(store, person, **{field: field}) for field in ("name", "language", "about")))

    assert {await stored(store, person) for person in people} == {Preferences("name", "language", None, "about")}


async def test_the_models_change_is_undone_as_a_whole(store: Store) -> None:
    """The changes of one turn are undone together and once. Another person's row and turn are not touched."""
    await change(store, ANA, name="Rita", about="I use Linux.")
    await change(store, OTHERS[0], name="Benny")
    for wishes in ({"name": "Queen"}, {"about": "", "tone": "brief"}):
        await store.run(preferences.change, *ANA, wishes, now=NOON, turn_id=7)
    made = await store.run(preferences.last_change, *ANA)

    assert made == ModelsChange(7, {"name": "Queen", "about": "", "tone": "brief"})
    assert await store.run(preferences.undo, *ANA, 8, now=NOON) is None
    assert await store.run(preferences.undo, *OTHERS[0], 7, now=NOON) is None
    restored = Preferences("Rita", about="I use Linux.")
    assert await store.run(preferences.undo, *ANA, 7, now=NOON) == restored == await stored(store, ANA)
    assert await store.run(preferences.undo, *ANA, 7, now=NOON) is None
    assert await stored(store, OTHERS[0]) == Preferences("Benny")


async def test_a_later_change_ends_the_undo(store: Store) -> None:
    """Neither a change by the person, nor one of another turn, nor the time that has passed is overwritten."""
    await change(store, ANA, name="Rita")
    await store.run(preferences.change, *ANA, {"name": "Queen"}, now=NOON, turn_id=7)
    await store.run(preferences.change, *ANA, {"name": "King"}, now=NOON, turn_id=8)
    assert await store.run(preferences.undo, *ANA, 7, now=NOON) is None
    assert await store.run(preferences.drop_earlier, before=NOON) == 0
    assert await store.run(preferences.drop_earlier, before=NOON + timedelta(seconds=1)) == 1
    assert await store.run(preferences.last_change, *ANA) is None
    assert await store.run(preferences.undo, *ANA, 8, now=NOON) is None
    await store.run(preferences.change, *ANA, {"name": "Queen"}, now=NOON, turn_id=9)
    await change(store, ANA, language="French")

    assert await store.run(preferences.last_change, *ANA) is None
    assert await stored(store, ANA) == Preferences("Queen", "French")


async def forgotten(driver: StoreDriver) -> None:
    await driver.forget(builders.ANA)


async def edited(driver: StoreDriver) -> None:
    await driver.accept_edit(edit("call me Bea", "2.0"))


async def deleted(driver: StoreDriver) -> None:
    await driver.accept_deletion(deletion("2.0"))


async def stopped(driver: StoreDriver) -> None:
    await driver.accept_stop(stop("3.0"))


async def taken_over(driver: StoreDriver) -> None:
    await driver.lapse()
    await driver.claimed(1, "two")


@pytest.mark.parametrize("meanwhile", [None, forgotten, edited, deleted, stopped, taken_over])
async def test_a_tool_call_stores_a_preference_only_for_a_valid_turn(
    driver: StoreDriver, meanwhile: Callable[[StoreDriver], Awaitable[None]] | None
) -> None:
    """The call stores nothing if its author was forgotten, the message deleted, or the turn taken over."""
    await driver.answer(mention("hello", "1.0", by=BEN))
    claim = await driver.claimed(await driver.accepted(reply("call me Rita", "2.0")))
    [tool] = set_preferences(driver.store, claim, PromptParts(Past(), Turn(claim.utterances)), lambda: driver.now)
    if meanwhile is not None:
        await meanwhile(driver)
    outcome = await tool.run({"name": "Rita"})

    assert ("error" in outcome.result, outcome.note == "") == (meanwhile is not None,) * 2
    assert len(await driver.rows(PREFERENCES)) == (meanwhile is None)


async def test_erasure_deletes_preferences(store: Store) -> None:
    """Erasing a person or a workspace deletes their preferences without a row left. Other preferences stay."""
    for person in (ANA, *OTHERS):
        await change(store, person, name="Rita")
    await store.run(preferences.erase, platform=ANA[0], workspace=ANA[1], user_id=ANA[2])
    assert await stored(store, ANA) == NO_PREFERENCES
    assert [await stored(store, person) for person in OTHERS] == [Preferences("Rita")] * 3
    await store.run(preferences.erase, platform="chat", workspace="T1")

    assert await stored(store, OTHERS[0]) == NO_PREFERENCES
    assert await store.run(lambda c: c.execute(sa.select(sa.func.count()).select_from(PREFERENCES)).scalar()) == 2
