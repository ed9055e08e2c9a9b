"""People's data is erased and exported in short transactions, so that others run in between. On both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from bot.access.redaction import Redactor
from bot.store import erasure
from bot.store.erasure import Scope
from bot.store.tables import MESSAGES
from bot.turns import personal_data
from bot.turns.leases import LeaseKeeper
from bot.turns.personal_data import PersonalData
from bot.turns.reader_languages import ReaderLanguages
from tests.support.builders import ANA, BEN, mention, reply, thread
from tests.support.store_driver import StoreDriver
from tests.support.transactions import changed_rows

OF_ANA = Scope("chat", "T1", person=ANA.id)
ROWS_PER_MESSAGE = 8  # its own, and those of its turn, its session and its thread


def data_of(driver: StoreDriver) -> PersonalData:
    """Return the service, without running turns."""
    leases = LeaseKeeper(driver.store, owner="one", clock=lambda: driver.now)
    languages = ReaderLanguages(driver.store, {})
    return PersonalData(driver.store, leases, languages, clock=lambda: driver.now, redactor=Redactor.of())


async def test_forget_me_changes_few_rows_in_each_transaction(driver: StoreDriver) -> None:
    """However much a person wrote, in one thread or in many, each transaction erases a few messages."""
    many = 2 * erasure.ERASE_BATCH
    for number in range(many):
        await driver.answer(reply("in one thread", f"2.{number:03}") if number else mention("hello", "2.000"))
        await driver.answer(mention("in many threads", in_=thread(10 + number)))
    await driver.answer(mention("hello", in_=thread(5), by=BEN))
    changed = changed_rows(driver.store.engine)

    assert await data_of(driver).forget("chat", "T1", ANA) == 2 * many
    assert max(changed) <= erasure.ERASE_BATCH * ROWS_PER_MESSAGE
    assert [row.text for row in await driver.rows(MESSAGES) if row.text] == ["hello"]


async def test_an_erasure_that_takes_long_ends_its_transaction(
    driver: StoreDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow machine a transaction erases the messages of one thread only, and the next one goes on."""
    monkeypatch.setattr(erasure, "ERASE_S", -1.0)
    for number in range(3):
        await driver.answer(mention("hello", in_=thread(number)))

    assert [await driver.store.run(erasure.erase, OF_ANA, now=driver.now) for _ in range(4)] == [1, 1, 1, 0]


async def test_an_export_reads_few_messages_in_each_transaction(driver: StoreDriver) -> None:
    """The texts are read in parts. Together they are whole and in order."""
    many = personal_data.EXPORT_BATCH + 1
    for number in range(many):
        await driver.accepted(mention(str(number), f"{number:03}.0"))
    parameters: list[int] = []
    event.listen(driver.store.engine, "before_cursor_execute", lambda *args: parameters.append(len(args[3])))
    exported = await data_of(driver).export("chat", "T1", ANA)

    assert [message.text for message in exported.messages] == [str(number) for number in range(many)]
    assert personal_data.EXPORT_BATCH <= max(parameters) < personal_data.EXPORT_BATCH + 10
