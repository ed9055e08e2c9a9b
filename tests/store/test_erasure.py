"""Erasure in the store: the texts that it removes, the texts that it keeps, and the purge of old rows."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from bot.domain.events import ChannelGone
from bot.domain.sessions import Interrupted
from bot.domain.texts import ANSWER_ERASED
from bot.prompt.history import Turn, Utterance
from bot.prompt.thread_context import EarlierMessage, ThreadContext
from bot.store import erasure, leases, posted_messages, purge, summaries, thread_context, threads
from bot.store.engine import Store
from bot.store.erasure import Erasable, Scope
from bot.store.tables import MESSAGES, POSTED_MESSAGES, SESSIONS, THREAD_CONTEXT, THREADS, TURNS
from bot.testing import SettableClock
from tests.support.builders import ANA, BEN, CHI, DAY, THREAD, deletion, mention, reply, reset, stop, thread
from tests.support.store_driver import StoreDriver, is_waiting_for_lock, texts
from tests.support.timeouts import GENEROUS_S

OF_ANA = Scope("chat", "T1", person=ANA.id)


async def delete_old_rows(driver: StoreDriver, batch: int = 2) -> int:
    """Purge the rows of sessions that closed fourteen days ago, and return how many."""
    total = 0
    while deleted := await driver.store.run(purge.delete_old_rows, before=driver.now - 14 * DAY, batch=batch):
        total += deleted
    return total


async def left(driver: StoreDriver) -> dict[str, int]:
    """Count the rows of all tables about threads."""
    return {
        table.name: len(await driver.rows(table)) for table in (THREADS, SESSIONS, TURNS, MESSAGES, POSTED_MESSAGES)
    }


async def test_forgetting_erases_one_person_only(driver: StoreDriver) -> None:
    """Erasure removes the person's texts, id and answers. Other people's messages stay in their sessions."""
    await driver.answer(mention("ana's secret", "1.0", by=ANA), "ana's answer")
    thread_id = await driver.accepted(reply("ana's other", "2.0", by=ANA))
    await driver.accepted(reply("ben's word", "3.0", by=BEN))
    await driver.settle(await driver.claimed(thread_id), "to both")
    await driver.answer(mention("ben's question", in_=thread(2), by=BEN), "ben's answer")

    assert await driver.erase(OF_ANA) == 2
    assert [(row.author_id, row.text) for row in await driver.rows(MESSAGES)] == [
        ("", ""),
        ("", ""),
        (BEN.id, "ben's word"),
        (BEN.id, "ben's question"),
    ]
    assert [turn.answer for turn in await driver.rows(TURNS)] == [None, ANSWER_ERASED, "ben's answer"]
    assert [row.closed_why for row in await driver.rows(SESSIONS)] == [None, None]


@pytest.mark.parametrize("how", ["forgotten", "deleted"])
async def test_answers_are_erased_with_their_questions(driver: StoreDriver, how: str) -> None:
    """If other people asked in the same turn, a note replaces the answer. Otherwise nothing replaces it."""
    await driver.answer(mention("hey", "0.5", by=CHI))  # only people who took part can stop an answer
    thread_id = await driver.accepted(mention("hello", "1.0", by=ANA))
    await driver.accepted(reply("my PIN is 1234", "2.0", by=BEN))
    claim = await driver.claimed(thread_id)
    await driver.accept_stop(stop("2.5", by=CHI))
    await driver.settle(claim, "Ben, your PIN is 1234")
    await driver.forget(CHI)
    now = await driver.claimed(await driver.accepted(reply("and?", "3.0", by=ANA)))
    assert [turn.answer for turn in await driver.past(now)] == ["Ben, your PIN is 1234"]

    await (driver.forget(BEN) if how == "forgotten" else driver.accept_deletion(deletion("2.0")))
    assert await driver.past(now) == [Turn((Utterance(ANA.id, "hello"),), ANSWER_ERASED)]
    await driver.accept_deletion(deletion("1.0"))
    assert await driver.past(now) == []
    [_, turn, _] = await driver.rows(TURNS)
    assert turn.answer is None


async def test_a_session_without_messages_is_closed(driver: StoreDriver) -> None:
    """The next message opens a new session, without the notice about an expiry."""
    await driver.answer(mention("hello", by=ANA))
    await driver.erase(OF_ANA)

    assert [row.closed_why for row in await driver.rows(SESSIONS)] == ["erased"]
    assert (await driver.claimed(await driver.accepted(reply("hi", "2.0")))).follows_expired is False


@pytest.mark.parametrize("other_asks", [False, True])
async def test_a_running_turn_of_a_forgotten_person_ends_or_restarts(driver: StoreDriver, *, other_asks: bool) -> None:
    """A running turn ends. If another person asked in it too, it restarts and answers that person alone."""
    thread_id = await driver.accepted(mention("hello", "1.0", by=BEN if other_asks else ANA))
    await driver.accepted(reply("my secret", "2.0", by=ANA))
    claim = await driver.claimed(thread_id)
    await driver.erase(OF_ANA)

    [(*_, why)] = await driver.store.run(leases.interruptions, "one")
    assert why is (Interrupted.EDITED if other_asks else Interrupted.ERASED)
    assert not await driver.settle(claim, "your secret")
    if other_asks:
        again = await driver.claimed(thread_id)
        assert (texts(again), again.author, again.message_id) == (["hello"], BEN, "1.0")


async def test_waiting_messages_of_a_forgotten_person_are_not_answered(driver: StoreDriver) -> None:
    """The person's waiting messages and commands get no answer. Each ends in a turn of its own session."""
    thread_id = await driver.accepted(mention("hello", "1.0", by=ANA))
    await driver.accept_reset(reset("2.0", by=ANA))
    await driver.accepted(reply("again", "3.0", by=ANA))
    await driver.erase(OF_ANA)

    assert await driver.claim(thread_id) is None
    turn_of = {turn.id: turn for turn in await driver.rows(TURNS)}
    assert all(turn_of[row.turn_id].session_id == row.session_id for row in await driver.rows(MESSAGES))


async def test_a_person_is_forgotten_in_one_workspace(driver: StoreDriver) -> None:
    """The same person's messages in another workspace stay."""
    await driver.answer(mention("hello", in_=dataclasses.replace(THREAD, workspace="T2")))

    assert await driver.erase(OF_ANA) == 0


@pytest.mark.parametrize(
    ("scope", "erased"),
    [
        (Scope(workspace="T1"), ["here", "there"]),
        (Scope(channel="C2"), ["there"]),
        (Scope(channel="C1", person=BEN.id), []),
        (Scope(person=ANA.id), ["here", "there", "elsewhere"]),
    ],
)
async def test_an_operator_erases_by_scope(driver: StoreDriver, scope: Scope, erased: list[str]) -> None:
    """All given fields must match. The count before equals the number of erased messages, and is 0 afterwards."""
    await driver.answer(mention("here"))
    await driver.answer(mention("there", in_=dataclasses.replace(THREAD, channel="C2")))
    await driver.answer(mention("elsewhere", in_=dataclasses.replace(THREAD, workspace="T2")))

    assert await driver.store.run(erasure.count, scope) == Erasable(len(erased), len(erased))
    assert await driver.erase(scope) == len(erased)
    remaining = [row.text for row in await driver.rows(MESSAGES)]
    assert [text for text in ("here", "there", "elsewhere") if text not in remaining] == erased
    assert await driver.store.run(erasure.count, scope) == Erasable(0, 0)


async def test_a_deleted_channel_is_forgotten_and_no_other(driver: StoreDriver) -> None:
    """The channel's sessions close and its texts and authors are erased. The bot takes part there no longer."""
    running = await driver.claimed(await driver.accepted(mention("my secret")))
    await driver.accepted(mention("another secret", in_=thread(2)))
    await driver.answer(mention("hello", in_=dataclasses.replace(THREAD, channel="C2")), "hi")
    await driver.store.run(erasure.leave, ChannelGone("chat", "T1", "C1"), now=driver.now)

    assert not await driver.settle(running, "your secret")
    assert [row.closed_why for row in await driver.rows(SESSIONS)] == ["channel_gone", "channel_gone", None]
    assert [(row.author_id, row.text) for row in await driver.rows(MESSAGES)] == [("", "")] * 2 + [(ANA.id, "hello")]
    assert [row.engaged for row in await driver.rows(THREADS)] == [False, False, True]
    assert await driver.claim(2) is None


@pytest.mark.parametrize("of", ["a person", "a channel"])
async def test_erasure_and_settlement_do_not_deadlock(empty_postgres_url: str, clock: SettableClock, of: str) -> None:
    """Erasure locks threads first and in id order, like all transactions, so that there is no deadlock."""
    driver = StoreDriver(Store(empty_postgres_url, idle_transaction_s=GENEROUS_S), clock)
    claim = await driver.claimed(await driver.accepted(mention("who knows?", "5.0")))
    context = ThreadContext((EarlierMessage("1.0", BEN.id, "printers?"),))
    await driver.store.run(thread_context.save, claim.thread_id, "s1", claim.turn_id, context)
    await driver.settle(claim)
    later = await driver.answer(mention("hello", in_=thread(2)))
    await driver.store.run(
        lambda connection: connection.execute(sa.update(THREADS).where(THREADS.c.id == 1), {"fence": 9})
    )
    with driver.store.engine.connect() as connection:
        assert threads.find(connection, THREAD)
        gone = ChannelGone("chat", "T1", "C1")
        erasing = asyncio.create_task(
            driver.forget(BEN) if of == "a person" else driver.store.run(erasure.leave, gone, now=driver.now)
        )
        while not await driver.store.run(is_waiting_for_lock):
            pass
        summaries.void(connection, [claim.turn_id])
        assert threads.ensure(connection, thread(2)) == later.thread_id
        connection.commit()
    await erasing

    assert await driver.rows(THREAD_CONTEXT) == []
    await driver.store.close()


async def test_old_rows_are_purged(driver: StoreDriver) -> None:
    """The purge deletes old rows, and threads in which no session began. Open sessions and younger rows stay."""
    for number in range(3):
        claim = await driver.claimed(await driver.accepted(mention("hello", in_=thread(number))))
        await driver.store.run(posted_messages.posted, claim, "A")
        await driver.accept_stop(stop("2.0", in_=thread(number)))
        await driver.settle(claim)
        await driver.accept_reset(reset("3.0", in_=thread(number)))
        await driver.settle(await driver.claimed(claim.thread_id))
    await driver.accept_deletion(deletion("9.0", in_=thread(9), was=mention("hello", "9.0", in_=thread(9))))
    driver.now += 14 * DAY
    assert await delete_old_rows(driver) == 0
    await driver.answer(mention("hello", in_=THREAD))
    driver.now += timedelta(seconds=1)

    assert await delete_old_rows(driver) > 0
    assert await left(driver) == {"threads": 4, "sessions": 1, "turns": 1, "messages": 1, "answers": 0}


async def test_an_active_thread_survives_the_purge(driver: StoreDriver) -> None:
    """The purge deletes only the thread's old sessions. The bot still takes part in the thread."""
    await driver.answer(mention("hello", "1.0"))
    await driver.accept_reset(reset("2.0"))
    await driver.settle(await driver.claimed(1))
    driver.now += 15 * DAY
    await driver.answer(reply("again", "3.0"), "hi")

    await delete_old_rows(driver)
    assert await left(driver) == {"threads": 1, "sessions": 1, "turns": 1, "messages": 1, "answers": 0}
    assert await driver.accept(reply("and again", "4.0")) == 1


async def test_a_purged_thread_can_be_opened_again(driver: StoreDriver) -> None:
    """The bot takes no part until it is mentioned again. Then it does not read earlier messages."""
    await driver.answer(mention("hello", "1.0"))
    await driver.store.run(erasure.leave, ChannelGone("chat", "T1", "C1"), now=driver.now)
    driver.now += 15 * DAY
    await delete_old_rows(driver)

    assert await left(driver) == {"threads": 1, "sessions": 0, "turns": 0, "messages": 0, "answers": 0}
    assert await driver.accept(reply("anybody?", "2.0")) is None
    assert (await driver.answer(mention("hello", "3.0"))).thread_context is None


async def test_a_message_inserts_a_thread_that_was_just_deleted(empty_postgres_url: str) -> None:
    """Another replica deletes the empty thread between two statements. The message inserts the thread again."""
    store = Store(empty_postgres_url, idle_transaction_s=GENEROUS_S)
    await store.run(threads.ensure, THREAD)
    meanwhile = [sa.delete(THREADS)]

    def interfere(*arguments: Any) -> None:
        if arguments[2].startswith("SELECT") and meanwhile:
            with store.engine.begin() as connection:
                connection.execute(meanwhile.pop())

    event.listen(store.engine, "before_cursor_execute", interfere)
    assert await store.run(threads.ensure, THREAD) > 1
    assert meanwhile == []
    await store.close()
