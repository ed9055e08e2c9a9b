"""Claims: one worker at a time in a thread, its messages in order, late writes refused. On both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bot.sessions import ResetOutcome, StopOutcome
from bot.store import claims, leases
from bot.store.claims import MESSAGES_PER_TURN, Settled, State
from bot.store.engine import Store
from bot.store.leases import Owed
from bot.store.tables import sessions, threads, turns
from bot.testing import SettableClock
from tests.books import MINUTE, Books, texts
from tests.builders import ANA, BEN, DAY, THREAD, mention, reply, reset, thread

HERE = ("desk", "T1")


async def owed(books: Books, *places: tuple[str, str], limit: int = 100) -> list[int]:
    """The threads that a worker of these platforms and workspaces finds."""
    found = await books.store.run(leases.owed, places or [HERE], now=books.now, limit=limit)
    return [each.thread_id for each in found]


async def test_a_claim_tells_all_that_answering_needs(books: Books) -> None:
    """A claim names the thread, the session, what was said, the newest author and message, and the attempt."""
    thread_id = await books.accepted(mention("hello", "1.0", by=ANA))
    await books.accepted(reply("me too", "2.0", by=BEN))
    claim = await books.claimed(thread_id)

    assert (claim.thread, claim.session_id, claim.author, claim.message_id) == (THREAD, "s1", BEN, "2.0")
    assert [(said.author_id, said.text) for said in claim.said] == [("U-ANA", "hello"), ("U-BEN", "me too")]
    assert (claim.attempt, claim.fixed_reply, claim.follows_expired) == (1, None, False)


async def test_messages_are_answered_in_the_order_of_their_ids(books: Books) -> None:
    """The order of sending counts, not the order of arrival."""
    for message_id in ("3.0", "1.0", "2.0"):
        thread_id = await books.accepted(mention(message_id, message_id))

    assert texts(await books.claimed(thread_id)) == ["1.0", "2.0", "3.0"]


async def test_a_claimed_thread_cannot_be_claimed(books: Books) -> None:
    """While the lease runs, nobody else may answer there, not even about a newer message."""
    thread_id = await books.accepted(mention("hello"))
    await books.claimed(thread_id)
    await books.accepted(reply("more", "2.0"))

    assert await books.claim(thread_id, "two") is None
    assert await books.claim(thread_id, "one") is None


async def test_many_claims_at_once_have_one_winner(books: Books) -> None:
    """Of many workers at the same moment, exactly one gets the thread."""
    thread_id = await books.accepted(mention("hello"))
    found = await asyncio.gather(*(books.claim(thread_id, f"worker {number}") for number in range(20)))

    assert len([claim for claim in found if claim is not None]) == 1
    assert len(await books.rows(turns)) == 1


async def test_what_arrives_during_a_turn_is_the_next_turn(books: Books) -> None:
    """Messages accepted while a turn runs wait, and are then answered together."""
    first = await books.claimed(await books.accepted(mention("one", "1.0")))
    await books.accepted(reply("two", "2.0"))
    await books.accepted(reply("three", "3.0"))
    await books.settle(first)

    assert texts(await books.claimed(first.thread_id)) == ["two", "three"]


async def test_a_thread_owed_nothing_cannot_be_claimed_and_stays_free(books: Books) -> None:
    """A claim in vain leaves no lease behind: the next message can be claimed at once."""
    claim = await books.answer(mention("one", "1.0"))
    assert await books.claim(claim.thread_id) is None
    await books.accepted(reply("two", "2.0"))

    assert await books.claim(claim.thread_id, "two") is not None


async def test_settling_stores_the_answer_and_releases_the_lease(books: Books) -> None:
    """Answer, usage and times are kept, the session was active now, and the thread is free."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    books.now += timedelta(seconds=30)
    done = Settled(State.ANSWERED, "hi\0 \ud83d", None, "some-model", 10, 4, 2)
    assert await books.store.run(claims.settle, claim, done, now=books.now)

    [turn] = await books.rows(turns)
    assert (turn.state, turn.answer, turn.model, turn.finished_at) == ("answered", "hi ?", "some-model", books.now)
    assert (turn.prompt_tokens, turn.cached_tokens, turn.completion_tokens) == (10, 4, 2)
    assert (await books.rows(sessions))[0].last_active_at == books.now
    assert (await books.rows(threads))[0].lease_until is None


async def test_a_turn_is_settled_once(books: Books) -> None:
    """A second settlement changes nothing."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    await books.settle(claim, "first")

    assert not await books.settle(claim, "second")
    assert (await books.rows(turns))[0].answer == "first"


async def test_a_lease_that_ran_out_is_taken_over_as_the_next_attempt(books: Books) -> None:
    """When a worker dies, another gets the same turn with the same messages."""
    first = await books.claimed(await books.accepted(mention("hello")))
    await books.accepted(reply("anybody?", "2.0"))
    second = await books.taken_over(first)

    assert (second.turn_id, second.attempt, second.failures, texts(second)) == (first.turn_id, 2, 1, ["hello"])
    assert second.fence > first.fence


async def test_a_late_worker_can_neither_settle_nor_postpone_nor_free_the_thread(books: Books) -> None:
    """Whoever lost the lease can no longer write: the fence is newer."""
    late = await books.claimed(await books.accepted(mention("hello")))
    current = await books.taken_over(late)
    await books.store.run(claims.hand_back, late)
    await books.store.run(claims.postpone, late, now=books.now, pause=timedelta())

    assert not await books.settle(late, "late")
    assert await books.claim(late.thread_id, "three") is None
    assert await books.settle(current, "in time")
    [turn] = await books.rows(turns)
    assert (turn.answer, turn.postponed) == ("in time", 0)


async def test_a_turn_handed_back_can_be_taken_up_at_once(books: Books) -> None:
    """Nobody has to wait for the lease of a worker that stopped in good order."""
    first = await books.claimed(await books.accepted(mention("hello")))
    await books.store.run(claims.hand_back, first)

    assert (await books.claimed(first.thread_id, "two")).turn_id == first.turn_id


async def renewed(books: Books, owner: str, *thread_ids: int) -> set[int]:
    """The leases that this owner could prolong."""
    return await books.store.run(leases.renew, owner, thread_ids, now=books.now, lease=MINUTE)


async def test_a_turn_that_was_handed_back_in_good_order_did_not_fail(books: Books) -> None:
    """A worker that has to leave excuses what it could not finish; one that broke over it does not."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    await books.store.run(claims.hand_back, claim, excused=True)
    claim = await books.claimed(claim.thread_id)
    assert (claim.attempt, claim.failures) == (2, 0)
    await books.store.run(claims.hand_back, claim)

    assert (await books.claimed(claim.thread_id)).failures == 1


async def test_whatever_a_backend_calls_its_model_can_be_settled(books: Books) -> None:
    """Its name is as long and as strange as the backend likes; the answer is stored all the same."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    settled = Settled(State.ANSWERED, "hi", model="m\0\ud83d" + "x" * 1_000)

    assert await books.store.run(claims.settle, claim, settled, now=books.now)
    assert (await books.rows(turns))[0].model.startswith("m?x")


async def test_a_renewed_lease_lasts(books: Books) -> None:
    """A lease that ran out, but that nobody took over yet, is as good as new when it is renewed."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    await books.lapse()
    assert await renewed(books, "one", claim.thread_id) == {claim.thread_id}

    assert await books.claim(claim.thread_id, "two") is None


async def test_only_a_lease_of_ones_own_can_be_renewed(books: Books) -> None:
    """Neither somebody else's, nor one that was taken over or given up, nor one of a thread that is not named."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    assert await renewed(books, "two", claim.thread_id) == set()
    assert await renewed(books, "one") == set()
    current = await books.taken_over(claim)
    assert await renewed(books, "one", claim.thread_id) == set()
    await books.settle(current)

    assert await renewed(books, "two", claim.thread_id) == set()


async def test_replicas_whose_clocks_differ_share_leases_on_postgresql(
    empty_postgres_url: str, clock: SettableClock
) -> None:
    """There a lease begins and ends by the database's clock, whatever a worker believes the time to be."""
    books = Books(Store(empty_postgres_url), clock)
    claim = await books.claimed(await books.accepted(mention("hello")))
    books.now += DAY
    assert await books.claim(claim.thread_id, "two") is None
    books.now -= 2 * DAY
    assert await renewed(books, "one", claim.thread_id) == {claim.thread_id}

    assert await books.claim(claim.thread_id, "two") is None
    assert await owed(books) == []
    await books.store.close()


async def test_a_lease_runs_out_by_itself_on_sqlite(empty_sqlite_url: str, clock: SettableClock) -> None:
    """There all processes share the machine's clock."""
    books = Books(Store(empty_sqlite_url), clock)
    claim = await books.claimed(await books.accepted(mention("hello")))
    books.now += MINUTE
    assert await books.claim(claim.thread_id, "two") is None
    books.now += timedelta(microseconds=1)

    assert await books.claim(claim.thread_id, "two") is not None
    await books.store.close()


async def test_a_lease_runs_out_by_itself_on_postgresql(empty_postgres_url: str, clock: SettableClock) -> None:
    """There it is the database that lets time pass."""
    books = Books(Store(empty_postgres_url), clock)
    thread_id = await books.accepted(mention("hello"))
    first = await books.store.run(claims.claim, thread_id, owner="one", now=books.now, lease=timedelta())

    assert first is not None
    assert await books.claim(thread_id, "two") is not None
    await books.store.close()


async def test_a_postponed_turn_rests_and_is_no_failure(books: Books) -> None:
    """Nobody takes it up before the pause is over; however often it was postponed, no attempt of it failed."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    for _ in range(4):
        await books.store.run(claims.postpone, claim, now=books.now, pause=MINUTE)
        assert await books.claim(claim.thread_id, "two") is None
        assert await owed(books) == []
        claim = await books.taken_over(claim)

    assert (claim.attempt, claim.failures) == (5, 0)


async def test_what_waits_is_found(books: Books) -> None:
    """A look finds threads with waiting messages and with turns left behind, but none that somebody holds."""
    waiting = await books.accepted(mention("hello", in_=thread(1)))
    held = await books.claimed(await books.accepted(mention("hello", in_=thread(2))))
    await books.answer(mention("hello", in_=thread(3)))
    assert await owed(books) == [waiting]
    await books.lapse()

    assert sorted(await owed(books)) == sorted([waiting, held.thread_id])


async def test_what_is_found_tells_for_whom(books: Books) -> None:
    """The workspace and a person, so that the line can be fair; the longest waiting first."""
    await books.accepted(mention("hello", by=BEN, in_=thread(2)))
    await books.accepted(mention("hello", by=ANA, in_=thread(1)))
    found = await books.store.run(leases.owed, [HERE], now=books.now, limit=10)

    assert found == [Owed(1, "T1", "U-BEN"), Owed(2, "T1", "U-ANA")]


async def test_a_look_is_bounded_and_finds_only_what_the_worker_can_answer(books: Books) -> None:
    """Neither a terminal's worker nor another workspace's takes these threads, and nobody takes everything at once."""
    for number in range(5):
        await books.accepted(mention("hello", in_=thread(number)))

    assert len(await owed(books, HERE, ("other", "T2"), limit=3)) == 3
    assert await owed(books, ("other", "T1"), ("desk", "T2")) == []


async def test_a_turn_takes_a_bounded_number_of_messages(books: Books) -> None:
    """What waits beyond the bound is the turn after; the first to be sent come first, whenever they arrived."""
    for number in reversed(range(MESSAGES_PER_TURN + 1)):
        thread_id = await books.accepted(mention(str(number), f"{number:04}"))
    first = await books.claimed(thread_id)
    await books.settle(first)

    assert len(first.said) == MESSAGES_PER_TURN
    assert texts(await books.claimed(thread_id)) == [str(MESSAGES_PER_TURN)]


async def test_a_fixed_reply_is_a_turn_of_its_own_and_in_its_place(books: Books) -> None:
    """What somebody asked for in vain among messages is answered between them, alone, and not by the model."""
    await books.accepted(mention("one", "1.0", by=ANA))
    await books.accept_reset(reset("2.0", by=BEN))
    await books.accepted(reply("three", "3.0"))

    messages: list[InTurn] = [(None, "s1", ["one"]), (None, "s1", ["three"])]
    refused: InTurn = (ResetOutcome.NOT_YOURS, None, [])
    assert await claims_in_turn(books) == [messages[0], refused, messages[1]]


async def test_after_a_reset_its_confirmation_comes_first(books: Books) -> None:
    """What was closed is owed no answer, but whoever closed it is; then the new session goes on."""
    await books.accepted(mention("one", "1.0"))
    await books.accept_reset(reset("2.0"))
    await books.accept_reset(reset("3.0"))
    await books.accepted(reply("four", "4.0"))

    confirmed: list[InTurn] = [(ResetOutcome.DONE, None, []), (ResetOutcome.NOTHING, None, [])]
    assert await claims_in_turn(books) == [*confirmed, (None, "s2", ["four"])]


InTurn = tuple[ResetOutcome | StopOutcome | None, str | None, list[str]]


async def claims_in_turn(books: Books) -> list[InTurn]:
    """What is claimed in the first thread, one after the other, until nothing is owed."""
    found = []
    while claim := await books.claim(1):
        found.append((claim.fixed_reply, claim.session_id, texts(claim)))
        await books.settle(claim)
    return found
