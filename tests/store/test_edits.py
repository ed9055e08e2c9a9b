"""Edits and deletions in the store: in any order, and in every state of a message."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.events import Attachment, MessageDeleted, MessageEdited, MessageReceived
from bot.domain.sessions import Closed, EditOutcome, Interrupted, ResetOutcome
from bot.domain.texts import ANSWER_ERASED
from bot.store import edits, inbox, sessions
from bot.store.engine import Store
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, THREADS, TURNS
from bot.testing import SettableClock
from tests.support.builders import ANA, DAY, DIRECT, NOON, THREAD, deletion, edit, mention, reply, reset, stop, thread
from tests.support.store_driver import StoreDriver, is_waiting_for_lock, texts
from tests.support.timeouts import GENEROUS_S

NUMBERS = itertools.count(1)
SENT, LATER, LATEST, GONE = "sent", "edited", "edited again", "deleted"


@pytest.fixture(scope="module")
def shared_store(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One database for all examples of a property; each example has its own thread."""
    file = tmp_path_factory.mktemp("shared_store") / "attendant.db"
    file.write_bytes(migrated_file.read_bytes())
    store = Store(f"sqlite:///{file}")
    yield store
    store.engine.dispose()


def tell(connection: sa.Connection, event: MessageReceived | MessageEdited | MessageDeleted) -> None:
    """Accept an event at noon."""
    if isinstance(event, MessageReceived):
        inbox.accept(connection, event, now=NOON, new_id=str(next(NUMBERS)), idle_after=DAY)
    elif isinstance(event, MessageEdited):
        edits.accept_edit(connection, event, now=NOON, new_id=str(next(NUMBERS)), idle_after=DAY)
    else:
        edits.accept_deletion(connection, event, now=NOON)


@settings(max_examples=150)
@given(st.lists(st.sampled_from([SENT, LATER, LATEST, GONE]), min_size=1, max_size=8))
def test_whatever_the_order_what_counts_is_the_latest(shared_store: Store, order: list[str]) -> None:
    """A message, its edits and its deletion come in any order and repeatedly; one row has the final state."""
    where = thread(next(NUMBERS))
    sent = mention(SENT, "1.0", in_=where)
    events: dict[str, MessageReceived | MessageEdited | MessageDeleted] = {
        SENT: sent,
        LATER: MessageEdited(mention(LATER, "1.0", in_=where), NOON, NOON + timedelta(seconds=1)),
        LATEST: MessageEdited(mention(LATEST, "1.0", in_=where), NOON, NOON + timedelta(seconds=2)),
        GONE: deletion("1.0", in_=where, was=sent),
    }
    with shared_store.engine.begin() as connection:
        for name in order:
            tell(connection, events[name])
        row = connection.execute(sa.select(MESSAGES).join(THREADS).where(THREADS.c.root == where.root)).one()

    latest = max(order, key=[SENT, LATER, LATEST, GONE].index)
    assert row.text == ("" if latest == GONE else latest)
    assert (row.turn_id is None) is (latest != GONE)


async def test_an_edit_of_what_waits_is_what_is_answered(driver: StoreDriver) -> None:
    """The turn begins with the new text and files."""
    thread_id = await driver.accepted(mention("helo"))
    file = Attachment("F1", "a.png", "image/png", 1)
    message = MessageReceived(THREAD, "1.0", ANA, "hello", attachments=(file,))

    assert await driver.accept_edit(MessageEdited(message, NOON, NOON)) is EditOutcome.REPLACED
    [utterance] = (await driver.claimed(thread_id)).utterances
    assert (utterance.text, utterance.attachments) == ("hello", (file,))


async def test_an_edit_while_a_turn_runs_hands_it_back(driver: StoreDriver) -> None:
    """The worker cannot settle the old text. The turn is taken over at once, and this is not counted as a failure."""
    claim = await driver.claimed(await driver.accepted(mention("helo")))
    assert await driver.accept_edit(edit("hello")) is EditOutcome.ANEW

    assert not await driver.settle(claim, "to helo")
    again = await driver.claimed(claim.thread_id)
    assert (again.turn_id, again.attempt, again.failures) == (claim.turn_id, 2, 0)
    assert (texts(again), again.interrupted) == (["hello"], None)
    assert await driver.settle(again, "to hello")
    assert [(turn.state, turn.answer) for turn in await driver.rows(TURNS)] == [("answered", "to hello")]


async def test_an_edit_of_what_was_answered_counts_from_the_next_turn_on(driver: StoreDriver) -> None:
    """The answer stays, and the history has the new text."""
    await driver.answer(mention("helo"), "hi")
    assert await driver.accept_edit(edit("hello")) is EditOutcome.REPLACED

    [turn] = await driver.past(await driver.claimed(await driver.accepted(reply("again", "2.0"))))
    assert ([message.text for message in turn.messages], turn.answer) == (["hello"], "hi")


async def test_an_edit_does_not_undo_a_stop(driver: StoreDriver) -> None:
    """A stopped turn ends in spite of an edit, and a stop ends a turn that an edit would restart."""
    claim = await driver.claimed(await driver.accepted(mention("helo")))
    await driver.accept_stop(stop("2.0"))
    assert await driver.accept_edit(edit("hello")) is EditOutcome.ANEW
    assert await driver.settle(claim, "half", TurnState.STOPPED)

    claim = await driver.claimed(await driver.accepted(reply("again", "3.0")))
    await driver.accept_edit(edit("and again", "3.0"))
    await driver.accept_stop(stop("4.0"))
    assert (await driver.taken_over(claim)).interrupted is Interrupted.STOPPED


async def test_an_edit_brings_nothing_back(driver: StoreDriver) -> None:
    """Edits of commands, and of messages that were reset or deleted, store nothing."""
    await driver.answer(mention("hello", "1.0"))
    assert await driver.accept_reset(reset("2.0")) is ResetOutcome.DONE
    await driver.accepted(mention("again", "3.0"))
    await driver.accept_deletion(deletion("3.0"))

    for message_id in ("1.0", "2.0", "3.0"):
        assert await driver.accept_edit(edit("my secret", message_id)) is EditOutcome.NOTHING
    assert "secret" not in repr(await driver.rows(MESSAGES))


async def test_an_edit_waits_for_a_session_that_is_being_closed(empty_postgres_url: str, clock: SettableClock) -> None:
    """While another replica closes the session, the edit waits, and then stores nothing."""
    driver = StoreDriver(Store(empty_postgres_url, idle_transaction_s=GENEROUS_S), clock)
    claim = await driver.answer(mention("hello"))
    assert claim.session_id is not None
    with driver.store.engine.connect() as connection:
        sessions.close(connection, [claim.session_id], Closed.EXPIRED, now=driver.now)
        editing = asyncio.create_task(driver.accept_edit(edit("my secret")))
        while not await driver.store.run(is_waiting_for_lock):
            pass
        connection.commit()

    assert await editing is EditOutcome.NOTHING
    assert [row.text for row in await driver.rows(MESSAGES)] == [""]
    await driver.store.close()


async def test_an_edit_that_changes_nothing_begins_nothing_again(driver: StoreDriver) -> None:
    """An edit with the same text and files interrupts nothing."""
    await driver.claimed(await driver.accepted(mention("hello")))

    assert await driver.accept_edit(edit("hello")) is EditOutcome.NOTHING


@pytest.mark.parametrize(
    ("message_id", "age", "outcome"),
    [
        ("3.0", timedelta(), EditOutcome.ASKED),
        ("3.0", DAY + timedelta(seconds=1), EditOutcome.NOTHING),
        ("1.0", timedelta(), EditOutcome.NOTHING),
    ],
    ids=["overtook its message", "old", "from before the bot was called"],
)
async def test_an_edit_of_an_unknown_message(
    driver: StoreDriver, message_id: str, age: timedelta, outcome: EditOutcome
) -> None:
    """An edit that overtakes its message is answered once, with the new text, if the message wants an answer."""
    await driver.answer(mention("hello", "2.0"))
    driver.now += age

    assert await driver.accept_edit(edit("as edited", message_id)) is outcome
    if outcome is EditOutcome.ASKED:
        assert await driver.accept(reply("as sent", message_id)) is None
        assert texts(await driver.claimed(1)) == ["as edited"]


async def test_an_edit_that_calls_the_bot_is_answered_however_old_the_message(driver: StoreDriver) -> None:
    """An edit that adds a mention opens the thread like any mention."""
    driver.now += 30 * DAY
    called = MessageEdited(reply("help", "1.0"), NOON, driver.now, calls_bot=True)

    assert await driver.accept_edit(edit("no call")) is EditOutcome.NOTHING
    assert await driver.rows(THREADS) == []
    assert await driver.accept_edit(called) is EditOutcome.ASKED
    assert texts(await driver.claimed(1)) == ["help"]
    assert await driver.accept(reply("more", "2.0")) == 1


@pytest.mark.parametrize("where", [THREAD, DIRECT], ids=["mention", "direct"])
async def test_a_message_that_comes_after_its_deletion_is_not_answered(driver: StoreDriver, where: object) -> None:
    """This holds in unknown threads too. Only the deletion is stored."""
    sent = mention("my secret") if where is THREAD else reply("my secret", "1.0", in_=DIRECT)
    assert not await driver.accept_deletion(deletion(in_=sent.thread, was=sent))

    assert await driver.accept(sent) is None
    assert await driver.claim(1) is None
    assert "secret" not in repr(await driver.rows(MESSAGES))


async def test_the_deletion_of_small_talk_leaves_no_trace(driver: StoreDriver) -> None:
    """A deleted message that wanted no answer leaves no row."""
    assert not await driver.accept_deletion(deletion(was=reply("lovely weather", "1.0")))

    assert await driver.rows(THREADS) == await driver.rows(MESSAGES) == []


async def test_what_was_answered_to_a_deleted_question_is_erased(driver: StoreDriver) -> None:
    """If somebody else was answered in the same turn, a note stands in for the answer."""
    await driver.answer(mention("my secret", "1.0"), "your secret")
    thread_id = await driver.accepted(reply("another secret", "2.0"))
    await driver.accepted(reply("hello", "3.0"))
    await driver.settle(await driver.claimed(thread_id), "another secret, hello")

    await driver.accept_deletion(deletion("1.0"))
    await driver.accept_deletion(deletion("2.0"))
    assert [turn.answer for turn in await driver.rows(TURNS)] == [None, ANSWER_ERASED]
    assert "secret" not in repr(await driver.rows(MESSAGES))
