"""Turns of API callers in the store: begun in one transaction, then settled or withdrawn. On both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.domain.events import Author, Thread
from bot.domain.sessions import Opened, ResetOutcome
from bot.llm import Usage
from bot.prompt.client_history import missing_turns
from bot.prompt.history import HistoryWindow, Turn, Utterance
from bot.store import chat_turns, claims, erasure, inbox, leases, recalled_turns, summaries, tables, threads
from bot.store.chat_turns import ChatClaim, NewTurn, Outdated
from bot.store.engine import Store
from bot.store.erasure import Scope
from bot.store.repeated_turns import IdempotencyKey, Repeated
from bot.store.settlement import Settlement, TurnState
from bot.testing import SettableClock
from tests.support.builders import DAY, PLACES
from tests.support.store_driver import MINUTE, StoreDriver

OURS = PLACES.session("key-1", "one")
ANSWERED = Settlement(
    *(TurnState.ANSWERED, "answered"),
    model="m",
    prompt_tokens=5,
    cached_tokens=2,
    completion_tokens=3,
    truncated=True,
)
KEY = IdempotencyKey("k" * 64, "d" * 64)


async def begin(
    driver: StoreDriver,
    *texts: str,
    thread: Thread = OURS,
    owner: str = "one",
    earlier: Sequence[Turn] = (),
    idempotency_key: IdempotencyKey | None = None,
) -> ChatClaim | Repeated | None:
    """Begin a turn as this process, with those of the earlier turns that the session lacks."""
    known = await driver.store.run(recalled_turns.read, thread, now=driver.now, idle_after=DAY)
    lacking = missing_turns(known.turns, earlier, whole=known.whole)
    new = NewTurn(texts, tuple(lacking), idempotency_key, known.newest)
    lease, new_id = driver.lease(owner), driver.new_id()
    begun = await driver.store.run(chat_turns.begin, lease, thread, new, new_id=new_id, idle_after=DAY)
    assert not isinstance(begun, Outdated)
    return begun


async def begun(driver: StoreDriver, *texts: str, **more: Any) -> ChatClaim:
    """Begin a turn; it must be claimed."""
    found = await begin(driver, *texts, **more)
    assert isinstance(found, ChatClaim)
    return found


async def settle(driver: StoreDriver, claim: ChatClaim) -> bool:
    """Settle a turn. Return whether the claim was still valid."""
    return await driver.store.run(claims.settle, claim, ANSWERED, now=driver.now)


async def answered(driver: StoreDriver, *texts: str, **more: Any) -> ChatClaim:
    """Begin and settle a turn."""
    found = await begun(driver, *texts, **more)
    assert await settle(driver, found)
    return found


async def withdraw(driver: StoreDriver, claim: ChatClaim) -> None:
    """Withdraw a turn."""
    await driver.store.run(chat_turns.withdraw, claim)


async def left(driver: StoreDriver) -> dict[str, int]:
    """Return the numbers of rows of each kind."""
    kinds = (tables.SESSIONS, tables.TURNS, tables.MESSAGES)
    return {table.name: len(await driver.rows(table)) for table in kinds}


def earlier_turns(*turns: tuple[str, str]) -> list[Turn]:
    """Return earlier turns as a caller sends them."""
    return [Turn((Utterance("", question),), answer) for question, answer in turns]


def texts_of(turns: Sequence[Turn]) -> list[tuple[str, str | None]]:
    """Return the questions and answers of these turns."""
    return [(turn.messages[0].text, turn.answer) for turn in turns]


async def test_a_question_is_a_turn_at_once(driver: StoreDriver) -> None:
    """No worker finds the message of a running question. The answer is stored like any other answer."""
    first = await answered(driver, "hello", "there")
    second = await begun(driver, "and?")

    assert await driver.store.run(leases.owed_threads, [("gateway", "key-1")], now=driver.now, limit=9) == []
    assert [(turn.messages, turn.answer) for turn in await driver.past(second)] == [(first.utterances, "answered")]
    assert [(first.opened, second.opened)] == [(Opened.CREATED, Opened.CONTINUED)]


async def test_a_second_question_in_a_session_waits(driver: StoreDriver) -> None:
    """The second question waits for the first. A question in another session does not."""
    first = await begun(driver, "hello")

    assert await begin(driver, "second", owner="two") is None
    await begun(driver, "elsewhere", thread=PLACES.session("key-1", "two"))
    await begun(driver, "elsewhere", thread=PLACES.session("key-2", "one"))
    await settle(driver, first)
    await begun(driver, "second", owner="two")


async def test_a_withdrawal_removes_all_rows(driver: StoreDriver) -> None:
    """A withdrawal removes the messages, the turn, the imported turns, and a session that began with it."""
    await withdraw(driver, await begun(driver, "hello", earlier=earlier_turns(("a", "b"))))
    assert await left(driver) == {"sessions": 0, "turns": 0, "messages": 0}

    await answered(driver, "first")
    await withdraw(driver, await begun(driver, "second"))
    assert await left(driver) == {"sessions": 1, "turns": 1, "messages": 1}


async def test_a_withdrawal_removes_a_new_thread(driver: StoreDriver) -> None:
    """A withdrawal removes a thread that was created for the question.

    An older thread stays, so that its chat is known.
    """
    for key in (KEY, None):
        await withdraw(driver, await begun(driver, "hello", idempotency_key=key))
    assert await driver.rows(tables.THREADS) == []

    await driver.store.run(threads.ensure, OURS)
    await withdraw(driver, await begun(driver, "hello"))
    assert len(await driver.rows(tables.THREADS)) == 1


async def test_a_withdrawn_turn_leaves_the_file(empty_sqlite_url: str, clock: SettableClock) -> None:
    """After the next vacuum, no file of the database holds the texts of a withdrawn turn."""
    driver = StoreDriver(store := Store(empty_sqlite_url), clock)
    await store.vacuum()
    await withdraw(driver, await begun(driver, "confidential one", earlier=earlier_turns(("confidential two", "b"))))
    await store.vacuum()
    database = Path(str(store.engine.url.database))

    assert [
        path.name for path in database.parent.glob(f"{database.name}*") if b"confidential" in path.read_bytes()
    ] == []
    await store.close()


async def test_a_settled_turn_is_not_withdrawn(driver: StoreDriver) -> None:
    """A withdrawal after the settlement changes nothing."""
    first = await answered(driver, "hello", earlier=earlier_turns(("a", "b")))
    await withdraw(driver, first)

    assert await left(driver) == {"sessions": 1, "turns": 2, "messages": 2}


async def test_a_lost_claim_changes_nothing(driver: StoreDriver) -> None:
    """A process whose claim was taken over can neither settle nor withdraw."""
    lost = await begun(driver, "first")
    await driver.lapse()
    second = await begun(driver, "second", owner="two")

    assert not await settle(driver, lost)
    await withdraw(driver, lost)
    assert [row.text for row in await driver.rows(tables.MESSAGES)] == ["second"]
    assert await settle(driver, second)


async def test_the_sweep_withdraws_abandoned_turns(driver: StoreDriver) -> None:
    """The sweep withdraws abandoned turns. It keeps running turns and the turns of other platforms.

    Afterwards the session can expire.
    """
    await answered(driver, "first")
    await begun(driver, "dying")
    await driver.lapse()
    running = await begun(driver, "running", thread=PLACES.session("key-1", "two"))
    given_up = await begun(driver, "given up", thread=PLACES.session("key-1", "three"))
    await driver.store.run(claims.fail_attempt, given_up)
    await driver.store.run(chat_turns.withdraw_abandoned, now=driver.now, batch=10)

    assert [row.text for row in await driver.rows(tables.MESSAGES)] == ["first", "running"]
    assert await settle(driver, running)
    driver.now += DAY + MINUTE
    assert await driver.sweep() == 2


@pytest.mark.parametrize(
    ("recalled", "added"),
    [
        ([], []),
        ([("a", "1")], []),
        ([("a", "1"), ("b", "2")], []),
        ([("b", "2")], []),
        ([(" b\n", "shown otherwise")], []),
        ([("x", "9"), ("b", "2")], []),
        ([("b", "2"), ("c", "3")], [("c", "3")]),
        ([("x", "9")], [("x", "9")]),
        ([("b", "2"), ("a", "1"), ("y", "8")], [("a", "1"), ("y", "8")]),
    ],
)
async def test_new_imported_turns_are_added(
    driver: StoreDriver, recalled: list[tuple[str, str]], added: list[tuple[str, str]]
) -> None:
    """The store adds the turns after the last common one, in order.

    It recognises a turn by its question, because clients trim answers.
    """
    for question in ("a", "b"):
        await answered(driver, question)
    now = await begun(driver, "now", earlier=earlier_turns(*recalled))

    assert texts_of(await driver.past(now)) == [("a", "answered"), ("b", "answered"), *added]


async def test_turns_before_the_window_are_not_imported_again(driver: StoreDriver) -> None:
    """Turns before the window are not imported again when the caller sends all of them."""
    await answered(driver, "a")
    last = await answered(driver, "b")
    await driver.store.run(summaries.move, last.session_id, HistoryWindow(after=last.turn_id))
    now = await begun(driver, "now", earlier=earlier_turns(("a", "answered"), ("b", "answered")))

    assert now.imported == ()


async def test_a_request_with_an_idempotency_key_is_answered_once(driver: StoreDriver) -> None:
    """A repeated request gets the stored answer. A different request with the same key is marked as different."""
    first = await answered(driver, "hello", idempotency_key=KEY)
    again = await begin(driver, "hello", idempotency_key=KEY)
    other = await begin(driver, "other", idempotency_key=IdempotencyKey(KEY.hash, "e" * 64))

    assert isinstance(again, Repeated)
    assert isinstance(other, Repeated)
    assert (again.fence, again.text, again.usage, again.truncated) == (
        *(first.fence, "answered", Usage(5, 2, 3), True),
    )
    assert (again.same, other.same) == (True, False)
    assert again.opened is Opened.CREATED
    assert isinstance(await begin(driver, "new", idempotency_key=IdempotencyKey("l" * 64, "d" * 64)), ChatClaim)


async def test_a_repeated_request_reports_the_same_session_state(driver: StoreDriver) -> None:
    """A repeated request reports the session as the first one did: created, expired or continued."""
    for opened in (Opened.CREATED, Opened.EXPIRED):
        keys = [IdempotencyKey(f"{opened} {number}", KEY.digest) for number in range(2)]
        asked_for = [(keys[0], earlier_turns(("a", "b"))), (keys[1], ())]
        firsts = [await answered(driver, "hello", idempotency_key=key, earlier=recalled) for key, recalled in asked_for]
        again = [await begin(driver, "hello", idempotency_key=key) for key in keys]

        assert [first.opened for first in firsts] == [opened, Opened.CONTINUED]
        assert [each.opened for each in again if isinstance(each, Repeated)] == [opened, Opened.CONTINUED]
        driver.now += DAY + MINUTE


async def test_an_idempotency_key_is_erased_with_its_session(driver: StoreDriver) -> None:
    """After a reset or an expiry the stored answer is gone. A repeated request asks the model again."""
    await answered(driver, "hello", idempotency_key=KEY)
    author = Author("key-1", "key-1")
    assert await driver.store.run(inbox.reset, OURS, author, now=driver.now) is ResetOutcome.DONE
    await answered(driver, "hello", idempotency_key=KEY)
    driver.now += DAY + MINUTE

    assert (await begun(driver, "hello", idempotency_key=KEY)).opened is Opened.EXPIRED


async def test_a_reset_during_an_answer_erases_the_digest(driver: StoreDriver) -> None:
    """The late answer is not stored, and the digest of the request is erased with the texts."""
    late = await begun(driver, "hello", idempotency_key=KEY)
    await driver.store.run(inbox.reset, OURS, chat_turns.speaker(OURS), now=driver.now)

    assert not await settle(driver, late)
    assert [row.request_digest for row in await driver.rows(tables.TURNS)] == [None]


async def test_erasure_reaches_an_answer_stored_for_its_idempotency_key(driver: StoreDriver) -> None:
    """Erasing the author's messages also erases an answer that is stored only for its key, and the digest."""
    await answered(driver, idempotency_key=KEY, thread=PLACES.single("key-1", "retry-1"))
    await answered(driver, idempotency_key=KEY, thread=PLACES.single("key-2", "retry-1"))
    await driver.store.run(erasure.erase, Scope(workspace="key-1", person="key-1"), now=driver.now)

    kept = [(row.answer, row.request_digest) for row in await driver.rows(tables.TURNS)]
    assert kept == [(None, None), ("answered", KEY.digest)]


async def test_an_expiry_is_reported_until_there_is_an_answer(driver: StoreDriver) -> None:
    """The request after a withdrawn one still reports the expiry."""
    await answered(driver, "hello")
    driver.now += DAY + timedelta(seconds=1)
    await withdraw(driver, await begun(driver, "again"))

    assert (await answered(driver, "again")).opened is Opened.EXPIRED
    assert (await begun(driver, "more")).opened is Opened.CONTINUED


async def test_characters_that_no_database_takes_are_removed(driver: StoreDriver) -> None:
    """NUL is removed from questions and from imported turns."""
    first = await begun(driver, "a\0b", earlier=earlier_turns(("x\0", "y\0z")))

    assert [row.text for row in await driver.rows(tables.MESSAGES)] == ["x", "ab"]
    assert texts_of(await driver.past(first)) == [("x", "yz")]
