"""Claims: one worker at a time in a thread, messages in order, late writes refused. On both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import sqlalchemy as sa

from bot.domain.sessions import ResetOutcome, StatusReply
from bot.store import claims
from bot.store.claims import MESSAGES_PER_TURN
from bot.store.fixed_replies import FixedReply
from bot.store.settlement import Settlement, TurnState
from bot.store.tables import MESSAGES, SESSIONS, THREADS, TURNS
from tests.support.builders import ANA, BEN, THREAD, mention, reply, reset
from tests.support.store_driver import StoreDriver, texts


async def test_a_claim_has_all_that_answering_needs(driver: StoreDriver) -> None:
    """A claim has the thread, the session, the messages, the newest author and message, and the attempt."""
    thread_id = await driver.accepted(mention("hello", "1.0", by=ANA))
    await driver.accepted(reply("me too", "2.0", by=BEN))
    claim = await driver.claimed(thread_id)

    assert (claim.thread, claim.session_id, claim.author, claim.message_id) == (THREAD, "s1", BEN, "2.0")
    assert [(message.author_id, message.text) for message in claim.utterances] == [
        ("U-ANA", "hello"),
        ("U-BEN", "me too"),
    ]
    assert (claim.attempt, claim.fixed_reply, claim.follows_expired) == (1, None, False)


async def test_messages_are_answered_in_the_order_of_their_ids(driver: StoreDriver) -> None:
    """Messages are in the order of sending, not of arrival."""
    for message_id in ("3.0", "1.0", "2.0"):
        thread_id = await driver.accepted(mention(message_id, message_id))

    assert texts(await driver.claimed(thread_id)) == ["1.0", "2.0", "3.0"]


async def test_a_command_of_a_newer_version_is_claimed(driver: StoreDriver) -> None:
    """During a rolling deploy, a row may hold an outcome that only the next version knows. It gets a reply, too."""
    await driver.accepted(mention("hello"))
    await driver.accept_reset(reset("2.0"))
    await driver.store.run(lambda connection: connection.execute(sa.update(MESSAGES).values(fixed_reply="of_tomorrow")))

    assert (await driver.claimed(1)).fixed_reply is StatusReply.UNKNOWN


async def test_a_claimed_thread_cannot_be_claimed(driver: StoreDriver) -> None:
    """While the lease runs, no other worker can claim the thread, also not for a newer message."""
    thread_id = await driver.accepted(mention("hello"))
    await driver.claimed(thread_id)
    await driver.accepted(reply("more", "2.0"))

    assert await driver.claim(thread_id, "two") is None
    assert await driver.claim(thread_id, "one") is None


async def test_many_claims_at_once_have_one_winner(driver: StoreDriver) -> None:
    """Of many concurrent claims, exactly one succeeds."""
    thread_id = await driver.accepted(mention("hello"))
    found = await asyncio.gather(*(driver.claim(thread_id, f"worker {number}") for number in range(20)))

    assert len([claim for claim in found if claim is not None]) == 1
    assert len(await driver.rows(TURNS)) == 1


async def test_messages_that_arrive_during_a_turn_are_the_next_turn(driver: StoreDriver) -> None:
    """Messages that arrive during a turn wait. The next turn answers them together."""
    first = await driver.claimed(await driver.accepted(mention("one", "1.0")))
    await driver.accepted(reply("two", "2.0"))
    await driver.accepted(reply("three", "3.0"))
    await driver.settle(first)

    assert texts(await driver.claimed(first.thread_id)) == ["two", "three"]


async def test_a_thread_without_waiting_messages_cannot_be_claimed_and_stays_free(driver: StoreDriver) -> None:
    """A claim without a waiting message leaves no lease, so that the next message can be claimed at once."""
    claim = await driver.answer(mention("one", "1.0"))
    assert await driver.claim(claim.thread_id) is None
    await driver.accepted(reply("two", "2.0"))

    assert await driver.claim(claim.thread_id, "two") is not None


async def test_settling_stores_the_answer_and_releases_the_lease(driver: StoreDriver) -> None:
    """The turn has its answer, usage and times, the session is active now, and the thread is free."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    driver.now += timedelta(seconds=30)
    done = Settlement(TurnState.ANSWERED, "hi\0 \ud83d", None, "some-model", 10, 4, 2)
    assert await driver.store.run(claims.settle, claim, done, now=driver.now)

    [turn] = await driver.rows(TURNS)
    assert (turn.state, turn.answer, turn.model, turn.finished_at) == ("answered", "hi ?", "some-model", driver.now)
    assert (turn.prompt_tokens, turn.cached_tokens, turn.completion_tokens) == (10, 4, 2)
    assert (await driver.rows(SESSIONS))[0].last_active_at == driver.now
    assert (await driver.rows(THREADS))[0].lease_until is None


async def test_a_turn_is_settled_once(driver: StoreDriver) -> None:
    """A second settlement changes nothing."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    await driver.settle(claim, "first")

    assert not await driver.settle(claim, "second")
    assert (await driver.rows(TURNS))[0].answer == "first"


async def test_a_lease_that_ran_out_is_taken_over_as_the_next_attempt(driver: StoreDriver) -> None:
    """After a worker died, another worker gets the same turn with the same messages."""
    first = await driver.claimed(await driver.accepted(mention("hello")))
    await driver.accepted(reply("anybody?", "2.0"))
    second = await driver.taken_over(first)

    assert (second.turn_id, second.attempt, second.failures, texts(second)) == (first.turn_id, 2, 1, ["hello"])
    assert second.fence > first.fence


async def test_a_late_worker_can_neither_settle_nor_postpone_nor_free_the_thread(driver: StoreDriver) -> None:
    """A worker that lost its lease cannot write, because a newer claim has a higher fence."""
    late = await driver.claimed(await driver.accepted(mention("hello")))
    current = await driver.taken_over(late)
    await driver.store.run(claims.hand_back, late)
    await driver.store.run(claims.postpone, late, now=driver.now, pause=timedelta())

    assert not await driver.settle(late, "late")
    assert await driver.claim(late.thread_id, "three") is None
    assert await driver.settle(current, "in time")
    [turn] = await driver.rows(TURNS)
    assert (turn.answer, turn.postponed) == ("in time", 0)


async def test_a_turn_handed_back_can_be_taken_up_at_once(driver: StoreDriver) -> None:
    """A turn that was handed back can be claimed before its lease would have run out."""
    first = await driver.claimed(await driver.accepted(mention("hello")))
    await driver.store.run(claims.hand_back, first)

    assert (await driver.claimed(first.thread_id, "two")).turn_id == first.turn_id


async def test_handing_a_turn_back_counts_no_failure(driver: StoreDriver) -> None:
    """A turn that was handed back counts no failure. A turn whose attempt broke counts one."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    await driver.store.run(claims.hand_back, claim)
    claim = await driver.claimed(claim.thread_id)
    assert (claim.attempt, claim.failures) == (2, 0)
    await driver.store.run(claims.fail_attempt, claim)

    assert (await driver.claimed(claim.thread_id)).failures == 1


async def test_any_model_name_can_be_settled(driver: StoreDriver) -> None:
    """A model name of any length and characters does not prevent the settlement."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    settled = Settlement(TurnState.ANSWERED, "hi", model="m\0\ud83d" + "x" * 1_000)

    assert await driver.store.run(claims.settle, claim, settled, now=driver.now)
    assert (await driver.rows(TURNS))[0].model.startswith("m?x")


async def test_a_turn_takes_a_bounded_number_of_messages(driver: StoreDriver) -> None:
    """Messages above the bound form the next turn. The order is that of sending, not of arrival."""
    for number in reversed(range(MESSAGES_PER_TURN + 1)):
        thread_id = await driver.accepted(mention(str(number), f"{number:04}"))
    first = await driver.claimed(thread_id)
    await driver.settle(first)

    assert len(first.utterances) == MESSAGES_PER_TURN
    assert texts(await driver.claimed(thread_id)) == [str(MESSAGES_PER_TURN)]


async def test_a_fixed_reply_is_a_turn_of_its_own_in_order(driver: StoreDriver) -> None:
    """The reply to a command has its own turn, between the messages around it, and needs no model."""
    await driver.accepted(mention("one", "1.0", by=ANA))
    await driver.accept_reset(reset("2.0", by=BEN))
    await driver.accepted(reply("three", "3.0"))

    messages: list[InTurn] = [(None, "s1", ["one"]), (None, "s1", ["three"])]
    refused: InTurn = (ResetOutcome.NOT_YOURS, None, [])
    assert await claims_in_turn(driver) == [messages[0], refused, messages[1]]


async def test_after_a_reset_its_confirmation_comes_first(driver: StoreDriver) -> None:
    """Messages of the closed session get no answer. The confirmation comes first. The new session's turns follow."""
    await driver.accepted(mention("one", "1.0"))
    await driver.accept_reset(reset("2.0"))
    await driver.accept_reset(reset("3.0"))
    await driver.accepted(reply("four", "4.0"))

    confirmed: list[InTurn] = [(ResetOutcome.DONE, None, []), (ResetOutcome.NOTHING, None, [])]
    assert await claims_in_turn(driver) == [*confirmed, (None, "s2", ["four"])]


InTurn = tuple[FixedReply | None, str | None, list[str]]


async def claims_in_turn(driver: StoreDriver) -> list[InTurn]:
    """Claim and settle the first thread's turns until no message waits. Return the claims."""
    found = []
    while claim := await driver.claim(1):
        found.append((claim.fixed_reply, claim.session_id, texts(claim)))
        await driver.settle(claim)
    return found
