"""The operator's commands on stored data: what nobody serves is reported, and settled by an erasure."""

from __future__ import annotations

import pytest

from bot.cli import admin
from bot.config.settings import Settings
from bot.domain.events import Author, Thread
from bot.services import utc_now
from bot.store.erasure import Scope
from bot.store.metrics import WorkMetrics
from bot.store.tables import MESSAGES, TURNS
from bot.store.unserved import QUIET
from tests.support.builders import mention
from tests.support.store_driver import StoreDriver

ZOE = Author("U-ZOE", "T0")


async def left_behind(driver: StoreDriver) -> None:
    """Let a question wait, and another one run, in a workspace whose process was killed an hour ago."""
    driver.now = utc_now() - 6 * QUIET
    await driver.claimed(await driver.accepted(mention("begun", by=ZOE, in_=Thread("chat", "T0", "C1", "1.0"))))
    await driver.accepted(mention("waits", "2.0", by=ZOE, in_=Thread("chat", "T0", "C1", "2.0")))
    await driver.lapse()


async def test_status_says_what_nobody_serves_and_erase_settles_it(
    driver: StoreDriver, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`attendant status` names the workspace and the remedy. After `attendant erase` nothing is owed there."""
    settings = Settings(database_url=database_url)  # type: ignore[arg-type]
    monkeypatch.setattr(admin, "TAKEN_UP_WITHIN_S", 0.0)
    await left_behind(driver)
    before = await admin.status(settings)
    figures = admin._figures(before)["Now, in all replicas"]  # noqa: SLF001
    assert await admin.erase(settings, Scope(workspace="T0")) == 2
    after = await admin.status(settings)

    assert (before.unserved_messages, before.unserved_workspaces) == (2, ("T0",))
    assert any("T0" in figure.words and "attendant erase" in figure.words for figure in figures)
    assert (after.owed_messages, after.running_turns, after.unserved_messages) == (0, 0, 0)
    assert {row.state for row in await driver.rows(TURNS)} == {"superseded"}
    assert {row.text for row in await driver.rows(MESSAGES)} == {""}


async def test_erase_leaves_a_running_turn_to_its_process(
    driver: StoreDriver, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that holds the turn ends it, and removes what it has shown of the answer. The command waits."""
    settings = Settings(database_url=database_url)  # type: ignore[arg-type]
    monkeypatch.setattr(admin, "TAKEN_UP_WITHIN_S", 0.0)
    monkeypatch.setattr(admin, "HELD_FOR_S", 0.1)
    driver.now = utc_now()
    await driver.claimed(await driver.accepted(mention("begun", by=ZOE, in_=Thread("chat", "T0", "C1", "1.0"))))

    assert await admin.erase(settings, Scope(workspace="T0")) == 1
    assert {row.state for row in await driver.rows(TURNS)} == {"running"}


def test_status_is_silent_when_all_is_served() -> None:
    """Without such messages the line does not exist."""
    figures = admin._figures(WorkMetrics(0, 0.0, 0, 0, 0, 0, 0, 0))  # noqa: SLF001

    assert not any("no process answers" in figure.words for figure in figures["Now, in all replicas"])
