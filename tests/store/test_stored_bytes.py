"""Stored bytes: what the sessions of a key keep is counted and bounded. On both databases."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import random
from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot.domain.api_keys import Key, Secret
from bot.domain.events import LONGEST_TEXT, Attachment
from bot.domain.sessions import Interrupted, ResetOutcome
from bot.errors import StorageFull
from bot.prompt.history import Turn, Utterance
from bot.prompt.thread_context import EarlierMessage, ThreadContext
from bot.store import (
    api_keys,
    chat_turns,
    claims,
    closed_sessions,
    erasure,
    posted_messages,
    session_owners,
    sessions,
    stored_bytes,
    thread_context,
)
from bot.store.chat_turns import ChatClaim, NewTurn
from bot.store.claims import PlatformClaim
from bot.store.erasure import Scope
from bot.store.settlement import Settlement, TurnState
from bot.store.stored_bytes import ROW_BYTES
from bot.store.tables import API_KEYS, MESSAGES, SESSIONS, TURNS
from tests.support.builders import ANA, BEN, DAY, NOON, PLACES, THREAD, deletion, edit, mention, reply, reset, thread
from tests.support.store_driver import StoreDriver

KEY, LIMIT = "key-1", 10_000


async def add_key(driver: StoreDriver, key_id: str = KEY) -> None:
    """Store an API key."""
    key = Key(key_id, "test", NOON)
    await driver.store.run(api_keys.add, key, Secret(key_id, "secret"))


async def begin(
    driver: StoreDriver, *texts: str, session: str = "one", earlier: tuple[Turn, ...] = (), key: str = KEY
) -> ChatClaim:
    """Begin a turn of a key, up to the limit."""
    new = NewTurn(texts, earlier, most_bytes=LIMIT)
    lease, new_id = driver.lease(), driver.new_id()
    run = driver.store.run
    begun = await run(chat_turns.begin, lease, PLACES.session(key, session), new, new_id=new_id, idle_after=DAY)
    assert isinstance(begun, ChatClaim)
    return begun


async def answer(driver: StoreDriver, *texts: str, session: str = "one", answer: str = "answered") -> None:
    """Begin a turn and settle it."""
    claim = await begin(driver, *texts, session=session)
    assert await driver.store.run(claims.settle, claim, Settlement(TurnState.ANSWERED, answer), now=driver.now)


async def counted(driver: StoreDriver, key_id: str = KEY) -> int:
    """Return what is counted for a key, which is the sum of its open sessions."""
    [by_key] = [row.stored_bytes for row in await driver.rows(API_KEYS) if row.id == key_id]
    of_sessions = [row for row in await driver.rows(SESSIONS) if row.owner == key_id and row.closed_at is None]
    assert by_key == sum(row.stored_bytes for row in of_sessions)
    return int(by_key)


async def erase_closed(driver: StoreDriver) -> int:
    """Erase the texts of closed sessions; return the number of transactions."""
    steps, progress = 1, await driver.store.run(closed_sessions.erase_next, None)
    while progress is not None:
        steps, progress = steps + 1, await driver.store.run(closed_sessions.erase_next, progress)
    return steps


async def test_every_text_of_a_key_is_counted_in_bytes(driver: StoreDriver) -> None:
    """Questions, imported turns and answers count, in UTF-8 and as they are stored, with a share for each row."""
    await add_key(driver)
    earlier = (Turn((Utterance(KEY, "äöü"),), "ok"),)
    claim = await begin(driver, "four", "NUL\0", "\ud800", earlier=earlier)
    assert await counted(driver) == 4 * ROW_BYTES + len("äöü".encode()) + len("ok") + len("four") + len("NUL") + 1
    before = await counted(driver)
    await driver.store.run(claims.settle, claim, Settlement(TurnState.ANSWERED, "12345"), now=driver.now)

    assert await counted(driver) == before + 5


async def test_a_key_beyond_its_limit_is_refused_and_stores_nothing(driver: StoreDriver) -> None:
    """The error names the limit. Other keys, and owners without a key, are not affected."""
    await add_key(driver)
    await add_key(driver, "key-2")
    await answer(driver, "x" * (LIMIT - ROW_BYTES - 100))
    before = await counted(driver)
    for session in ("one", "two"):
        with pytest.raises(StorageFull) as caught:
            await begin(driver, "y" * 200, session=session)
        assert caught.value.limit == LIMIT

    assert await counted(driver) == before
    assert len(await driver.rows(SESSIONS)) == 1
    await begin(driver, "y" * 200, key="key-2")
    await begin(driver, "y" * 2 * LIMIT, key="local")


async def test_empty_messages_count_too(driver: StoreDriver) -> None:
    """A caller cannot fill the database with empty messages or with many sessions."""
    await add_key(driver)
    for number in range(LIMIT // ROW_BYTES):
        await answer(driver, "", session=str(number), answer="")
    with pytest.raises(StorageFull):
        await begin(driver, "")


@pytest.mark.parametrize("way", ["withdrawal", "reset", "expiry", "erasure", "abandonment"])
async def test_what_is_erased_makes_room(driver: StoreDriver, way: str) -> None:
    """After a withdrawal, a reset, an expiry, an erasure or the death of the process, nothing is counted any more."""
    await add_key(driver)
    ours = PLACES.session(KEY, "one")
    if way in {"withdrawal", "abandonment"}:
        claim = await begin(driver, "question", earlier=(Turn((Utterance(KEY, "a"),), "b"),))
        if way == "withdrawal":
            await driver.store.run(chat_turns.withdraw, claim)
        else:
            await driver.lapse()
            await driver.store.run(chat_turns.withdraw_abandoned, now=driver.now, batch=10)
            assert await counted(driver) == ROW_BYTES + len("ab")  # an imported turn is settled
            return
    else:
        await answer(driver, "question")
        await answer(driver, "question", session="two")
        if way == "reset":
            assert await driver.reset(ours, chat_turns.speaker(ours)) is ResetOutcome.DONE
            assert await driver.reset(PLACES.session(KEY, "two"), chat_turns.speaker(ours)) is ResetOutcome.DONE
        elif way == "expiry":
            driver.now += 2 * DAY
            assert await driver.sweep() == 2
        else:
            await driver.erase(Scope(workspace=KEY))

    assert await counted(driver) == 0
    assert [row.owner for row in await driver.rows(SESSIONS)] in ([], ["", ""])


@pytest.mark.parametrize("count", [3, 2 * closed_sessions.ROWS_PER_STEP])
async def test_a_closed_session_keeps_no_row_of_imported_turns(driver: StoreDriver, count: int) -> None:
    """The rows of a closed session count for nobody, so a caller cannot fill the database with its own turns."""
    earlier = tuple(Turn((Utterance(KEY, ""),), f"answer {number}") for number in range(count))
    claim = await begin(driver, "question", earlier=earlier)
    usage = Settlement(TurnState.ANSWERED, "answered", model="m", prompt_tokens=1)
    assert await driver.store.run(claims.settle, claim, usage, now=driver.now)
    ours = PLACES.session(KEY, "one")
    assert await driver.reset(ours, chat_turns.speaker(ours)) is ResetOutcome.DONE
    await erase_closed(driver)

    assert [row.id for row in await driver.rows(TURNS)] == [claim.turn_id]
    assert [row.turn_id for row in await driver.rows(MESSAGES)] == [claim.turn_id]


async def test_requests_at_once_do_not_pass_the_limit(driver: StoreDriver) -> None:
    """Of many requests at once, on any replica, only as many are accepted as fit."""
    await add_key(driver)
    size = LIMIT // 4 - ROW_BYTES
    asked = (begin(driver, "x" * size, session=str(number)) for number in range(12))
    outcomes = await asyncio.gather(*asked, return_exceptions=True)

    assert sum(isinstance(outcome, ChatClaim) for outcome in outcomes) == 4
    assert sum(isinstance(outcome, StorageFull) for outcome in outcomes) == 8
    assert await counted(driver) == 4 * (LIMIT // 4)


async def test_a_large_session_is_closed_at_once_and_erased_in_steps(driver: StoreDriver) -> None:
    """The reset of a session changes few rows. The steps that follow erase a bounded amount of text each."""
    rows = 3 * closed_sessions.ROWS_PER_STEP
    await driver.answer(mention("first", "1.0"))
    [turn] = await driver.rows(TURNS)
    await driver.store.run(_grow, rows, turn.id)
    changed: list[int] = []
    sa.event.listen(driver.store.engine, "after_cursor_execute", lambda *args: changed.append(args[1].rowcount))

    assert await driver.reset(THREAD, ANA) is ResetOutcome.DONE
    assert max(changed) <= 1
    changed.clear()
    assert await erase_closed(driver) >= rows / closed_sessions.ROWS_PER_STEP
    assert max(changed) <= closed_sessions.ROWS_PER_STEP
    assert {row.text for row in await driver.rows(MESSAGES)} == {""}
    assert [row.answer for row in await driver.rows(TURNS)] == [None]
    assert [row.stored_bytes for row in await driver.rows(SESSIONS)] == [0]


async def test_long_texts_are_erased_in_more_steps(driver: StoreDriver) -> None:
    """A step erases few rows when their texts are long."""
    await driver.answer(mention("first", "1.0"))
    [turn] = await driver.rows(TURNS)
    await driver.store.run(_grow, 10, turn.id, "x" * sessions.BYTES_PER_STEP)
    await driver.reset(THREAD, ANA)

    assert await erase_closed(driver) > 10
    assert {row.text for row in await driver.rows(MESSAGES)} == {""}


async def test_the_next_process_goes_on_erasing(driver: StoreDriver) -> None:
    """A process that dies between two steps leaves nothing behind that the next one does not erase."""
    await driver.answer(mention("first", "1.0"))
    [turn] = await driver.rows(TURNS)
    await driver.store.run(_grow, 2 * closed_sessions.ROWS_PER_STEP, turn.id)
    await driver.reset(THREAD, ANA)
    assert await driver.store.run(closed_sessions.erase_next, None) is not None
    assert "word" in {row.text for row in await driver.rows(MESSAGES)}
    await erase_closed(driver)

    assert {row.text for row in await driver.rows(MESSAGES)} == {""}


def _grow(connection: sa.Connection, count: int, turn_id: int, text: str = "word") -> None:
    """Add messages to the first session, and count them."""
    row = {"thread_id": 1, "session_id": "s1", "turn_id": turn_id, "author_id": ANA.id, "author_workspace": "T1"}
    row |= {"text": text, "attachments": [], "accepted_at": NOON}
    connection.execute(sa.insert(MESSAGES), [{**row, "message_id": f"2.{number:06}"} for number in range(count)])
    stored_bytes.add(connection, "s1", count * (ROW_BYTES + len(text)))


async def test_a_session_with_too_much_text_starts_over(driver: StoreDriver) -> None:
    """The next message opens a new session, which says that it follows one that expired."""
    await driver.answer(mention("hello", "1.0"))
    await driver.store.run(stored_bytes.add, "s1", stored_bytes.MOST_OF_SESSION)
    claim = await driver.claimed(await driver.accepted(reply("more", "2.0")))

    assert claim.follows_expired
    assert await driver.past(claim) == []


async def test_a_persons_oldest_sessions_expire_when_all_hold_too_much(driver: StoreDriver) -> None:
    """The newest sessions stay, and so does one that is being answered. Sessions of other people are not affected."""
    for number in range(1, 4):
        await driver.answer(mention("hello", in_=thread(number)))
        driver.now += timedelta(minutes=1)
        half = session_owners.MOST_BYTES // 2
        await driver.store.run(stored_bytes.add, (await driver.rows(SESSIONS))[number - 1].id, half)
    await driver.accepted(mention("hello", in_=thread(4)))

    closed = {row.thread_id: row.closed_why for row in await driver.rows(SESSIONS)}
    assert closed == {1: "expired", 2: "expired", 3: None, 4: None}


async def test_a_person_has_a_bounded_number_of_sessions(driver: StoreDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more expires the oldest, however little each holds."""
    monkeypatch.setattr(session_owners, "MOST_SESSIONS", 3)
    for number in range(1, 6):
        await driver.answer(mention("hello", in_=thread(number)))
        await driver.store.run(stored_bytes.add, (await driver.rows(SESSIONS))[-1].id, session_owners.SMALL_SESSION)
        driver.now += timedelta(minutes=1)
    await driver.answer(reply("more", "9.0", in_=thread(5)))

    assert [row.thread_id for row in await driver.rows(SESSIONS) if row.closed_at is None] == [3, 4, 5]


async def test_edits_and_thread_contexts_count_for_the_person(driver: StoreDriver) -> None:
    """The texts that an edit adds, or that were in the thread before, count like a message's."""
    thread_id = await driver.accepted(mention("short", "5.0"))
    claim = await driver.claimed(thread_id)
    assert claim.session_id is not None
    context = ThreadContext((EarlierMessage("1.0", "U-BEN", "who knows printers?"),))
    await driver.store.run(thread_context.save, thread_id, claim.session_id, claim.turn_id, context)
    await driver.accept_edit(edit("a longer text", "5.0"))
    [session] = await driver.rows(SESSIONS)

    assert session.stored_bytes == 2 * ROW_BYTES + len("who knows printers?") + len("a longer text")


async def test_a_message_that_is_too_long_is_cut(driver: StoreDriver) -> None:
    """Its text, its list of files and their names are cut."""
    file = Attachment("F1", "n" * 1_000, "text/plain", 1)
    await driver.accepted(dataclasses.replace(mention("x" * 2 * LONGEST_TEXT), attachments=(file,) * 100))
    [row] = await driver.rows(MESSAGES)

    assert (len(row.text), row.text[-1], len(row.attachments), len(row.attachments[0]["name"])) == (
        *(LONGEST_TEXT, "…"),
        *(20, 255),
    )


async def test_a_forgotten_person_owns_no_session(driver: StoreDriver) -> None:
    """A session in which other people wrote stays, without the id of the person who began it."""
    await driver.answer(mention("mine", "1.0", by=ANA))
    await driver.answer(reply("theirs", "2.0", by=BEN))
    await driver.forget(ANA)

    assert [(row.owner, row.closed_at) for row in await driver.rows(SESSIONS)] == [("", None)]


@pytest.mark.parametrize("late", ["waits", "runs", "answered"])
async def test_a_session_after_a_late_reset_is_counted_and_erased(driver: StoreDriver, late: str) -> None:
    """Its messages were delivered before the reset. No word stays, though a larger session expires with it."""
    await driver.answer(mention("x" * 100_000, "1.0", in_=thread(1)), "y" * 200_000)
    await driver.answer(mention("first", "1.0"))
    thread_id = await driver.accepted(reply("my question", "3.0"))
    claim = await driver.claimed(thread_id) if late != "waits" else None
    if claim is not None and late == "answered":
        await driver.settle(claim, "my answer")
    assert await driver.accept_reset(reset("2.0")) is ResetOutcome.DONE
    if claim is not None and late == "runs":
        await driver.settle(claim, "my answer")
    [session] = [row for row in await driver.rows(SESSIONS) if row.id == "since 2.0"]
    answered = len("my answer") if late != "waits" else 0
    assert session.stored_bytes == ROW_BYTES + len("my question") + answered
    if claim is None:
        for answer in ("the reply to the reset", "my answer"):
            assert await driver.settle(await driver.claimed(thread_id), answer)
    driver.now += 2 * DAY

    assert await driver.sweep() == 2
    await erase_closed(driver)
    assert {row.text for row in await driver.rows(MESSAGES)} == {""}
    assert {row.answer for row in await driver.rows(TURNS)} <= {None, "the reply to the reset"}


async def test_a_session_without_a_count_is_erased_too(driver: StoreDriver) -> None:
    """The erasure of a closed session does not depend on its count."""
    await driver.answer(mention("x" * 100_000, "1.0", in_=thread(1)), "y" * 200_000)
    await driver.answer(mention("my question"), "my answer")
    await driver.store.run(
        sa.Connection.execute, sa.update(SESSIONS).where(SESSIONS.c.id == "s2").values(stored_bytes=0)
    )
    driver.now += 2 * DAY

    assert await driver.sweep() == 2
    await erase_closed(driver)
    assert {row.text for row in await driver.rows(MESSAGES)} == {""}


async def recounted(driver: StoreDriver) -> dict[str, int]:
    """Return how many bytes each open session holds, by its rows."""
    counts = {row.id: 0 for row in await driver.rows(SESSIONS) if row.closed_at is None}
    for message in await driver.rows(MESSAGES):
        if message.session_id in counts:
            counts[message.session_id] += stored_bytes.size([message.text])
    for turn in await driver.rows(TURNS):
        if turn.session_id in counts and turn.state != TurnState.RUNNING.value:
            counts[turn.session_id] += stored_bytes.length(turn.answer)
    return counts


@pytest.mark.parametrize("seed", range(6))
async def test_the_count_equals_a_recount_after_any_erasure(driver: StoreDriver, seed: int) -> None:
    """Edits, deletions, late resets and `forget me`, in any order, while turns wait, run or are answered."""
    chance = random.Random(seed)  # noqa: S311
    claim: PlatformClaim | None = None
    await driver.accepted(mention("hello"))
    for number in range(2, 40):
        author, other = chance.sample([ANA, BEN], 2)
        earlier = f"{chance.randrange(1, number):03}.0"
        match chance.choice(["ask", "ask", "ask", "claim", "settle", "edit", "delete", "unsay", "reset", "forget"]):
            case "ask":
                await driver.accept(mention("ä" * chance.randrange(100), f"{number:03}.0", by=author))
            case "claim":
                claim = await driver.claim(1) or claim
            case "settle" if claim is not None:
                await driver.store.run(posted_messages.posted, claim, f"{number:03}.5")
                await driver.settle(claim, "ö" * chance.randrange(100))
            case "edit":
                await driver.accept_edit(edit("ü" * chance.randrange(100), earlier, at=number, by=author))
            case "delete":
                await driver.accept_deletion(deletion(earlier))
            case "unsay":
                await driver.accept_deletion(deletion(earlier.replace(".0", ".5")))
            case "reset":
                late = f"{chance.randrange(max(1, number - 3), number):03}.7"
                await driver.accept_reset(reset(late, by=author))
            case "forget" if number % 4 == 0:
                await driver.forget(other)
        is_open = {row.id: row.stored_bytes for row in await driver.rows(SESSIONS) if row.closed_at is None}
        assert is_open == await recounted(driver)


async def test_an_erased_message_of_a_key_makes_room(driver: StoreDriver) -> None:
    """The counts of the session and of its key shrink by what is erased, and never below zero."""
    await add_key(driver)
    await answer(driver, "question", answer="my answer")
    await answer(driver, "another", answer="another answer")
    [first, _] = await driver.rows(MESSAGES)
    erased = (first.thread_id, [first.id], Interrupted.DELETED)
    await driver.store.run(functools.partial(erasure.erase_messages, now=driver.now), *erased)
    assert await counted(driver) == 2 * ROW_BYTES + len("another") + len("another answer")

    await driver.store.run(stored_bytes.add, first.session_id, -LIMIT)
    assert await counted(driver) == 0
