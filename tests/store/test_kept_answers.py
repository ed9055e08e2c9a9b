"""Kept answers: a later attempt at the same question gets the answer that an earlier attempt got, and nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from bot.domain.events import ChannelGone
from bot.domain.sessions import Interrupted
from bot.llm import Done, Usage
from bot.store import claims, erasure, interruptions, sessions
from bot.store.claims import PlatformClaim
from bot.store.erasure import Scope
from bot.store.settlement import KeptAnswer, Settlement, TurnState
from bot.store.tables import TURNS
from tests.support.builders import ANA, BEN, THREAD, deletion, edit, mention, reply, reset, stop
from tests.support.store_driver import StoreDriver, wait_for_lock
from tests.support.timeouts import GENEROUS_S

ANSWER = "turn it off and on"
DONE = Done("gpt", Usage(10, 4, 2), truncated=True, rounds=0)


async def keep(driver: StoreDriver, claim: PlatformClaim, answer: str = ANSWER) -> None:
    """Keep an answer."""
    await driver.store.run(claims.keep, claim, Settlement.by(DONE, TurnState.ANSWERED, answer))


async def kept(driver: StoreDriver, *messages: Any) -> PlatformClaim:
    """Accept these messages, claim them, and keep an answer."""
    for message in messages or (mention("my printer is down", "1.0"),):
        thread_id = await driver.accepted(message)
    claim = await driver.claimed(thread_id)
    await keep(driver, claim)
    return claim


async def test_a_takeover_gets_the_kept_answer(driver: StoreDriver) -> None:
    """The next attempt has the answer with its usage. The first one has none."""
    claim = await kept(driver)

    assert claim.kept is None
    assert (await driver.taken_over(claim)).kept == KeptAnswer(ANSWER, DONE)


@pytest.mark.parametrize("how", ["postpone", "hand_back", "fail_attempt"])
async def test_a_kept_answer_survives_the_end_of_an_attempt(driver: StoreDriver, how: str) -> None:
    """An attempt that is postponed, handed back or breaks leaves the answer to the next one."""
    claim = await kept(driver)
    if how == "postpone":
        await driver.store.run(claims.postpone, claim, now=driver.now, pause=timedelta(seconds=2))
    else:
        await driver.store.run(getattr(claims, how), claim)

    assert (await driver.taken_over(claim)).kept is not None


async def test_a_kept_answer_is_no_part_of_the_history(driver: StoreDriver) -> None:
    """Until its turn is settled the answer is in no history, and no count of answers has it."""
    claim = await kept(driver)

    assert await driver.past(claim) == []
    session = await driver.store.run(sessions.open_in, claim.thread_id)
    assert session is not None
    assert session.turns == 0
    [turn] = await driver.rows(TURNS)
    assert (turn.state, turn.finished_at) == ("running", None)


async def test_only_the_newest_attempt_keeps_its_answer(driver: StoreDriver) -> None:
    """A worker that has lost the turn cannot keep its answer, before or after the turn is settled."""
    claim = await driver.claimed(await driver.accepted(mention("my printer is down")))
    later = await driver.taken_over(claim)
    await keep(driver, claim)
    assert (await driver.rows(TURNS))[0].answer is None
    await driver.settle(later, "settled")
    await keep(driver, later)

    assert (await driver.rows(TURNS))[0].answer == "settled"


async def by_edit(driver: StoreDriver) -> None:
    """Edit the question."""
    await driver.accept_edit(edit("my screen is down"))


async def by_deletion(driver: StoreDriver) -> None:
    """Delete the question."""
    await driver.accept_deletion(deletion("1.0"))


async def by_reset(driver: StoreDriver) -> None:
    """Reset the session."""
    await driver.accept_reset(reset("9.0"))


async def by_forget_me(driver: StoreDriver) -> None:
    """Forget the author."""
    await driver.forget(ANA)


async def by_erasure(driver: StoreDriver) -> None:
    """Erase everything in the workspace."""
    await driver.erase(Scope("chat", "T1"))


async def by_leaving(driver: StoreDriver) -> None:
    """Remove the bot from the channel."""
    await driver.store.run(erasure.leave, ChannelGone("chat", "T1", THREAD.channel), now=driver.now)


WAYS = pytest.mark.parametrize("forget", [by_edit, by_deletion, by_reset, by_forget_me, by_erasure, by_leaving])
Way = Callable[[StoreDriver], Awaitable[None]]


@WAYS
async def test_a_changed_or_forgotten_question_loses_its_kept_answer(driver: StoreDriver, forget: Way) -> None:
    """After an edit, a deletion, a reset or an erasure, no row holds the answer, and no attempt gets it."""
    claim = await kept(driver)
    await forget(driver)

    assert ANSWER not in str(await driver.rows(TURNS))
    assert (await driver.taken_over(claim)).kept is None


@WAYS
async def test_an_answer_that_comes_after_the_change_is_not_kept(driver: StoreDriver, forget: Way) -> None:
    """An answer to the old question is not stored after the question has changed."""
    claim = await driver.claimed(await driver.accepted(mention("my printer is down")))
    await forget(driver)
    await keep(driver, claim)

    assert ANSWER not in str(await driver.rows(TURNS))
    assert (await driver.taken_over(claim)).kept is None


async def test_a_deletion_beside_other_questions_drops_the_kept_answer(driver: StoreDriver) -> None:
    """Where other people asked too, the turn restarts. It does not show a note about an erased answer."""
    claim = await kept(driver, mention("my printer is down", "1.0", by=ANA), reply("mine too", "2.0", by=BEN))
    await driver.accept_deletion(deletion("1.0"))
    later = await driver.taken_over(claim)

    assert (later.kept, [utterance.text for utterance in later.utterances]) == (None, ["mine too"])


async def test_a_stop_ends_a_kept_answer(driver: StoreDriver) -> None:
    """A turn that was stopped is ended by the next attempt, whatever it has kept."""
    claim = await kept(driver)
    await driver.accept_stop(stop("2.0"))
    later = await driver.taken_over(claim)

    assert later.interrupted is not None
    assert await driver.settle(later, "_(Stopped.)_", TurnState.STOPPED)
    assert (await driver.rows(TURNS))[0].answer == "_(Stopped.)_"


async def test_an_edit_at_the_same_moment(driver: StoreDriver) -> None:
    """An answer that is to be kept while an edit is being committed waits for it, and is not stored."""
    if driver.store.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one writer")
    claim = await driver.claimed(await driver.accepted(mention("my printer is down")))

    def edited(connection: sa.Connection) -> None:
        interruptions.interrupt(connection, claim.thread_id, Interrupted.EDITED, claim.turn_id)
        interruptions.drop_kept(connection, claim.turn_id)
        keeping.set()
        wait_for_lock(driver.store.engine)

    keeping = threading.Event()
    editing = asyncio.create_task(driver.store.run(edited))
    await asyncio.to_thread(keeping.wait, GENEROUS_S)
    await asyncio.gather(editing, keep(driver, claim))

    assert (await driver.rows(TURNS))[0].answer is None


async def test_keeping_an_answer_is_one_small_transaction(driver: StoreDriver) -> None:
    """It reads the thread's row and updates the turn's, by their keys, whatever the length of the thread."""
    claim = await driver.claimed(await driver.accepted(mention("my printer is down")))
    statements: list[str] = []
    event.listen(driver.store.engine, "before_cursor_execute", lambda *how: statements.append(how[2]))
    await keep(driver, claim)

    assert [statement.split()[0] for statement in statements if not statement.startswith("BEGIN")] == [
        "SELECT",
        "UPDATE",
    ]
