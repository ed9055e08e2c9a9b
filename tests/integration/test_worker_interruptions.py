"""What ends a worker's turn from outside: interruptions, wherever they were accepted, and a lease that was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate

import pytest
from sqlalchemy import Connection

from bot import wording
from bot.scheduler import Scheduler
from bot.sessions import Interrupted, ResetOutcome
from bot.store import claims
from bot.store.engine import P, Store, T
from bot.testing import Hold, ScriptedLLM, SettableClock
from bot.worker import HEAR_EVERY_S
from tests.books import Books
from tests.builders import DAY, THREAD, deletion, mention, reply, reset, stop
from tests.desk import Desk, Echo

STOPPED = wording.interrupted(Interrupted.STOPPED)


class Interfered(Store):
    """A store in which something happens just before, or just after, one of its functions ran."""

    function: Callable[..., Any]

    async def before(self) -> None:
        """Nothing, unless a test says so."""

    async def after(self) -> None:
        """Nothing, unless a test says so."""

    async def run(self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See Store.run."""
        if function is not self.function:
            return await super().run(function, *args, **kwargs)
        await self.before()
        result = await super().run(function, *args, **kwargs)
        await self.after()
        return result


async def running(desk: Desk, llm: ScriptedLLM, *after: str) -> Hold:
    """A turn that has said something, and will say these words when it is let go on."""
    hold = Hold()
    llm.script("Let me ", hold, *after)
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    return hold


async def test_a_stop_is_heard_on_whichever_replica_runs_the_turn(
    store: Store, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """Another process accepted it; this one looks often enough to end its answer within a second."""
    here, there = Desk(store, llm, clock, owner="here"), Desk(store, Echo(), clock, owner="there")
    await running(here, llm)
    scheduler = Scheduler(store, here.worker, clock=clock.now, idle_after=DAY)
    scheduler.start()
    assert await there.inbox.accept(stop("2.0"))

    async with asyncio.timeout(10):
        assert await here.adapter.shown(THREAD) == [f"Let me \n\n{STOPPED}"]
    await here.worker.idle()
    scheduler.stop()
    assert llm.closed_early == 1
    assert there.adapter.asked == []
    assert HEAR_EVERY_S <= 0.5


@pytest.mark.parametrize("asked", [reset("2.0"), deletion("1.0")], ids=["reset", "deletion"])
async def test_what_is_to_be_forgotten_is_forgotten_on_every_replica(
    store: Store, llm: ScriptedLLM, clock: SettableClock, asked: Any
) -> None:
    """The late answer is discarded even when its worker has not heard yet."""
    here, there = Desk(store, llm, clock, owner="here"), Desk(store, Echo(), clock, owner="there")
    hold = await running(here, llm, "see")
    await there.inbox.accept(asked)
    hold.release()
    await here.worker.idle()
    await there.worker.idle()

    assert here.adapter.replies[THREAD][0] == "Let me see"
    assert [(turn.state, turn.answer) for turn in await here.turns()][0] == ("superseded", None)


async def test_whoever_hears_late_does_not_end_the_next_turn(
    database_url: str, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """What is heard belongs to one claim: when that is over, nothing ends."""
    store = Interfered(database_url)
    desk, books = Desk(store, llm, clock), Books(store, clock)
    first = await running(desk, llm, "see")
    await desk.inbox.accept(reply("and?", "2.0"))
    await books.accept_stop(stop("3.0"))
    second = Hold()
    llm.script("hel", second, "lo")

    async def the_next_turn_runs() -> None:
        first.release()
        await second.reached()

    store.function, store.after = claims.interruptions, the_next_turn_runs  # type: ignore[method-assign] # for this
    await desk.worker.hear()
    second.release()
    await desk.worker.idle()
    await store.close()

    assert desk.adapter.replies[THREAD] == ["Let me see", "hello"]
