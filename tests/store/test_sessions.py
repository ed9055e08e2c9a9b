"""Sessions: reset, listed, kept apart, and at most one open in a thread. On both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot.domain.events import Author
from bot.domain.sessions import Interrupted, OpenSession, ResetOutcome
from bot.errors import StoreUnavailable
from bot.store import leases, sessions
from bot.store.sessions import OPENING_CHARACTERS
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, SESSIONS, TURNS
from tests.support.builders import ANA, BEN, NOON, THREAD, deletion, mention, reply, reset, stop, thread
from tests.support.store_driver import MINUTE, Books, texts

CHLOE = Author("U-CHLOE", "T1")


async def listed(books: Books, who: Author = ANA, *, channel: str = "C1", limit: int = 10) -> list[OpenSession]:
    """Return this person's open sessions."""
    return await books.store.run(sessions.open_for, "desk", "T1", who.id, channel=channel, limit=limit)


async def counted(books: Books, who: Author) -> int:
    """Count this person's open sessions, without the list's limit."""
    return await books.store.run(sessions.count_for, "desk", "T1", who.id, channel="C1")


async def test_a_reset_forgets_and_the_next_message_starts_anew(books: Books) -> None:
    """A reset erases the texts, and the next message opens another session with an empty history."""
    await books.answer(mention("my secret", "1.0"), "I know your secret")
    assert await books.reset(THREAD, ANA) is ResetOutcome.DONE
    after = await books.claimed(await books.accepted(reply("hello", "2.0")))

    assert after.session_id == "s2"
    assert await books.past(after) == []
    assert not after.follows_expired
    assert "secret" not in repr([*await books.rows(MESSAGES), *await books.rows(TURNS)])


async def test_there_may_be_nothing_to_reset(books: Books) -> None:
    """An unknown thread, or one without an open session, has nothing to reset."""
    assert await books.reset(THREAD, ANA) is ResetOutcome.NOTHING
    await books.answer(mention("hello"))
    await books.reset(THREAD, ANA)

    assert await books.reset(THREAD, ANA) is ResetOutcome.NOTHING


async def test_only_those_who_took_part_may_reset(books: Books) -> None:
    """A person who wrote nothing in the session cannot close it; one who did can, also by text."""
    await books.answer(mention("hello", "1.0", by=ANA))
    await books.answer(reply("me too", "2.0", by=BEN))
    assert await books.reset(THREAD, CHLOE) is ResetOutcome.NOT_YOURS
    assert await books.accept_reset(reset("3.0", by=CHLOE)) is ResetOutcome.NOT_YOURS

    assert await books.accept_reset(reset("4.0", by=BEN)) is ResetOutcome.DONE


async def test_part_in_an_earlier_session_of_the_thread_does_not_count(books: Books) -> None:
    """A person who took part only in the previous session cannot reset this one."""
    await books.answer(mention("hello", "1.0", by=ANA))
    await books.reset(THREAD, ANA)
    await books.answer(reply("hello", "2.0", by=BEN))

    assert await books.reset(THREAD, ANA) is ResetOutcome.NOT_YOURS


async def test_a_reset_supersedes_the_running_turn(books: Books) -> None:
    """A turn whose session was closed cannot be settled; its answer is discarded."""
    running = await books.claimed(await books.accepted(mention("hello")))
    await books.reset(THREAD, ANA)

    assert not await books.settle(running, "a late answer")
    [turn] = await books.rows(TURNS)
    assert (turn.state, turn.answer) == (TurnState.SUPERSEDED.value, None)
    assert (await books.rows(SESSIONS))[0].closed_why == "reset"


async def test_after_a_late_settlement_the_thread_is_free(books: Books) -> None:
    """The superseded turn's worker releases the thread, so that the reset is confirmed."""
    running = await books.claimed(await books.accepted(mention("hello", "1.0")))
    await books.accept_reset(reset("2.0"))
    await books.settle(running)

    assert (await books.claimed(running.thread_id)).fixed_reply is ResetOutcome.DONE


async def test_what_waits_when_its_session_is_reset_is_owed_no_more(books: Books) -> None:
    """Waiting messages of the closed session are dropped; later ones are answered."""
    thread_id = await books.accepted(mention("forget me", "1.0"))
    await books.reset(THREAD, ANA)
    assert await books.claim(thread_id) is None
    await books.accepted(reply("hello", "2.0"))

    assert texts(await books.claimed(thread_id)) == ["hello"]


async def test_a_reset_is_accepted_once(books: Books) -> None:
    """A redelivered `!reset` does not close the next session."""
    await books.answer(mention("hello", "1.0"))
    assert await books.accept_reset(reset("2.0")) is ResetOutcome.DONE
    await books.answer(reply("hello again", "3.0"))

    assert await books.accept_reset(reset("2.0")) is None
    assert (await books.rows(SESSIONS))[1].closed_at is None


@pytest.mark.parametrize("late", ["waits", "runs", "answered"])
async def test_what_was_written_after_a_reset_but_arrived_before_it_starts_the_next_session(
    books: Books, late: str
) -> None:
    """Messages written after the reset are answered in a new session with an empty history."""
    await books.answer(mention("my secret", "1.0"))
    claim = await books.claimed(await books.accepted(reply("hello", "3.0"))) if late != "waits" else None
    if claim is None:
        await books.accepted(reply("hello", "3.0"))
    elif late == "answered":
        await books.settle(claim, "hi")
    assert await books.accept_reset(reset("2.0")) is ResetOutcome.DONE
    if claim is not None and late == "runs":
        assert await books.store.run(leases.interruptions, "one") == []
        assert await books.settle(claim, "hi")
    await books.settle(await books.claimed(1))  # the confirmation
    if claim is None:
        await books.settle(await books.claimed(1), "hi")
    now = await books.claimed(await books.accepted(reply("thanks", "4.0")))

    assert [(turn.messages[0].text, turn.answer) for turn in await books.past(now)] == [("hello", "hi")]
    assert [row.closed_why for row in await books.rows(SESSIONS)] == ["reset", None]
    assert "secret" not in repr(await books.rows(MESSAGES))


@pytest.mark.parametrize("late", ["runs", "answered"])
async def test_what_was_written_before_a_reset_leaves_the_turn_it_shares_with_what_came_after_it(
    books: Books, late: str
) -> None:
    """A turn with messages from before and after a late reset restarts with the later ones; the others are erased."""
    await books.answer(mention("hello", "1.0", by=BEN))
    await books.accepted(reply("my secret", "2.0", by=ANA))
    claim = await books.claimed(await books.accepted(reply("by the way", "4.0", by=BEN)))
    if late == "answered":
        await books.settle(claim, "noted: secret")
    assert await books.accept_reset(reset("3.0", by=ANA)) is ResetOutcome.DONE
    if late == "runs":
        assert [why for *_, why in await books.store.run(leases.interruptions, "one")] == [Interrupted.EDITED]
        claim = await books.taken_over(claim)
        assert [said.text for said in claim.utterances] == ["by the way"]
        await books.settle(claim, "hi")
    await books.settle(await books.claimed(1))  # the confirmation
    now = await books.claimed(await books.accepted(reply("thanks", "5.0")))

    assert [said.text for turn in await books.past(now) for said in turn.messages] == ["by the way"]
    assert "secret" not in repr(await books.rows(MESSAGES)) + repr([row.answer for row in await books.rows(TURNS)])


async def test_a_late_reset_that_is_refused_changes_nothing(books: Books) -> None:
    """A person who took no part before the reset cannot reset; the later messages are put back."""
    await books.answer(mention("hello", "1.0", by=ANA), "hi")
    await books.answer(reply("me too", "3.0", by=BEN), "hi both")
    assert await books.accept_reset(reset("2.0", by=BEN)) is ResetOutcome.NOT_YOURS
    await books.settle(await books.claimed(1))
    now = await books.claimed(await books.accepted(reply("thanks", "4.0")))

    assert [turn.answer for turn in await books.past(now)] == ["hi", "hi both"]
    assert {row.id for row in await books.rows(SESSIONS)} == {"s1"}


async def test_a_late_reset_where_nothing_was_said_before_it_finds_nothing(books: Books) -> None:
    """If all messages were written after the reset, the session stays, whoever asked."""
    await books.answer(mention("hello", "3.0", by=ANA), "hi")

    assert await books.accept_reset(reset("2.0", by=BEN)) is ResetOutcome.NOTHING
    await books.settle(await books.claimed(1))
    now = await books.claimed(await books.accepted(reply("thanks", "4.0")))
    assert [turn.answer for turn in await books.past(now)] == ["hi"]


async def test_a_reset_of_one_thread_leaves_the_others_alone(books: Books) -> None:
    """One person's two threads are two sessions."""
    await books.answer(mention("one", in_=thread(1)))
    other = await books.answer(mention("two", in_=thread(2)))
    await books.reset(thread(1), ANA)
    await books.accepted(reply("still there?", "2.0", in_=thread(2)))

    assert [turn.messages[0].text for turn in await books.past(await books.claimed(other.thread_id))] == ["two"]


async def test_a_second_open_session_is_refused_by_the_database(books: Books) -> None:
    """A unique index allows one open session in a thread."""
    thread_id = await books.accepted(mention("hello"))
    row = {
        "id": "other",
        "thread_id": thread_id,
        "opened_at": NOON,
        "last_active_at": NOON,
        "follows_expired": False,
    }

    with pytest.raises(StoreUnavailable, match=r"IntegrityError|UniqueViolation"):
        await books.store.run(lambda connection: connection.execute(sa.insert(SESSIONS).values(row)))
    await books.reset(THREAD, ANA)
    await books.store.run(lambda connection: connection.execute(sa.insert(SESSIONS).values(row)))


async def test_a_second_running_turn_is_refused_by_the_database(books: Books) -> None:
    """A unique index allows one running turn in a thread."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    row = {"thread_id": claim.thread_id, "attempt": 1, "state": "running", "started_at": NOON}

    with pytest.raises(StoreUnavailable, match=r"IntegrityError|UniqueViolation"):
        await books.store.run(lambda connection: connection.execute(sa.insert(TURNS).values(row)))


async def test_a_persons_open_sessions_are_listed(books: Books) -> None:
    """The list has the latest activity first, with thread, times, turns and opening words, without closed sessions."""
    for number in (1, 2, 3):
        await books.answer(mention(f"question {number} " + "x" * 100, in_=thread(number)))
        books.now += MINUTE
    await books.reset(thread(2), ANA)

    first, second = await listed(books)
    assert (first.thread, second.thread) == (thread(3), thread(1))
    assert (first.turns, first.opened_at, first.last_active_at) == (1, NOON + 2 * MINUTE, NOON + 2 * MINUTE)
    assert first.opening == ("question 3 " + "x" * 100)[:OPENING_CHARACTERS]


async def test_the_turns_of_a_session_are_those_of_which_something_is_left(books: Books) -> None:
    """Waiting, running, deleted and superseded turns are not counted."""
    await books.answer(mention("one", "1.0"))
    await books.answer(reply("two", "2.0"))
    await books.accepted(reply("never mind", "3.0"))
    await books.accept_deletion(deletion("3.0"))
    await books.answer(reply("gone", "4.0"))
    await books.accept_deletion(deletion("4.0"))
    await books.accepted(reply("not yet", "5.0"))
    await books.accept_stop(stop("6.0", by=ANA))
    await books.settle(await books.claimed(1), "told")
    await books.claimed(await books.accepted(reply("now", "7.0")))
    await books.accepted(reply("waits", "8.0"))

    [session] = await listed(books)
    assert session.turns == 3  # including the stopped one


async def test_a_list_holds_only_the_persons_own_of_that_channel(books: Books) -> None:
    """Sessions of other people, channels, workspaces and platforms are not listed, and the list is limited."""
    places = [thread(1), thread(2), THREAD.__class__("desk", "T1", "C2", "1.0")]
    foreign = [THREAD.__class__("desk", "T2", "C1", "1.0"), THREAD.__class__("other", "T1", "C1", "1.0")]
    for place in [*places, *foreign]:
        await books.accepted(mention("hello", in_=place))
    await books.accepted(mention("hello", by=BEN, in_=thread(9)))

    assert {session.thread for session in await listed(books)} == set(places[:2])
    assert {session.thread for session in await listed(books, channel="C2")} == set(places[2:])
    assert len(await listed(books, limit=1)) == 1
    assert [await counted(books, who) for who in (ANA, BEN, CHLOE)] == [2, 1, 0]
    assert await listed(books, CHLOE) == []


async def test_the_operators_list_holds_everybodys(books: Books) -> None:
    """The list has all people's open sessions, latest activity first, and is limited."""
    for number, who in enumerate((ANA, BEN, CHLOE)):
        await books.accepted(mention("hello", by=who, in_=thread(number)))
        books.now += timedelta(seconds=1)
    listed_sessions = await books.store.run(sessions.newest, limit=2)

    assert [session.thread for session in listed_sessions] == [thread(2), thread(1)]


async def test_an_open_session_knows_its_thread(books: Books) -> None:
    """An open session's thread is found by its id."""
    await books.accepted(mention("hello"))
    assert await books.store.run(sessions.thread_of, "s1") == THREAD
    await books.reset(THREAD, ANA)

    assert await books.store.run(sessions.thread_of, "s1") is None
