"""The output of commands: tables on a terminal, tab-separated lines in a pipe, or JSON.

Rule: the only home of rich. A pipe gets no colours, no header and no shortened values, so that a script can read it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

Row = Mapping[str, object]

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, and the words that explain it. An `alert` calls for the operator's attention unless it is zero."""

    value: int
    words: str
    alert: bool = False


def is_terminal() -> bool:
    """Return whether a person reads standard output."""
    return sys.stdout.isatty()


def print_json(value: object) -> None:
    """Print a value as one JSON document; times in ISO 8601, UTC."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=_iso))


def print_lines(rows: Sequence[Row]) -> None:
    """Print the rows for a script: one a line, its values separated by tabs, without a header."""
    for row in rows:
        print("\t".join("" if value is None else _iso(value) for value in row.values()))


def print_table(rows: Sequence[Row], columns: Sequence[str], *, title: str, wrapped: Collection[str] = ()) -> None:
    """Print the rows for a person. `columns` are keys of the rows, and the headings.

    Where the terminal is too narrow, the values of the `wrapped` columns take several lines, so that no other is cut.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, header_style="cyan")
    table.collapse_padding, table.pad_edge = True, False
    for column in columns:
        numbers = any(isinstance(row[column], int) for row in rows)
        table.add_column(column, justify="right" if numbers else "left", no_wrap=column not in wrapped, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    Console().print(table)


def print_figures(sections: Mapping[str, Sequence[Figure]]) -> None:
    """Print figures for a person, in sections with a heading."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", min_width=8)
    grid.add_column()
    for heading, figures in sections.items():
        grid.add_row("", Text(f"\n{heading}", style="bold"))
        for figure in figures:
            style = "dim" if not figure.value else "bold red" if figure.alert else "bold green"
            grid.add_row(Text(f"{figure.value:,}", style=style), figure.words)
    Console().print(grid, "")


def print_check(name: str, detail: str, *, passed: bool) -> None:
    """Print the outcome of one check."""
    if not is_terminal():
        print(f"{'ok    ' if passed else 'FAILED'}  {name}: {detail}")
        return
    mark = Text("✓", style="bold green") if passed else Text("✗", style="bold red")
    grid = Table.grid(padding=(0, 1))
    grid.add_column()
    grid.add_column(min_width=12, style="bold")
    grid.add_column()  # a long remedy is wrapped beside the name
    grid.add_row(mark, name, Text(detail))
    Console().print(grid)


def print_finding(tried: str, did: str) -> None:
    """Print what a probe tried, and how Slack behaved."""
    if not is_terminal():
        print(f"{tried}: {did}", flush=True)
        return
    Console().print(Text.assemble((f"{tried}: ", "bold"), did))


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Show on a terminal that the command waits for something."""
    if not is_terminal():
        yield
        return
    with Console().status(words):
        yield


@contextmanager
def progress(words: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal. The yielded function advances it."""
    if not is_terminal():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(words, total=total)
        yield lambda steps: bar.advance(task, steps)


def ago(moment: datetime, now: datetime) -> str:
    """Return in words how long ago a moment was: `3 min ago`."""
    passed = now - moment
    if passed < _MINUTE:
        return "just now"
    if passed < _HOUR:
        return f"{passed // _MINUTE} min ago"
    if passed < 2 * _DAY:
        return f"{passed // _HOUR} h ago"
    return f"{passed // _DAY} days ago"


def _cell(value: object) -> Text:
    if value is None or value == "":
        return Text("-", style="dim")
    return Text(f"{value:,}" if isinstance(value, int) else str(value))


def _iso(value: object) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
