"""Answer files: which file holds the rest of which answer, and which is to be deleted. On both databases."""

from __future__ import annotations

import pytest

from bot.domain import texts
from bot.domain.events import FileDeleted
from bot.store import answer_files, edits, posted_messages, purge
from bot.store.answer_files import DoomedFile
from bot.store.claims import Claim
from bot.store.settlement import TurnState
from bot.store.tables import ANSWER_FILES, TURNS
from tests.support.builders import ANA, BEN, DAY, deletion, edit, mention, reply, reset
from tests.support.store_driver import StoreDriver

PLACES = [("chat", "T1")]


async def answered(driver: StoreDriver) -> Claim:
    """Answer a question in a message and a file."""
    claim = await driver.claimed(await driver.accepted(mention("tell me everything")))
    await driver.store.run(posted_messages.posted, claim, "1.5")
    await driver.store.run(answer_files.add, claim.turn_id, "F1")
    await driver.settle(claim, "everything")
    return claim


async def doomed(driver: StoreDriver) -> list[DoomedFile]:
    """Return the files that are to be deleted."""
    return await driver.store.run(answer_files.doomed, PLACES, batch=10)


async def file_deleted(driver: StoreDriver, file_id: str, workspace: str = "T1") -> None:
    """Accept that a file was deleted."""
    await driver.store.run(edits.accept_file_deletion, FileDeleted("chat", workspace, file_id))


async def test_a_takeover_finds_the_files_of_its_turn(driver: StoreDriver) -> None:
    """In the order of the uploads, each once, and none of other turns."""
    await answered(driver)
    claim = await driver.claimed(await driver.accepted(reply("more", "2.0")))
    for file_id in ("F3", "F2", "F3"):
        await driver.store.run(answer_files.add, claim.turn_id, file_id)
    again = await driver.taken_over(claim)
    await driver.store.run(answer_files.remove, [(claim.turn_id, "F2")])

    assert await driver.store.run(answer_files.of_turn, again.turn_id) == ["F3"]


@pytest.mark.parametrize("how", ["deleted", "forgotten", "answer deleted"])
async def test_the_file_of_an_erased_answer_is_doomed(driver: StoreDriver, how: str) -> None:
    """Whoever erases the answer has its file deleted, once. Other workspaces leave it alone."""
    claim = await answered(driver)
    assert await doomed(driver) == []
    match how:
        case "deleted":
            await driver.accept_deletion(deletion())
        case "forgotten":
            await driver.forget(ANA)
        case _:
            await driver.accept_deletion(deletion("1.5"))

    assert await doomed(driver) == [DoomedFile("chat", "T1", claim.turn_id, "F1")]
    assert await driver.store.run(answer_files.doomed, [("chat", "T2")], batch=10) == []
    await driver.store.run(answer_files.remove, [(claim.turn_id, "F1")])
    assert await doomed(driver) == []


async def test_a_reset_and_a_forgotten_bystander_leave_the_file(driver: StoreDriver) -> None:
    """It stays in Slack as the messages do."""
    await answered(driver)
    await driver.answer(reply("thanks", "2.0", by=BEN))
    await driver.forget(BEN)
    await driver.accept_reset(reset("3.0"))

    assert await doomed(driver) == []


async def test_a_running_turn_looks_after_its_own_file(driver: StoreDriver) -> None:
    """An edit restarts the answer, and a deletion ends it. The next attempt deletes the file, or keeps it."""
    claim = await driver.claimed(await driver.accepted(mention("tell me everything")))
    await driver.store.run(answer_files.add, claim.turn_id, "F1")
    await driver.accept_edit(edit("be brief"))
    await driver.accept_deletion(deletion())
    assert await doomed(driver) == []

    await driver.settle(claim, "everything", TurnState.ANSWERED)
    assert [file.file_id for file in await doomed(driver)] == ["F1"]


async def test_a_deleted_file_takes_the_answer_with_it(driver: StoreDriver) -> None:
    """As a deleted message of the bot's does: only the fact that there was an answer is remembered."""
    await answered(driver)
    await file_deleted(driver, "F2")
    await file_deleted(driver, "F1", workspace="T2")
    assert [row.answer for row in await driver.rows(TURNS)] == ["everything"]
    await file_deleted(driver, "F1")

    assert [row.answer for row in await driver.rows(TURNS)] == [texts.ANSWER_ERASED]


async def test_the_bots_own_deletion_of_a_file_erases_nothing(driver: StoreDriver) -> None:
    """Slack reports it, too: while the answer restarts, or when its row is gone."""
    claim = await driver.claimed(await driver.accepted(mention("tell me everything")))
    await driver.store.run(answer_files.add, claim.turn_id, "F1")
    await file_deleted(driver, "F1")
    await driver.store.run(answer_files.remove, [(claim.turn_id, "F1")])
    await driver.settle(claim, "everything")
    await file_deleted(driver, "F1")

    assert [row.answer for row in await driver.rows(TURNS)] == ["everything"]


async def test_the_purge_deletes_the_rows(driver: StoreDriver) -> None:
    """With those of their turns."""
    await answered(driver)
    await driver.accept_reset(reset("2.0"))
    while claim := await driver.claim(1):
        await driver.settle(claim)
    before = driver.now + DAY
    await driver.store.run(purge.delete_old_turns, before=before, batch=10)
    await driver.store.run(purge.delete_old_rows, before=before, batch=10)

    assert await driver.rows(ANSWER_FILES) == []
