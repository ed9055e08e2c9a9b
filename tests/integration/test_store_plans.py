"""What the databases make of our statements: the cost of a turn does not grow with what is stored."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from bot.store import answers, leases
from bot.store.figures import figures
from tests.books import MINUTE, Books
from tests.builders import ANA, THREAD, deletion, mention, reply, stop

Statement = tuple[str, Any]

# Only the small partial indexes, of what is owed and of what runs, may be read from end to end.
WALKS = re.compile(
    r"SCAN (messages|turns|sessions)(?! USING (COVERING )?INDEX (ix_messages_owed|uq_turns_running))|Seq Scan"
)


async def test_what_every_message_costs_is_looked_up_by_an_index(books: Books) -> None:
    """Accepting, claiming, reading, settling, resetting, renewing and sweeping never walk a table of words."""
    statements = recorded(books.store.engine)
    await books.answer(mention("hello", "1.0"))
    now = await books.claimed(await books.accepted(dataclasses.replace(reply("more", "2.0"), client_id="c1")))
    await books.past(now)
    await books.store.run(answers.posted, now, "A1")
    await books.store.run(answers.of_turn, now)
    await books.store.run(answers.of_other_turns, now, ["A1"])
    await books.store.run(leases.renew, "one", [1, 2], now=books.now, lease=MINUTE)
    await books.store.run(leases.interruptions, "one")
    await books.store.run(leases.owed, [("desk", "T1")], now=books.now, limit=10)
    await books.accept_stop(stop("3.0"))
    await books.accept_deletion(deletion("2.0"))
    await books.reset(THREAD, ANA)
    await books.sweep()

    plans = await books.store.run(plans_of, statements)
    assert len(plans) > 20
    assert [plan for plan in plans if WALKS.search(plan)] == []


async def test_what_an_operator_asks_costs_what_a_day_holds(books: Books) -> None:
    """However many turns were ever answered, the figures look at those of the last day, and at what is open."""
    statements = recorded(books.store.engine)
    await books.store.run(figures, now=books.now)

    plans = await books.store.run(plans_of, statements)
    assert len(plans) == 7
    assert [plan for plan in plans if WALKS.search(plan) and "INDEX uq_sessions_open" not in plan] == []


def recorded(engine: sa.Engine) -> list[Statement]:
    """The statements that will be executed, but for inserts: those look nothing up."""
    found: list[Statement] = []

    def keep(*arguments: Any) -> None:
        if arguments[2].startswith(("SELECT", "UPDATE")):
            found.append((arguments[2], arguments[3]))

    event.listen(engine, "before_cursor_execute", keep)
    return found


def plans_of(connection: sa.Connection, statements: Sequence[Statement]) -> list[str]:
    """How the database would carry them out for any values, if the tables were large."""
    found = []
    for statement, parameters in list(statements):
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            generic = _numbered(statement)
            plan = connection.exec_driver_sql(f"EXPLAIN (GENERIC_PLAN) {generic}").all()
        else:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        found.append(f"{statement}\n{plan}")
    return found


def _numbered(statement: str) -> str:
    """The statement with $1, $2, … for its parameters, as it is prepared."""
    number = itertools.count(1)
    return re.sub(r"%\(\w+\)s", lambda _: f"${next(number)}", statement)
