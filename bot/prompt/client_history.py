"""Client history: earlier turns that an API client sends along, compared with the turns that its session stores.

Rule: pure. Clients trim answers, decorate questions and resend only a part. So a turn is recognised by its question, or
by its answer if the questions do not contradict. An answer alone is not enough, because many questions have the same
short answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.events import storable
from bot.prompt.history import Turn


def missing_turns(stored: Sequence[Turn], sent: Sequence[Turn], *, whole: bool) -> Sequence[Turn]:
    """Return the sent turns after the last one that is stored too. All turns are in order, oldest first.

    `stored`: the newest turns of the session; `whole`: these are all of them. A leading answer whose question the
    client left out is not added to a session that has turns.
    """
    ours, theirs = [_Words.of(turn) for turn in stored], [_Words.of(turn) for turn in sent]
    if len(theirs) <= len(ours) or not whole:
        newest = zip(reversed(ours), reversed(theirs), strict=False)
        if all(our.similarity(their) for our, their in newest):
            return ()
    first = 1 if ours and theirs and not theirs[0].question else 0
    return sent[max(_shared_length(ours, theirs), first) :]


@dataclass(frozen=True, slots=True)
class _Words:
    """The texts of a turn, with normalised white space."""

    question: str
    bare: str  # the question's letters and digits: clients render the rest differently
    answer: str

    @classmethod
    def of(cls, turn: Turn) -> _Words:
        """Normalise a turn."""
        question = _normalised(" ".join(message.text for message in turn.messages))
        bare = "".join(filter(str.isalnum, question.casefold())) or question
        return cls(question, bare, _normalised(turn.answer or ""))

    def similarity(self, other: _Words) -> int:
        """Return 2 if question and answer match, 1 if one of them does, 0 for different turns."""
        same_question = bool(self.question) and self.question == other.question
        same_answer = bool(self.answer) and self.answer == other.answer
        # The empty text of a question that was left out is part of any other.
        return same_question + (same_answer and (self.bare in other.bare or other.bare in self.bare))


def _normalised(text: str) -> str:
    return " ".join(storable(text).split())


def _shared_length(ours: Sequence[_Words], theirs: Sequence[_Words]) -> int:
    """Return how many of their turns contain the best common subsequence of both.

    The best one has the highest sum of similarities and, among equals, needs the fewest of their turns.
    """
    best = [(0, 0)] * (len(theirs) + 1)  # for each prefix of `theirs`: (similarity, -length needed)
    for our in ours:
        row = [(0, 0)]
        for length, their in enumerate(theirs, 1):
            score = max(best[length], row[-1])
            if similarity := our.similarity(their):
                score = max(score, (best[length - 1][0] + similarity, -length))
            row.append(score)
        best = row
    return -best[-1][1]
