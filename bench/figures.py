"""Figures: the results of a measurement, each with its label and its number of decimals."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Label:
    """A row of the table: the figure's name, its text with the unit, and its decimals."""

    name: str
    text: str
    decimals: int


def figure(text: str, decimals: int) -> Any:
    """Return a dataclass field that is a figure."""
    return field(metadata={"text": text, "decimals": decimals})


def labels(kind: Any) -> list[Label]:
    """Return the labels of a dataclass's figures, in its order."""
    return [Label(each.name, each.metadata["text"], each.metadata["decimals"]) for each in fields(kind)]
