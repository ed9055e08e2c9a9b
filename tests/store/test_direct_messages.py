"""Direct messages in the store, while DM_SESSIONS changes: conversations go on where they are. On both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.direct_messages import rolled
from bot.domain.events import ROLLING, Event, MessageDeleted, MessageEdited, MessageReceived, Thread
from bot.domain.sessions import EditOutcome, ResetOutcome
from bot.store.tables import MESSAGES, THREADS
from tests.support.builders import ANA, DIRECT, THREAD, deletion, edit, reply, reset
from tests.support.store_driver import StoreDriver

ROOT = "1.0"  # of DIRECT


def test_only_the_top_level_of_a_dm_rolls() -> None:
    """Threads in a DM, and channels, stay as they are."""
    top, in_thread, in_channel = reply("hi", ROOT, in_=DIRECT), reply("hi", "2.0", in_=DIRECT), reply("hi", "1.0")

    assert _thread(rolled(top)) == replace(DIRECT, root=ROLLING)
    assert _thread(rolled(edit("ho", ROOT, in_=DIRECT))) == replace(DIRECT, root=ROLLING)
    assert _thread(rolled(deletion(ROOT, in_=DIRECT, was=top))) == replace(DIRECT, root=ROLLING)
    assert (rolled(in_thread), rolled(in_channel)) == (in_thread, in_channel)


@pytest.mark.parametrize("before", ["threads", "rolling"])
async def test_a_message_of_before_the_change_is_known(driver: StoreDriver, before: str) -> None:
    """Delivered again, edited, or deleted, a message counts where it was stored, whatever the setting is now."""
    message, changed, gone = reply("hi", ROOT, in_=DIRECT), edit("ho", ROOT, in_=DIRECT), deletion(ROOT, in_=DIRECT)
    old, new = (_same, rolled) if before == "threads" else (rolled, _same)
    await driver.answer(_message(old(message)))

    assert await driver.accept(_message(new(message))) is None
    now = new(changed)
    assert isinstance(now, MessageEdited)
    assert await driver.accept_edit(now) is EditOutcome.REPLACED
    assert [row.text for row in await driver.rows(MESSAGES)] == ["ho"]
    now = new(gone)
    assert isinstance(now, MessageDeleted)
    await driver.accept_deletion(now)
    assert [row.text for row in await driver.rows(MESSAGES)] == [""]
    assert len(await driver.rows(THREADS)) == 1


async def test_conversations_of_before_the_change_go_on(driver: StoreDriver) -> None:
    """A reply in a thread that began at the top level continues that thread. New messages roll."""
    first = await driver.answer(reply("one", ROOT, in_=DIRECT))
    again = await driver.answer(_message(rolled(reply("two", "2.0", in_=DIRECT))))
    rolling = await driver.answer(_message(rolled(reply("three", "3.0", in_=replace(DIRECT, root="3.0")))))

    assert again.session_id == first.session_id != rolling.session_id


async def test_a_reset_by_the_link_of_a_rolling_message(driver: StoreDriver) -> None:
    """The link of a message at the top level names the rolling conversation; that of a thread names the thread."""
    await driver.answer(_message(rolled(reply("one", ROOT, in_=DIRECT))))
    await driver.answer(reply("below", "2.0", in_=DIRECT))

    assert await driver.reset(DIRECT, ANA) is ResetOutcome.DONE
    assert {row.text for row in await driver.rows(MESSAGES)} == {"one", ""}
    assert await driver.reset(DIRECT, ANA) is ResetOutcome.DONE
    assert {row.text for row in await driver.rows(MESSAGES)} == {""}
    assert await driver.reset(THREAD, ANA) is ResetOutcome.NOTHING


async def test_a_rolling_conversation_reads_no_history(driver: StoreDriver) -> None:
    """Its session begins with its first message, and has no thread context."""
    claim = await driver.answer(_message(rolled(reply("one", ROOT, in_=DIRECT))))
    assert claim.thread_context is None


async def test_a_reset_leaves_other_conversations(driver: StoreDriver) -> None:
    """`!reset` at the top level ends the rolling conversation alone."""
    await driver.answer(reply("below", "2.0", in_=DIRECT))
    await driver.answer(_message(rolled(reply("one", "3.0", in_=replace(DIRECT, root="3.0")))))
    event = rolled(reset("4.0", in_=replace(DIRECT, root="4.0")))
    assert await driver.accept_reset(event) is ResetOutcome.DONE  # type: ignore[arg-type]

    assert [row.text for row in await driver.rows(MESSAGES)] == ["below", "", ""]


def _same(event: Event) -> Event:
    return event


def _message(event: Event) -> MessageReceived:
    assert isinstance(event, MessageReceived)
    return event


def _thread(event: Event) -> Thread:
    if isinstance(event, MessageEdited):
        return event.message.thread
    assert isinstance(event, MessageReceived | MessageDeleted)
    return event.thread
