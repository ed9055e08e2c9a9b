"""Erasure in the store: which texts it removes, which it leaves, and when rows are purged."""

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
from tests.support.store_driver import Books, somebody_waits, texts

OF_ANA = Scope("desk", "T1", person=ANA.id)


async def delete_old_rows(books: Books, batch: int = 2) -> int:
    """Purge the rows of sessions that closed fourteen days ago, and return how many."""
    total = 0
    while deleted := await books.store.run(purge.delete_old_rows, before=books.now - 14 * DAY, batch=batch):
        total += deleted
    return total


async def left(books: Books) -> dict[str, int]:
    """Count the rows of all tables about threads."""
    return {table.name: len(await books.rows(table)) for table in (THREADS, SESSIONS, TURNS, MESSAGES, POSTED_MESSAGES)}


async def test_a_person_is_forgotten_and_nobody_else(books: Books) -> None:
    """Their texts, their id and the answers to them are erased; other people's messages stay in their sessions."""
    await books.answer(mention("ana's secret", "1.0", by=ANA), "ana's answer")
    thread_id = await books.accepted(reply("ana's other", "2.0", by=ANA))
    await books.accepted(reply("ben's word", "3.0", by=BEN))
    await books.settle(await books.claimed(thread_id), "to both")
    await books.answer(mention("ben's question", in_=thread(2), by=BEN), "ben's answer")

    assert await books.erase(OF_ANA) == 2
    assert [(row.author_id, row.text) for row in await books.rows(MESSAGES)] == [
        ("", ""),
        ("", ""),
        (BEN.id, "ben's word"),
        (BEN.id, "ben's question"),
    ]
    assert [turn.answer for turn in await books.rows(TURNS)] == [None, ANSWER_ERASED, "ben's answer"]
    assert [row.closed_why for row in await books.rows(SESSIONS)] == [None, None]


@pytest.mark.parametrize("how", ["forgotten", "deleted"])
async def test_what_was_answered_to_somebody_goes_with_their_words(books: Books, how: str) -> None:
    """If other people asked in the same turn, a note stands in for the answer; otherwise there is none."""
    thread_id = await books.accepted(mention("hello", "1.0", by=ANA))
    await books.accepted(reply("my PIN is 1234", "2.0", by=BEN))
    claim = await books.claimed(thread_id)
    await books.accept_stop(stop("2.5", by=CHI))
    await books.settle(claim, "Ben, your PIN is 1234")
    await books.forget(CHI)
    now = await books.claimed(await books.accepted(reply("and?", "3.0", by=ANA)))
    assert [turn.answer for turn in await books.past(now)] == ["Ben, your PIN is 1234"]

    await (books.forget(BEN) if how == "forgotten" else books.accept_deletion(deletion("2.0")))
    assert await books.past(now) == [Turn((Utterance(ANA.id, "hello"),), ANSWER_ERASED)]
    await books.accept_deletion(deletion("1.0"))
    assert await books.past(now) == []
    [turn, _] = await books.rows(TURNS)
    assert turn.answer is None


async def test_a_session_of_which_nothing_is_left_is_closed(books: Books) -> None:
    """The next message opens a new session, without the notice about an expiry."""
    await books.answer(mention("hello", by=ANA))
    await books.erase(OF_ANA)

    assert [row.closed_why for row in await books.rows(SESSIONS)] == ["erased"]
    assert (await books.claimed(await books.accepted(reply("hi", "2.0")))).follows_expired is False


@pytest.mark.parametrize("other_asks", [False, True])
async def test_what_runs_for_a_forgotten_person_ends_or_begins_again(books: Books, *, other_asks: bool) -> None:
    """A running turn ends. If somebody else asked in it, it restarts and answers that person alone."""
    thread_id = await books.accepted(mention("hello", "1.0", by=BEN if other_asks else ANA))
    await books.accepted(reply("my secret", "2.0", by=ANA))
    claim = await books.claimed(thread_id)
    await books.erase(OF_ANA)

    [(*_, why)] = await books.store.run(leases.interruptions, "one")
    assert why is (Interrupted.EDITED if other_asks else Interrupted.ERASED)
    assert not await books.settle(claim, "your secret")
    if other_asks:
        again = await books.claimed(thread_id)
        assert (texts(again), again.author, again.message_id) == (["hello"], BEN, "1.0")


async def test_what_waits_of_a_forgotten_person_is_not_begun(books: Books) -> None:
    """Their waiting messages and commands are not answered, and each ends in a turn of its own session."""
    thread_id = await books.accepted(mention("hello", "1.0", by=ANA))
    await books.accept_reset(reset("2.0", by=ANA))
    await books.accepted(reply("again", "3.0", by=ANA))
    await books.erase(OF_ANA)

    assert await books.claim(thread_id) is None
    turn_of = {turn.id: turn for turn in await books.rows(TURNS)}
    assert all(turn_of[row.turn_id].session_id == row.session_id for row in await books.rows(MESSAGES))


async def test_a_person_is_forgotten_in_one_workspace(books: Books) -> None:
    """The same person's messages in another workspace stay."""
    await books.answer(mention("hello", in_=dataclasses.replace(THREAD, workspace="T2")))

    assert await books.erase(OF_ANA) == 0


@pytest.mark.parametrize(
    ("scope", "erased"),
    [
        (Scope(workspace="T1"), ["here", "there"]),
        (Scope(channel="C2"), ["there"]),
        (Scope(channel="C1", person=BEN.id), []),
        (Scope(person=ANA.id), ["here", "there", "elsewhere"]),
    ],
)
async def test_an_operator_says_what_is_erased(books: Books, scope: Scope, erased: list[str]) -> None:
    """All given fields must match. The count before equals the number of erased messages, and is 0 afterwards."""
    await books.answer(mention("here"))
    await books.answer(mention("there", in_=dataclasses.replace(THREAD, channel="C2")))
    await books.answer(mention("elsewhere", in_=dataclasses.replace(THREAD, workspace="T2")))

    assert await books.store.run(erasure.count, scope) == Erasable(len(erased), len(erased))
    assert await books.erase(scope) == len(erased)
    remaining = [row.text for row in await books.rows(MESSAGES)]
    assert [text for text in ("here", "there", "elsewhere") if text not in remaining] == erased
    assert await books.store.run(erasure.count, scope) == Erasable(0, 0)


async def test_a_channel_that_is_gone_is_forgotten_and_no_other(books: Books) -> None:
    """Its sessions close, its texts and authors are erased, and the bot takes part there no longer."""
    running = await books.claimed(await books.accepted(mention("my secret")))
    await books.accepted(mention("another secret", in_=thread(2)))
    await books.answer(mention("hello", in_=dataclasses.replace(THREAD, channel="C2")), "hi")
    await books.store.run(erasure.leave, ChannelGone("desk", "T1", "C1"), now=books.now)

    assert not await books.settle(running, "your secret")
    assert [row.closed_why for row in await books.rows(SESSIONS)] == ["channel_gone", "channel_gone", None]
    assert [(row.author_id, row.text) for row in await books.rows(MESSAGES)] == [("", "")] * 2 + [(ANA.id, "hello")]
    assert [row.engaged for row in await books.rows(THREADS)] == [False, False, True]
    assert await books.claim(2) is None


@pytest.mark.parametrize("of", ["a person", "a channel"])
async def test_erasing_and_an_answer_never_wait_for_each_other(
    empty_postgres_url: str, clock: SettableClock, of: str
) -> None:
    """Erasure locks threads first and in id order, like all transactions, so that there is no deadlock."""
    books = Books(Store(empty_postgres_url), clock)
    claim = await books.claimed(await books.accepted(mention("who knows?", "5.0")))
    context = ThreadContext((EarlierMessage("1.0", BEN.id, "printers?"),))
    await books.store.run(thread_context.keep, claim.thread_id, "s1", claim.turn_id, context)
    await books.settle(claim)
    later = await books.answer(mention("hello", in_=thread(2)))
    await books.store.run(
        lambda connection: connection.execute(sa.update(THREADS).where(THREADS.c.id == 1), {"fence": 9})
    )
    with books.store.engine.connect() as connection:
        assert threads.find(connection, THREAD)
        gone = ChannelGone("desk", "T1", "C1")
        erasing = asyncio.create_task(
            books.forget(BEN) if of == "a person" else books.store.run(erasure.leave, gone, now=books.now)
        )
        while not await books.store.run(somebody_waits):
            pass
        summaries.void(connection, claim.turn_id)
        assert threads.ensure(connection, thread(2)) == later.thread_id
        connection.commit()
    await erasing

    assert await books.rows(THREAD_CONTEXT) == []
    await books.store.close()


async def test_the_rows_of_what_is_over_are_deleted_in_time(books: Books) -> None:
    """Old rows are purged, with threads in which no session began. Open sessions and younger rows stay."""
    for number in range(3):
        claim = await books.claimed(await books.accepted(mention("hello", in_=thread(number))))
        await books.store.run(posted_messages.posted, claim, "A")
        await books.accept_stop(stop("2.0", in_=thread(number)))
        await books.settle(claim)
        await books.accept_reset(reset("3.0", in_=thread(number)))
        await books.settle(await books.claimed(claim.thread_id))
    await books.accept_deletion(deletion("9.0", in_=thread(9), was=mention("hello", "9.0", in_=thread(9))))
    books.now += 14 * DAY
    assert await delete_old_rows(books) == 0
    await books.answer(mention("hello", in_=THREAD))
    books.now += timedelta(seconds=1)

    assert await delete_old_rows(books) > 0
    assert await left(books) == {"threads": 4, "sessions": 1, "turns": 1, "messages": 1, "answers": 0}


async def test_a_thread_that_goes_on_keeps_what_it_needs(books: Books) -> None:
    """Only its old sessions are purged; the bot still takes part in it."""
    await books.answer(mention("hello", "1.0"))
    await books.accept_reset(reset("2.0"))
    await books.settle(await books.claimed(1))
    books.now += 15 * DAY
    await books.answer(reply("again", "3.0"), "hi")

    await delete_old_rows(books)
    assert await left(books) == {"threads": 1, "sessions": 1, "turns": 1, "messages": 1, "answers": 0}
    assert await books.accept(reply("and again", "4.0")) == 1


async def test_a_thread_that_is_forgotten_can_be_opened_again(books: Books) -> None:
    """The bot takes no part until it is mentioned again, and then does not read earlier messages."""
    await books.answer(mention("hello", "1.0"))
    await books.store.run(erasure.leave, ChannelGone("desk", "T1", "C1"), now=books.now)
    books.now += 15 * DAY
    await delete_old_rows(books)

    assert await left(books) == {"threads": 1, "sessions": 0, "turns": 0, "messages": 0, "answers": 0}
    assert await books.accept(reply("anybody?", "2.0")) is None
    assert (await books.answer(mention("hello", "3.0"))).thread_context is None


async def test_a_message_that_comes_while_its_thread_is_deleted_opens_it_anew(empty_postgres_url: str) -> None:
    """If another replica deletes the empty thread between two statements, it is inserted again."""
    store = Store(empty_postgres_url)
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
