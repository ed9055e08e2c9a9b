"""Counts of the rows that transactions change: a measure of their length that no loaded machine alters."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event


def changed_rows(engine: Engine) -> list[int]:
    """Return a list that gets the number of rows that each transaction from now on changes."""
    counts: list[int] = []

    def count(*args: Any) -> None:
        cursor, statement = args[1], args[2]
        if statement.startswith(("UPDATE", "DELETE", "INSERT")):
            counts[-1] += max(0, cursor.rowcount)

    event.listen(engine, "begin", lambda _: counts.append(0))
    event.listen(engine, "after_cursor_execute", count)
    return counts
