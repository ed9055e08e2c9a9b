"""Figures: what a measurement shows, each with its label and the decimals that mean something."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Label:
    """A line of the table: the figure's name, what it is with its unit, and its decimals."""

    name: str
    text: str
    decimals: int


def figure(text: str, decimals: int) -> Any:
    """A field of a dataclass that is a figure."""
    return field(metadata={"text": text, "decimals": decimals})


def labels(kind: Any) -> list[Label]:
    """The labels of the figures that a dataclass holds, in its order."""
    return [Label(each.name, each.metadata["text"], each.metadata["decimals"]) for each in fields(kind)]
