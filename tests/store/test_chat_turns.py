"""Turns of callers in the store, on both databases: begun in one transaction, then settled, or withdrawn whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.domain.events import Author, Thread
from bot.domain.sessions import Opened, ResetOutcome
from bot.llm import Usage
from bot.prompt.history import HistoryWindow, Turn, Utterance
from bot.store import chat_turns, claims, erasure, inbox, leases, summaries, tables, threads
from bot.store.chat_turns import ChatClaim, IdempotencyKey, NewTurn, Repeated
from bot.store.engine import Store
from bot.store.erasure import Scope
from bot.store.settlement import Settlement, TurnState
from bot.testing import SettableClock
from bot.turns.chat_question import place, place_of_one
from tests.support.builders import DAY
from tests.support.store_driver import MINUTE, Books

OURS = place("key-1", "one")
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
    books: Books,
    *texts: str,
    thread: Thread = OURS,
    owner: str = "one",
    earlier: Sequence[Turn] = (),
    idempotency_key: IdempotencyKey | None = None,
) -> ChatClaim | Repeated | None:
    """Ask, as this moment's process."""
    new = NewTurn(texts, tuple(earlier), idempotency_key)
    lease, new_id = books.lease(owner), books.new_id()
    return await books.store.run(chat_turns.begin, lease, thread, new, new_id=new_id, idle_after=DAY)


async def begun(books: Books, *texts: str, **more: Any) -> ChatClaim:
    """A question that must be taken."""
    found = await begin(books, *texts, **more)
    assert isinstance(found, ChatClaim)
    return found


async def settle(books: Books, claim: ChatClaim) -> bool:
    """Whether it could still be settled."""
    return await books.store.run(claims.settle, claim, ANSWERED, now=books.now)


async def answered(books: Books, *texts: str, **more: Any) -> ChatClaim:
    """A question and its answer."""
    found = await begun(books, *texts, **more)
    assert await settle(books, found)
    return found


async def withdraw(books: Books, claim: ChatClaim) -> None:
    """Take it back."""
    await books.store.run(chat_turns.withdraw, claim)


async def left(books: Books) -> dict[str, int]:
    """How many rows there are of each kind."""
    kinds = (tables.SESSIONS, tables.TURNS, tables.MESSAGES)
    return {table.name: len(await books.rows(table)) for table in kinds}


def asked(*turns: tuple[str, str]) -> list[Turn]:
    """Earlier turns, as a caller recalls them."""
    return [Turn((Utterance("", said),), answer) for said, answer in turns]


def told(turns: Sequence[Turn]) -> list[tuple[str, str | None]]:
    """What these turns say."""
    return [(turn.messages[0].text, turn.answer) for turn in turns]


async def test_a_question_is_a_turn_at_once(books: Books) -> None:
    """Nothing is owed meanwhile, so that no worker takes it up; its answer is remembered like any other."""
    first = await answered(books, "hello", "there")
    second = await begun(books, "and?")

    assert await books.store.run(leases.owed_threads, [("gateway", "key-1")], now=books.now, limit=9) == []
    assert [(turn.messages, turn.answer) for turn in await books.past(second)] == [(first.utterances, "answered")]
    assert [(first.opened, second.opened)] == [(Opened.CREATED, Opened.CONTINUED)]


async def test_one_at_a_time(books: Books) -> None:
    """While one is being answered another one waits; in another session it does not."""
    first = await begun(books, "hello")

    assert await begin(books, "second", owner="two") is None
    await begun(books, "elsewhere", thread=place("key-1", "two"))
    await begun(books, "elsewhere", thread=place("key-2", "one"))
    await settle(books, first)
    await begun(books, "second", owner="two")


async def test_what_is_withdrawn_has_not_been(books: Books) -> None:
    """Not its messages, its turn, the turns that came with it, nor a session that began with it."""
    await withdraw(books, await begun(books, "hello", earlier=asked(("a", "b"))))
    assert await left(books) == {"sessions": 0, "turns": 0, "messages": 0}

    await answered(books, "first")
    await withdraw(books, await begun(books, "second"))
    assert await left(books) == {"sessions": 1, "turns": 1, "messages": 1}


async def test_what_is_withdrawn_leaves_no_thread(books: Books) -> None:
    """One that was made for it goes; one that was there before stays, so that its chat is known."""
    for key in (KEY, None):
        await withdraw(books, await begun(books, "hello", idempotency_key=key))
    assert await books.rows(tables.THREADS) == []

    await books.store.run(threads.ensure, OURS)
    await withdraw(books, await begun(books, "hello"))
    assert len(await books.rows(tables.THREADS)) == 1


async def test_what_is_withdrawn_leaves_the_file(empty_sqlite_url: str, clock: SettableClock) -> None:
    """Its words, and those that came with it, are in none of the database's files after the next scrub."""
    books = Books(store := Store(empty_sqlite_url), clock)
    await store.vacuum()
    await withdraw(books, await begun(books, "confidential one", earlier=asked(("confidential two", "b"))))
    await store.vacuum()
    database = Path(str(store.engine.url.database))

    assert [
        path.name for path in database.parent.glob(f"{database.name}*") if b"confidential" in path.read_bytes()
    ] == []
    await store.close()


async def test_what_was_settled_is_not_withdrawn(books: Books) -> None:
    """Whatever order a dying process does things in."""
    first = await answered(books, "hello", earlier=asked(("a", "b")))
    await withdraw(books, first)

    assert await left(books) == {"sessions": 1, "turns": 2, "messages": 2}


async def test_a_lost_claim_changes_nothing(books: Books) -> None:
    """A process that was thought dead can neither settle nor withdraw: the session is another's."""
    lost = await begun(books, "first")
    await books.lapse()
    second = await begun(books, "second", owner="two")

    assert not await settle(books, lost)
    await withdraw(books, lost)
    assert [row.text for row in await books.rows(tables.MESSAGES)] == ["second"]
    assert await settle(books, second)


async def test_the_sweep_withdraws_what_the_dead_left(books: Books) -> None:
    """Not what is still being answered, nor another platform's turns; then the session can expire."""
    await answered(books, "first")
    await begun(books, "dying")
    await books.lapse()
    running = await begun(books, "running", thread=place("key-1", "two"))
    given_up = await begun(books, "given up", thread=place("key-1", "three"))
    await books.store.run(claims.fail_attempt, given_up)
    await books.store.run(chat_turns.withdraw_abandoned, now=books.now, batch=10)

    assert [row.text for row in await books.rows(tables.MESSAGES)] == ["first", "running"]
    assert await settle(books, running)
    books.now += DAY + MINUTE
    assert await books.sweep() == 2


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
async def test_what_a_caller_recalls_is_added_when_it_is_new(
    books: Books, recalled: list[tuple[str, str]], added: list[tuple[str, str]]
) -> None:
    """What follows the last turn that both have, in one order; told by the question, where answers are trimmed."""
    for said in ("a", "b"):
        await answered(books, said)
    now = await begun(books, "now", earlier=asked(*recalled))

    assert told(await books.past(now)) == [("a", "answered"), ("b", "answered"), *added]


async def test_what_is_shown_no_more_is_known_all_the_same(books: Books) -> None:
    """A session that was cut behind its newest turn is not doubled by a caller who sends all of it again."""
    await answered(books, "a")
    last = await answered(books, "b")
    await books.store.run(summaries.move, last.session_id, HistoryWindow(after=last.turn_id))
    now = await begun(books, "now", earlier=asked(("a", "answered"), ("b", "answered")))

    assert now.imported == ()


async def test_a_request_with_a_key_is_answered_once(books: Books) -> None:
    """Asked again, it is told as it was; asked for something else, that is told, too."""
    first = await answered(books, "hello", idempotency_key=KEY)
    again = await begin(books, "hello", idempotency_key=KEY)
    other = await begin(books, "other", idempotency_key=IdempotencyKey(KEY.hash, "e" * 64))

    assert isinstance(again, Repeated)
    assert isinstance(other, Repeated)
    assert (again.turn_id, again.text, again.usage, again.truncated) == (
        *(first.turn_id, "answered", Usage(5, 2, 3), True),
    )
    assert (again.same, other.same) == (True, False)
    assert again.opened is Opened.CREATED
    assert isinstance(await begin(books, "new", idempotency_key=IdempotencyKey("l" * 64, "d" * 64)), ChatClaim)


async def test_a_repeated_request_finds_its_session_as_at_first(books: Books) -> None:
    """Created, with turns that came along; expired, when another one expired before; continued after another."""
    for opened in (Opened.CREATED, Opened.EXPIRED):
        keys = [IdempotencyKey(f"{opened} {number}", KEY.digest) for number in range(2)]
        asked_for = [(keys[0], asked(("a", "b"))), (keys[1], ())]
        firsts = [await answered(books, "hello", idempotency_key=key, earlier=recalled) for key, recalled in asked_for]
        again = [await begin(books, "hello", idempotency_key=key) for key in keys]

        assert [first.opened for first in firsts] == [opened, Opened.CONTINUED]
        assert [each.opened for each in again if isinstance(each, Repeated)] == [opened, Opened.CONTINUED]
        books.now += DAY + MINUTE


async def test_a_key_is_forgotten_with_its_session(books: Books) -> None:
    """After a reset or an expiry its answer is gone, and it is asked anew."""
    await answered(books, "hello", idempotency_key=KEY)
    author = Author("key-1", "key-1")
    assert await books.store.run(inbox.reset, OURS, author, now=books.now) is ResetOutcome.DONE
    await answered(books, "hello", idempotency_key=KEY)
    books.now += DAY + MINUTE

    assert (await begun(books, "hello", idempotency_key=KEY)).opened is Opened.EXPIRED


async def test_what_is_reset_while_it_is_answered_leaves_nothing_to_guess_it_by(books: Books) -> None:
    """Its answer comes too late, and the digest of what was asked goes with the words."""
    late = await begun(books, "hello", idempotency_key=KEY)
    await books.store.run(inbox.reset, OURS, chat_turns.speaker(OURS), now=books.now)

    assert not await settle(books, late)
    assert [row.request_digest for row in await books.rows(tables.TURNS)] == [None]


async def test_an_answer_kept_for_its_key_can_be_erased(books: Books) -> None:
    """Also where the question was not kept: it is found by who asked, and nothing is left to guess it by."""
    await answered(books, idempotency_key=KEY, thread=place_of_one("key-1", "retry-1"))
    await answered(books, idempotency_key=KEY, thread=place_of_one("key-2", "retry-1"))
    await books.store.run(erasure.erase, Scope(workspace="key-1", person="key-1"), now=books.now)

    kept = [(row.answer, row.request_digest) for row in await books.rows(tables.TURNS)]
    assert kept == [(None, None), ("answered", KEY.digest)]


async def test_after_an_expiry_it_is_told_until_there_is_an_answer(books: Books) -> None:
    """A request that was withdrawn does not hide it from the next one."""
    await answered(books, "hello")
    books.now += DAY + timedelta(seconds=1)
    await withdraw(books, await begun(books, "again"))

    assert (await answered(books, "again")).opened is Opened.EXPIRED
    assert (await begun(books, "more")).opened is Opened.CONTINUED


async def test_words_that_no_database_takes(books: Books) -> None:
    """NUL is left out, of questions and of what a caller recalls."""
    first = await begun(books, "a\0b", earlier=asked(("x\0", "y\0z")))

    assert [row.text for row in await books.rows(tables.MESSAGES)] == ["x", "ab"]
    assert told(await books.past(first)) == [("x", "yz")]
