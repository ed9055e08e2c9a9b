"""The figures as a table: a bot a column, the median of its rounds with the lowest and the highest, and the ratio."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence

from bench.surroundings import DELTAS
from bench.workload import TURNS_PER_THREAD, Figures

_LABEL, _CELL, _RATIO = 48, 22, 8  # columns of characters
_BUSY = 90  # percent of a core: next to nothing is left


def lines(results: Mapping[str, Sequence[Figures]], turns: int) -> Iterator[str]:
    """The table's lines. `results` are each bot's rounds by its name; the others are compared with the first."""
    rounds = min(map(len, results.values()))
    yield f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}."
    yield f"{turns} turns one at a time, then {turns} in a burst; {TURNS_PER_THREAD} turns a thread."
    yield f"An instant model with answers of {DELTAS} deltas, Slack's part played by the playground, both over HTTP."
    yield f"Medians of {rounds} rounds, the lowest and the highest; then the ratio to the first column."
    yield ""
    first, *others = results
    yield f"{'':{_LABEL}}{first:>{_CELL}}" + "".join(f"{name:>{_CELL}}{'ratio':>{_RATIO}}" for name in others)
    for name, label, decimals in Figures.labels():
        columns = [[getattr(figures, name) for figures in of_a_bot] for of_a_bot in results.values()]
        yield f"{label:{_LABEL}}" + _row(columns, decimals)
    yield from _warnings(results)


def _row(columns: Sequence[Sequence[float]], decimals: int) -> str:
    first, *others = columns
    compared = (_cell(other, decimals) + _ratio(other, first) for other in others)
    return _cell(first, decimals) + "".join(compared)


def _cell(rounds: Sequence[float], decimals: int) -> str:
    low, middle, high = (f"{value:.{decimals}f}" for value in (min(rounds), statistics.median(rounds), max(rounds)))
    return f"{f'{middle} ({low}-{high})':>{_CELL}}"


def _ratio(rounds: Sequence[float], others: Sequence[float]) -> str:
    return f"{statistics.median(rounds) / statistics.median(others):>{_RATIO}.2f}"


def _warnings(results: Mapping[str, Sequence[Figures]]) -> Iterator[str]:
    for name, rounds in results.items():
        if statistics.median(figures.others_core for figures in rounds) > _BUSY:
            yield f"Slack and the model kept the {name} waiting in the burst: compare CPU seconds, not turns a second."
