"""Recall: what a caller remembers of a conversation, held against what its session remembers.

Rule: pure. Clients trim answers, dress questions up and resend a part: a turn is known by its question, or by its
answer where nothing speaks against it; many questions have one short answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.events import storable
from bot.prompt.history import Turn


def lacking(known: Sequence[Turn], recalled: Sequence[Turn], *, whole: bool) -> Sequence[Turn]:
    """The recalled turns after the last one that both have; all in their order, oldest first.

    `known`: the newest that the session has; `whole`: they are all. To one that has any, an answer in the beginning
    whose question was left out brings nothing.
    """
    ours, theirs = [_Words.of(turn) for turn in known], [_Words.of(turn) for turn in recalled]
    if len(theirs) <= len(ours) or not whole:
        newest = zip(reversed(ours), reversed(theirs), strict=False)
        if all(one.likeness(other) for one, other in newest):
            return ()
    first = 1 if ours and theirs and not theirs[0].question else 0
    return recalled[max(_shared(ours, theirs), first) :]


@dataclass(frozen=True, slots=True)
class _Words:
    """What a turn says, however it is spaced."""

    question: str
    bare: str  # the question without what a client may render in its own way
    answer: str

    @classmethod
    def of(cls, turn: Turn) -> _Words:
        """The turn's words."""
        question = _spaced(" ".join(message.text for message in turn.said))
        bare = "".join(filter(str.isalnum, question.casefold())) or question
        return cls(question, bare, _spaced(turn.answer or ""))

    def likeness(self, other: _Words) -> int:
        """How much of it is the same; 0: it is another turn."""
        same_question = bool(self.question) and self.question == other.question
        same_answer = bool(self.answer) and self.answer == other.answer
        # A question that was left out is part of any.
        return same_question + (same_answer and (self.bare in other.bare or other.bare in self.bare))


def _spaced(text: str) -> str:
    return " ".join(storable(text).split())


def _shared(ours: Sequence[_Words], theirs: Sequence[_Words]) -> int:
    """How many of theirs it takes to have all that both have in one order: the most alike, and of those the fewest."""
    best = [(0, 0)] * (len(theirs) + 1)  # for so many of theirs: (how alike, less how many it takes)
    for our in ours:
        row = [(0, 0)]
        for taken, their in enumerate(theirs, 1):
            found = max(best[taken], row[-1])
            if alike := our.likeness(their):
                found = max(found, (best[taken - 1][0] + alike, -taken))
            row.append(found)
        best = row
    return -best[-1][1]
