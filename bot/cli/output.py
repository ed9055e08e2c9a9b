"""What commands print: a table on a terminal, tab-separated lines in a pipe, or JSON.

Rule: the only home of rich. A pipe gets no colours, no header and no cut texts; a script reads it by its columns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

Row = Mapping[str, object]

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_TWO_DAYS = timedelta(days=2)


def print_json(value: object) -> None:
    """Print a value as one JSON document; times in ISO 8601, UTC."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=_iso))


def print_lines(rows: Sequence[Row]) -> None:
    """Print the rows for a script: one a line, its values separated by tabs, without a header."""
    for row in rows:
        print("\t".join(map(_plain, row.values())))


def print_table(rows: Sequence[Row], columns: Sequence[str], *, title: str) -> None:
    """Print the rows for a person. `columns` are keys of the rows, and the headings."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, header_style="bold cyan")
    for column in columns:
        numbers = any(isinstance(row[column], int) for row in rows)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    Console().print(table)


def print_facts(facts: Row, phrases: Mapping[str, str], *, title: str) -> None:
    """Print values for a person, each before its phrase."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="bold cyan")
    grid.add_column()
    for name, value in facts.items():
        grid.add_row(_cell(value), phrases[name])
    Console().print(Text(title, style="bold"), grid, sep="\n")


def print_check(name: str, detail: str, *, passed: bool) -> None:
    """Print the outcome of one check."""
    if not is_terminal():
        print(f"{'ok    ' if passed else 'FAILED'}  {name}: {detail}")
        return
    mark = Text("✓ ", style="bold green") if passed else Text("✗ ", style="bold red")
    Console().print(Text.assemble(mark, (f"{name:<12}", "bold"), detail))


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on the terminal; the function that is yielded advances it."""
    if not is_terminal() or not total:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


def is_terminal() -> bool:
    """Return whether a person reads standard output."""
    return sys.stdout.isatty()


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago something was, in words: `3 min ago`."""
    passed = max(now - moment, timedelta())
    if passed < _MINUTE:
        return "just now"
    if passed < _HOUR:
        return f"{passed // _MINUTE} min ago"
    if passed < _TWO_DAYS:
        return f"{passed // _HOUR} h ago"
    return f"{passed // _DAY} days ago"


def _cell(value: object) -> Text:
    if value is None:
        return Text("-", style="dim")
    return Text(f"{value:,}" if isinstance(value, int) else str(value))


def _plain(value: object) -> str:
    return "" if value is None else _iso(value) if isinstance(value, datetime) else str(value)


def _iso(value: object) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
