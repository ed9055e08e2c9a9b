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
from tests.support.store_driver import MINUTE, StoreDriver, texts

CHLOE = Author("U-CHLOE", "T1")


async def listed(driver: StoreDriver, who: Author = ANA, *, channel: str = "C1", limit: int = 10) -> list[OpenSession]:
    """Return this person's open sessions."""
    return await driver.store.run(sessions.open_for, "chat", "T1", who.id, channel=channel, limit=limit)


async def counted(driver: StoreDriver, who: Author) -> int:
    """Count this person's open sessions, without the list's limit."""
    return await driver.store.run(sessions.count_for, "chat", "T1", who.id, channel="C1")


async def test_a_reset_forgets_and_the_next_message_starts_anew(driver: StoreDriver) -> None:
    """A reset erases the texts, and the next message opens another session with an empty history."""
    await driver.answer(mention("my secret", "1.0"), "I know your secret")
    assert await driver.reset(THREAD, ANA) is ResetOutcome.DONE
    after = await driver.claimed(await driver.accepted(reply("hello", "2.0")))

    assert after.session_id == "s2"
    assert await driver.past(after) == []
    assert not after.follows_expired
    assert "secret" not in repr([*await driver.rows(MESSAGES), *await driver.rows(TURNS)])


async def test_there_may_be_nothing_to_reset(driver: StoreDriver) -> None:
    """An unknown thread, or one without an open session, has nothing to reset."""
    assert await driver.reset(THREAD, ANA) is ResetOutcome.NOTHING
    await driver.answer(mention("hello"))
    await driver.reset(THREAD, ANA)

    assert await driver.reset(THREAD, ANA) is ResetOutcome.NOTHING


async def test_only_those_who_took_part_may_reset(driver: StoreDriver) -> None:
    """A person who wrote nothing in the session cannot close it; one who did can, also by text."""
    await driver.answer(mention("hello", "1.0", by=ANA))
    await driver.answer(reply("me too", "2.0", by=BEN))
    assert await driver.reset(THREAD, CHLOE) is ResetOutcome.NOT_YOURS
    assert await driver.accept_reset(reset("3.0", by=CHLOE)) is ResetOutcome.NOT_YOURS

    assert await driver.accept_reset(reset("4.0", by=BEN)) is ResetOutcome.DONE


async def test_part_in_an_earlier_session_of_the_thread_does_not_count(driver: StoreDriver) -> None:
    """A person who took part only in the previous session cannot reset this one."""
    await driver.answer(mention("hello", "1.0", by=ANA))
    await driver.reset(THREAD, ANA)
    await driver.answer(reply("hello", "2.0", by=BEN))

    assert await driver.reset(THREAD, ANA) is ResetOutcome.NOT_YOURS


async def test_a_reset_supersedes_the_running_turn(driver: StoreDriver) -> None:
    """A turn whose session was closed cannot be settled; its answer is discarded."""
    running = await driver.claimed(await driver.accepted(mention("hello")))
    await driver.reset(THREAD, ANA)

    assert not await driver.settle(running, "a late answer")
    [turn] = await driver.rows(TURNS)
    assert (turn.state, turn.answer) == (TurnState.SUPERSEDED.value, None)
    assert (await driver.rows(SESSIONS))[0].closed_why == "reset"


async def test_after_a_late_settlement_the_thread_is_free(driver: StoreDriver) -> None:
    """The superseded turn's worker releases the thread, so that the reset is confirmed."""
    running = await driver.claimed(await driver.accepted(mention("hello", "1.0")))
    await driver.accept_reset(reset("2.0"))
    await driver.settle(running)

    assert (await driver.claimed(running.thread_id)).fixed_reply is ResetOutcome.DONE


async def test_what_waits_when_its_session_is_reset_is_owed_no_more(driver: StoreDriver) -> None:
    """Waiting messages of the closed session are dropped; later ones are answered."""
    thread_id = await driver.accepted(mention("forget me", "1.0"))
    await driver.reset(THREAD, ANA)
    assert await driver.claim(thread_id) is None
    await driver.accepted(reply("hello", "2.0"))

    assert texts(await driver.claimed(thread_id)) == ["hello"]


async def test_a_reset_is_accepted_once(driver: StoreDriver) -> None:
    """A redelivered `!reset` does not close the next session."""
    await driver.answer(mention("hello", "1.0"))
    assert await driver.accept_reset(reset("2.0")) is ResetOutcome.DONE
    await driver.answer(reply("hello again", "3.0"))

    assert await driver.accept_reset(reset("2.0")) is None
    assert (await driver.rows(SESSIONS))[1].closed_at is None


@pytest.mark.parametrize("late", ["waits", "runs", "answered"])
async def test_what_was_written_after_a_reset_but_arrived_before_it_starts_the_next_session(
    driver: StoreDriver, late: str
) -> None:
    """Messages written after the reset are answered in a new session with an empty history."""
    await driver.answer(mention("my secret", "1.0"))
    claim = await driver.claimed(await driver.accepted(reply("hello", "3.0"))) if late != "waits" else None
    if claim is None:
        await driver.accepted(reply("hello", "3.0"))
    elif late == "answered":
        await driver.settle(claim, "hi")
    assert await driver.accept_reset(reset("2.0")) is ResetOutcome.DONE
    if claim is not None and late == "runs":
        assert await driver.store.run(leases.interruptions, "one") == []
        assert await driver.settle(claim, "hi")
    await driver.settle(await driver.claimed(1))  # the confirmation
    if claim is None:
        await driver.settle(await driver.claimed(1), "hi")
    now = await driver.claimed(await driver.accepted(reply("thanks", "4.0")))

    assert [(turn.messages[0].text, turn.answer) for turn in await driver.past(now)] == [("hello", "hi")]
    assert [row.closed_why for row in await driver.rows(SESSIONS)] == ["reset", None]
    assert "secret" not in repr(await driver.rows(MESSAGES))


@pytest.mark.parametrize("late", ["runs", "answered"])
async def test_what_was_written_before_a_reset_leaves_the_turn_it_shares_with_what_came_after_it(
    driver: StoreDriver, late: str
) -> None:
    """A turn with messages from before and after a late reset restarts with the later ones; the others are erased."""
    await driver.answer(mention("hello", "1.0", by=BEN))
    await driver.accepted(reply("my secret", "2.0", by=ANA))
    claim = await driver.claimed(await driver.accepted(reply("by the way", "4.0", by=BEN)))
    if late == "answered":
        await driver.settle(claim, "noted: secret")
    assert await driver.accept_reset(reset("3.0", by=ANA)) is ResetOutcome.DONE
    if late == "runs":
        assert [why for *_, why in await driver.store.run(leases.interruptions, "one")] == [Interrupted.EDITED]
        claim = await driver.taken_over(claim)
        assert [message.text for message in claim.utterances] == ["by the way"]
        await driver.settle(claim, "hi")
    await driver.settle(await driver.claimed(1))  # the confirmation
    now = await driver.claimed(await driver.accepted(reply("thanks", "5.0")))

    assert [message.text for turn in await driver.past(now) for message in turn.messages] == ["by the way"]
    assert "secret" not in repr(await driver.rows(MESSAGES)) + repr([row.answer for row in await driver.rows(TURNS)])


async def test_a_late_reset_that_is_refused_changes_nothing(driver: StoreDriver) -> None:
    """A person who took no part before the reset cannot reset; the later messages are put back."""
    await driver.answer(mention("hello", "1.0", by=ANA), "hi")
    await driver.answer(reply("me too", "3.0", by=BEN), "hi both")
    assert await driver.accept_reset(reset("2.0", by=BEN)) is ResetOutcome.NOT_YOURS
    await driver.settle(await driver.claimed(1))
    now = await driver.claimed(await driver.accepted(reply("thanks", "4.0")))

    assert [turn.answer for turn in await driver.past(now)] == ["hi", "hi both"]
    assert {row.id for row in await driver.rows(SESSIONS)} == {"s1"}


async def test_a_late_reset_where_nothing_was_said_before_it_finds_nothing(driver: StoreDriver) -> None:
    """If all messages were written after the reset, the session stays, whoever asked."""
    await driver.answer(mention("hello", "3.0", by=ANA), "hi")

    assert await driver.accept_reset(reset("2.0", by=BEN)) is ResetOutcome.NOTHING
    await driver.settle(await driver.claimed(1))
    now = await driver.claimed(await driver.accepted(reply("thanks", "4.0")))
    assert [turn.answer for turn in await driver.past(now)] == ["hi"]


async def test_a_reset_of_one_thread_leaves_the_others_alone(driver: StoreDriver) -> None:
    """One person's two threads are two sessions."""
    await driver.answer(mention("one", in_=thread(1)))
    other = await driver.answer(mention("two", in_=thread(2)))
    await driver.reset(thread(1), ANA)
    await driver.accepted(reply("still there?", "2.0", in_=thread(2)))

    assert [turn.messages[0].text for turn in await driver.past(await driver.claimed(other.thread_id))] == ["two"]


async def test_a_second_open_session_is_refused_by_the_database(driver: StoreDriver) -> None:
    """A unique index allows one open session in a thread."""
    thread_id = await driver.accepted(mention("hello"))
    row = {
        "id": "other",
        "thread_id": thread_id,
        "opened_at": NOON,
        "last_active_at": NOON,
        "follows_expired": False,
    }

    with pytest.raises(StoreUnavailable, match=r"IntegrityError|UniqueViolation"):
        await driver.store.run(lambda connection: connection.execute(sa.insert(SESSIONS).values(row)))
    await driver.reset(THREAD, ANA)
    await driver.store.run(lambda connection: connection.execute(sa.insert(SESSIONS).values(row)))


async def test_a_second_running_turn_is_refused_by_the_database(driver: StoreDriver) -> None:
    """A unique index allows one running turn in a thread."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    row = {"thread_id": claim.thread_id, "attempt": 1, "state": "running", "started_at": NOON}

    with pytest.raises(StoreUnavailable, match=r"IntegrityError|UniqueViolation"):
        await driver.store.run(lambda connection: connection.execute(sa.insert(TURNS).values(row)))


async def test_a_persons_open_sessions_are_listed(driver: StoreDriver) -> None:
    """The list has the latest activity first, with thread, times, turns and opening words, without closed sessions."""
    for number in (1, 2, 3):
        await driver.answer(mention(f"question {number} " + "x" * 100, in_=thread(number)))
        driver.now += MINUTE
    await driver.reset(thread(2), ANA)

    first, second = await listed(driver)
    assert (first.thread, second.thread) == (thread(3), thread(1))
    assert (first.turns, first.opened_at, first.last_active_at) == (1, NOON + 2 * MINUTE, NOON + 2 * MINUTE)
    assert first.opening == ("question 3 " + "x" * 100)[:OPENING_CHARACTERS]


async def test_the_turns_of_a_session_are_those_of_which_something_is_left(driver: StoreDriver) -> None:
    """Waiting, running, deleted and superseded turns are not counted."""
    await driver.answer(mention("one", "1.0"))
    await driver.answer(reply("two", "2.0"))
    await driver.accepted(reply("never mind", "3.0"))
    await driver.accept_deletion(deletion("3.0"))
    await driver.answer(reply("gone", "4.0"))
    await driver.accept_deletion(deletion("4.0"))
    await driver.accepted(reply("not yet", "5.0"))
    await driver.accept_stop(stop("6.0", by=ANA))
    await driver.settle(await driver.claimed(1), "confirmed")
    await driver.claimed(await driver.accepted(reply("now", "7.0")))
    await driver.accepted(reply("waits", "8.0"))

    [session] = await listed(driver)
    assert session.turns == 3  # including the stopped one


async def test_a_list_holds_only_the_persons_own_of_that_channel(driver: StoreDriver) -> None:
    """Sessions of other people, channels, workspaces and platforms are not listed, and the list is limited."""
    places = [thread(1), thread(2), THREAD.__class__("chat", "T1", "C2", "1.0")]
    foreign = [THREAD.__class__("chat", "T2", "C1", "1.0"), THREAD.__class__("other", "T1", "C1", "1.0")]
    for place in [*places, *foreign]:
        await driver.accepted(mention("hello", in_=place))
    await driver.accepted(mention("hello", by=BEN, in_=thread(9)))

    assert {session.thread for session in await listed(driver)} == set(places[:2])
    assert {session.thread for session in await listed(driver, channel="C2")} == set(places[2:])
    assert len(await listed(driver, limit=1)) == 1
    assert [await counted(driver, who) for who in (ANA, BEN, CHLOE)] == [2, 1, 0]
    assert await listed(driver, CHLOE) == []


async def test_the_operators_list_holds_everybodys(driver: StoreDriver) -> None:
    """The list has all people's open sessions, latest activity first, and is limited."""
    for number, who in enumerate((ANA, BEN, CHLOE)):
        await driver.accepted(mention("hello", by=who, in_=thread(number)))
        driver.now += timedelta(seconds=1)
    listed_sessions = await driver.store.run(sessions.newest, limit=2)

    assert [session.thread for session in listed_sessions] == [thread(2), thread(1)]


async def test_an_open_session_knows_its_thread(driver: StoreDriver) -> None:
    """An open session's thread is found by its id."""
    await driver.accepted(mention("hello"))
    assert await driver.store.run(sessions.thread_of, "s1") == THREAD
    await driver.reset(THREAD, ANA)

    assert await driver.store.run(sessions.thread_of, "s1") is None
