"""Erased files: the files of erased answers are deleted on their platform, sooner or later."""

from __future__ import annotations

import logging

import pytest

from bot.errors import PlatformError, PlatformUnavailable
from bot.store import answer_files
from bot.store.tables import ANSWER_FILES
from bot.turns.erased_files import ErasedFiles
from tests.support.builders import deletion, mention
from tests.support.recording_adapter import RecordingAdapter
from tests.support.store_driver import StoreDriver


async def erased(driver: StoreDriver) -> None:
    """Erase an answer that has two files."""
    claim = await driver.answer(mention("tell me everything"))
    for file_id in ("F1", "F2"):
        await driver.store.run(answer_files.add, claim.turn_id, file_id)
    await driver.accept_deletion(deletion())


async def test_the_files_are_deleted_once(driver: StoreDriver) -> None:
    """Another run finds nothing to delete."""
    adapter = RecordingAdapter()
    await erased(driver)
    files = ErasedFiles(driver.store, [adapter])
    await files.delete()
    await files.delete()

    assert adapter.deleted_files == ["F1", "F2"]
    assert await driver.rows(ANSWER_FILES) == []


async def test_an_unreachable_platform_is_tried_again(driver: StoreDriver, caplog: pytest.LogCaptureFixture) -> None:
    """In the next run."""
    adapter = RecordingAdapter()
    adapter.failures = [PlatformUnavailable("away")]
    await erased(driver)
    files = ErasedFiles(driver.store, [adapter])
    await files.delete()
    assert adapter.deleted_files == []
    await files.delete()

    assert adapter.deleted_files == ["F1", "F2"]
    assert "erased_files_postponed" in caplog.messages


async def test_a_refusal_is_final(driver: StoreDriver, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells the operator. The other files are deleted."""
    adapter = RecordingAdapter()
    adapter.failures = [PlatformError("cant_delete_file", "files.delete")]
    await erased(driver)
    with caplog.at_level(logging.WARNING):
        await ErasedFiles(driver.store, [adapter]).delete()

    assert adapter.deleted_files == ["F2"]
    assert "answer_file_not_removed" in caplog.messages
    assert await driver.rows(ANSWER_FILES) == []
