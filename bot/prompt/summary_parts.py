"""Summary parts: a long session's summary as a tree, in which a changed text voids little.

Rule: pure. A part of level 0 sums up turns. A part of a higher level sums up FAN parts of the level below. The model
writes each part from these alone, so a part holds no word of a turn outside of its range. A changed text voids one part
of each level, and as many requests write them again, however long the session is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bot.prompt.tokens import estimate_tokens

ADOPTED = 9  # the level of a summary that the previous version wrote whole: it is neither merged nor written again
FAN = 8  # parts at most that are merged into one of the next level: three levels hold 512 parts
MOST_TOKENS = 1_000  # of one part
LEAST_TOKENS = 50  # unless the room is very small
SHARE = 4  # all parts together may take this fraction (1/SHARE) of the room
MARKS = 60  # tokens that the prompt adds around a summary


@dataclass(frozen=True, slots=True)
class SummaryPart:
    """A part of a summary; while it is void, with the parts that it was made of, or is to be made of."""

    level: int
    after: int  # the id of the last turn before it
    reaches: int  # the id of its last turn
    text: str | None = None  # None: void, because a text in it has changed, or not written yet
    merges: tuple[SummaryPart, ...] = ()


Parts = Sequence[SummaryPart]


def shown(parts: Parts) -> list[SummaryPart]:
    """Return the parts that are shown, in order: in place of a void one, the parts that it was made of."""
    return [each for part in parts for each in (shown(part.merges) if part.text is None and part.merges else [part])]


def text_of(parts: Parts) -> str:
    """Return the text of the whole summary."""
    return "\n\n".join(part.text for part in shown(parts) if part.text)


def reach(parts: Parts) -> int:
    """Return the id of the last turn up to which no part is missing; 0 when the first one is."""
    reaches = 0
    for part in shown(parts):
        if part.text is None or part.after > reaches:
            break
        reaches = part.reaches
    return reaches


def next_to_write(parts: Parts, until: int, room: int | None = None) -> SummaryPart | None:
    """Return the part to write next, so that in the end the parts reach this turn; None when all are written.

    Void parts of turns come first, because nothing else tells of them. New ones come last, so that parts are merged
    before there are too many to be shown. Parts that do not fit into a small `room` are merged earlier.
    """
    void = min((each for part in parts for each in _void(part)), key=lambda part: part.level, default=None)
    is_crowded = room is not None and estimate_tokens(text_of(parts)) > room // SHARE - MARKS
    if (due := void or _merger(parts, FAN) or (_merger(parts, 2) if is_crowded else None)) is not None:
        return due
    after = reach(parts)
    until = min([until, *(part.after for part in parts if part.after > after)])
    return SummaryPart(0, after, until) if until > after else None


def is_void(part: SummaryPart, parts: Parts) -> bool:
    """Return whether this part was written before, and is to be written again."""
    return any(each == part for top in parts for each in _void(top))


def most_tokens(part: SummaryPart, parts: Parts, room: int) -> int:
    """Return the limit of a part that is to be written: a share of the room that the other parts leave."""
    others = [each for each in shown(parts) if not part.after < each.reaches <= part.reaches]
    left = room // SHARE - MARKS - estimate_tokens(text_of(others))
    return max(min(left // (FAN - 2), MOST_TOKENS), room // SHARE // 40, min(LEAST_TOKENS, room // FAN))


def _void(part: SummaryPart) -> Iterator[SummaryPart]:
    if part.text is None:
        yield part
    for each in part.merges:
        yield from _void(each)


def _merger(parts: Parts, least: int) -> SummaryPart | None:
    """Return the part that merges neighbours of one level, of the lowest level that has at least so many."""
    rows = [tuple(row)[:FAN] for _, row in groupby(parts, key=lambda part: part.level)]
    merged = min((row for row in rows if len(row) >= least), key=lambda row: row[0].level, default=None)
    return SummaryPart(merged[0].level + 1, merged[0].after, merged[-1].reaches, merges=merged) if merged else None
