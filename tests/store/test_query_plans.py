"""Query plans: the cost of a turn does not grow with the stored rows."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from bot.domain.events import ChannelGone
from bot.domain.sessions import IdleLimits
from bot.prompt.history import HistoryWindow, Turn
from bot.prompt.summary_parts import SummaryPart
from bot.prompt.thread_context import EarlierMessage, ThreadContext
from bot.store import (
    display_names,
    erasure,
    history,
    leases,
    posted_messages,
    preferences,
    purge,
    sessions,
    summaries,
    thread_context,
)
from bot.store.metrics import figures
from tests.support.builders import ANA, DAY, THREAD, deletion, edit, mention, reply, stop, thread
from tests.support.store_driver import A_DAY, HOUR, StoreDriver

Statement = tuple[str, Any]

# Only the small partial indexes, of waiting messages and running turns, may be scanned.
# Three partial indexes hold the open sessions only. Their costs are equal, so SQLite may take any of them.
READS_OPEN_SESSIONS = re.compile(r"INDEX (uq_sessions_open|ix_sessions_idle|ix_sessions_channel)\b")
WALKS = re.compile(
    r"SCAN (messages|turns|sessions|preferences|names|background)"
    r"(?! USING (COVERING )?INDEX (ix_messages_owed|uq_turns_running|ix_(messages|background)_forwarded))|Seq Scan"
)


async def test_the_statements_of_every_message_use_an_index(driver: StoreDriver) -> None:
    """Accepting, claiming, reading, settling, forgetting, renewing and sweeping never scan a large table."""
    statements = recorded(driver.store.engine)
    await driver.answer(mention("hello", "1.0"))
    now = await driver.claimed(await driver.accepted(dataclasses.replace(reply("more", "2.0"), client_id="c1")))
    await driver.past(now)
    await driver.store.run(history.oldest, "s1", after=0, until=now.turn_id)
    await driver.store.run(summaries.move, "s1", HistoryWindow(0))
    compaction = await driver.store.run(summaries.begin, driver.lease(), "s1")
    assert compaction is not None
    await driver.store.run(summaries.finish, compaction, SummaryPart(0, 0, 1, "short"), several=False)
    await driver.store.run(summaries.void, [now.turn_id])
    await driver.store.run(posted_messages.posted, now, "A1")
    await driver.store.run(posted_messages.of_turn, now)
    await driver.store.run(posted_messages.of_other_turns, now, ["A1"])
    await driver.store.run(leases.renew, driver.lease(), [1, 2])
    await driver.store.run(leases.interruptions, "one")
    await driver.store.run(leases.owed_threads, [("chat", "T1")], now=driver.now, limit=10)
    await driver.store.run(thread_context.save, 1, "s1", 1, ThreadContext((EarlierMessage("0.5", "U1", "hi"),)))
    await driver.store.run(thread_context.attached, "s1", [Turn((), id=1)])
    await driver.store.run(thread_context.edit, 1, reply("hi!", "0.5"))
    await driver.store.run(display_names.assign, "s1", ["U1"], {"U1": "Ana"})
    await driver.store.run(display_names.of_session, "s1")
    await driver.store.run(sessions.open_in, 1)
    await driver.store.run(preferences.change, "chat", "T1", ANA.id, {"name": "Rita"}, now=driver.now)
    await driver.store.run(preferences.of_person, "chat", "T1", ANA.id)
    await driver.accept_stop(stop("3.0"))
    await driver.accept_edit(edit("more of it", "2.0"))
    await driver.accept_edit(edit("unknown", "9.0"))
    await driver.accept_deletion(deletion("2.0"))
    await driver.forget(ANA)
    await driver.reset(THREAD, ANA)
    await driver.sweep()
    await driver.sweep(idle=IdleLimits(DAY, {"C9": HOUR}))
    places = [("chat", "T1")]
    await driver.store.run(
        sessions.claim_expiry_warnings, places, now=driver.now + DAY, idle=A_DAY, ahead=HOUR, batch=10
    )
    await driver.store.run(erasure.leave, ChannelGone("chat", "T1", "C1"), now=driver.now)
    await driver.store.run(purge.delete_old_rows, before=driver.now + DAY, batch=10)

    plans = await driver.store.run(plans_of, statements)
    assert len(plans) > 20
    assert [plan for plan in plans if WALKS.search(plan)] == []


async def test_erasing_a_person_reads_the_persons_rows_only(driver: StoreDriver) -> None:
    """Erasure finds the messages by an index. The other tables are read once, at the end."""
    for number in range(7):
        await driver.answer(mention("hello", in_=thread(number)))
    statements = recorded(driver.store.engine)
    assert await driver.forget(ANA) == 7

    assert ["names.person_id" in statement for statement, _ in statements].count(True) == 1
    plans = await driver.store.run(plans_of, statements)
    of_workspace = re.compile(r"\(platform=\? AND workspace=\?\)")
    assert [plan for plan in plans if WALKS.search(plan) or of_workspace.search(plan)] == []


async def test_the_metrics_read_a_days_rows_only(driver: StoreDriver) -> None:
    """The metrics read the last day's turns and the open sessions only."""
    statements = recorded(driver.store.engine)
    await driver.store.run(figures, now=driver.now)

    plans = await driver.store.run(plans_of, statements)
    assert len(plans) == 8
    assert [plan for plan in plans if WALKS.search(plan) and not READS_OPEN_SESSIONS.search(plan)] == []


async def test_a_claim_reads_the_waiting_messages_only(driver: StoreDriver) -> None:
    """The cost of a claim does not depend on the number of messages in the thread."""
    await driver.answer(mention("hello", "1.0"))
    statements = recorded(driver.store.engine)
    await driver.answer(reply("more", "2.0"))
    [waiting] = [
        plan
        for plan in await driver.store.run(plans_of, statements)
        if plan.startswith("SELECT") and "turn_id IS NULL" in plan
    ]

    assert "ix_messages_owed" in waiting or "Index Cond: (turn_id IS NULL)" in waiting  # PostgreSQL may prefer this
    assert "TEMP B-TREE" not in waiting


def recorded(engine: sa.Engine) -> list[Statement]:
    """Yield the executed statements, without inserts, which look nothing up."""
    statements: list[Statement] = []

    def keep(*arguments: Any) -> None:
        if arguments[2].startswith(("SELECT", "UPDATE", "DELETE")):
            statements.append((arguments[2], arguments[3]))

    event.listen(engine, "before_cursor_execute", keep)
    return statements


def plans_of(connection: sa.Connection, statements: Sequence[Statement]) -> list[str]:
    """Return the query plans for any values and large tables."""
    plans = []
    for statement, parameters in dict(statements).items():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            generic = _numbered(statement)
            plan = connection.exec_driver_sql(f"EXPLAIN (GENERIC_PLAN) {generic}").all()
        else:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        plans.append(f"{statement}\n{plan}")
    return plans


def _numbered(statement: str) -> str:
    """Return the statement with $1, $2, … for its parameters, as it is prepared."""
    number = itertools.count(1)
    return re.sub(r"%\(\w+\)s", lambda _: f"${next(number)}", statement)
