"""The table of figures: a column for each bot, with the median, the lowest and highest round, and the ratio."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.figures import labels

_LABEL, _CELL, _RATIO = 48, 22, 8  # columns of characters


def lines(title: str, results: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Yield the table's lines. `results` maps each bot's name to its rounds; each bot is compared with the first."""
    first, *others = results
    yield f"{title:{_LABEL}}{first:>{_CELL}}" + "".join(f"{name:>{_CELL}}{'ratio':>{_RATIO}}" for name in others)
    for label in labels(results[first][0]):
        columns = [[getattr(figures, label.name) for figures in rounds] for rounds in results.values()]
        yield f"{label.text:{_LABEL}}" + _row(columns, label.decimals)


def _row(columns: Sequence[Sequence[float]], decimals: int) -> str:
    first, *others = columns
    compared = (_cell(other, decimals) + _ratio(other, first) for other in others)
    return _cell(first, decimals) + "".join(compared)


def _cell(rounds: Sequence[float], decimals: int) -> str:
    low, middle, high = (f"{value:.{decimals}f}" for value in (min(rounds), statistics.median(rounds), max(rounds)))
    return f"{f'{middle} ({low}-{high})':>{_CELL}}"


def _ratio(rounds: Sequence[float], others: Sequence[float]) -> str:
    to = statistics.median(others)
    return f"{statistics.median(rounds) / to:>{_RATIO}.2f}" if to else " " * _RATIO
