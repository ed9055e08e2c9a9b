"""Claims: one worker at a time in a thread, its messages in order, late writes refused. On both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bot.domain.sessions import ResetOutcome, StatusReply, StopOutcome
from bot.store import claims
from bot.store.claims import MESSAGES_PER_TURN
from bot.store.settlement import Settlement, TurnState
from bot.store.tables import SESSIONS, THREADS, TURNS
from tests.support.builders import ANA, BEN, THREAD, mention, reply, reset
from tests.support.store_driver import Books, texts


async def test_a_claim_tells_all_that_answering_needs(books: Books) -> None:
    """A claim names the thread, the session, what was said, the newest author and message, and the attempt."""
    thread_id = await books.accepted(mention("hello", "1.0", by=ANA))
    await books.accepted(reply("me too", "2.0", by=BEN))
    claim = await books.claimed(thread_id)

    assert (claim.thread, claim.session_id, claim.author, claim.message_id) == (THREAD, "s1", BEN, "2.0")
    assert [(said.author_id, said.text) for said in claim.utterances] == [("U-ANA", "hello"), ("U-BEN", "me too")]
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
    assert len(await books.rows(TURNS)) == 1


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
    done = Settlement(TurnState.ANSWERED, "hi\0 \ud83d", None, "some-model", 10, 4, 2)
    assert await books.store.run(claims.settle, claim, done, now=books.now)

    [turn] = await books.rows(TURNS)
    assert (turn.state, turn.answer, turn.model, turn.finished_at) == ("answered", "hi ?", "some-model", books.now)
    assert (turn.prompt_tokens, turn.cached_tokens, turn.completion_tokens) == (10, 4, 2)
    assert (await books.rows(SESSIONS))[0].last_active_at == books.now
    assert (await books.rows(THREADS))[0].lease_until is None


async def test_a_turn_is_settled_once(books: Books) -> None:
    """A second settlement changes nothing."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    await books.settle(claim, "first")

    assert not await books.settle(claim, "second")
    assert (await books.rows(TURNS))[0].answer == "first"


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
    [turn] = await books.rows(TURNS)
    assert (turn.answer, turn.postponed) == ("in time", 0)


async def test_a_turn_handed_back_can_be_taken_up_at_once(books: Books) -> None:
    """Nobody has to wait for the lease of a worker that stopped in good order."""
    first = await books.claimed(await books.accepted(mention("hello")))
    await books.store.run(claims.hand_back, first)

    assert (await books.claimed(first.thread_id, "two")).turn_id == first.turn_id


async def test_a_turn_that_was_handed_back_in_good_order_did_not_fail(books: Books) -> None:
    """A worker that has to leave excuses what it could not finish; one that broke over it does not."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    await books.store.run(claims.hand_back, claim)
    claim = await books.claimed(claim.thread_id)
    assert (claim.attempt, claim.failures) == (2, 0)
    await books.store.run(claims.fail_attempt, claim)

    assert (await books.claimed(claim.thread_id)).failures == 1


async def test_whatever_a_backend_calls_its_model_can_be_settled(books: Books) -> None:
    """Its name is as long and as strange as the backend likes; the answer is stored all the same."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    settled = Settlement(TurnState.ANSWERED, "hi", model="m\0\ud83d" + "x" * 1_000)

    assert await books.store.run(claims.settle, claim, settled, now=books.now)
    assert (await books.rows(TURNS))[0].model.startswith("m?x")


async def test_a_turn_takes_a_bounded_number_of_messages(books: Books) -> None:
    """What waits beyond the bound is the turn after; the first to be sent come first, whenever they arrived."""
    for number in reversed(range(MESSAGES_PER_TURN + 1)):
        thread_id = await books.accepted(mention(str(number), f"{number:04}"))
    first = await books.claimed(thread_id)
    await books.settle(first)

    assert len(first.utterances) == MESSAGES_PER_TURN
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


InTurn = tuple[ResetOutcome | StopOutcome | StatusReply | None, str | None, list[str]]


async def claims_in_turn(books: Books) -> list[InTurn]:
    """What is claimed in the first thread, one after the other, until nothing is owed."""
    found = []
    while claim := await books.claim(1):
        found.append((claim.fixed_reply, claim.session_id, texts(claim)))
        await books.settle(claim)
    return found
