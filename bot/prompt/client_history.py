"""Client history: earlier turns that an API client sends along, compared with the turns that its session stores.

Rule: pure, and linear in the length of the texts. Clients trim answers, decorate questions and resend only a part. So a
turn is recognised by its question, or by its answer if the questions do not contradict. An answer alone is not enough,
because many questions have the same short answer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.domain.events import storable
from bot.prompt.history import Turn

MOST_STEPS = 10_000_000  # of searching texts in the middle of others: some ten milliseconds
# Python surely searches in linear time where the part has so many characters, and the text has so many, and four times
# as many as the part (FASTSEARCH in CPython's Objects/stringlib/fastsearch.h).
_LONG_PART, _LONG_TEXT = 100, 2_500

_NOT_IN_BARE = re.compile(r"[\W_]+")
_ASCII_NOT_IN_BARE = bytes(byte for byte in range(128) if not chr(byte).isalnum())


def missing_turns(stored: Sequence[Turn], sent: Sequence[Turn], *, whole: bool) -> Sequence[Turn]:
    """Return the sent turns after the last one that is stored too. All turns are in order, oldest first.

    `stored`: the newest turns of the session; `whole`: these are all of them. A leading answer whose question the
    client left out is not added to a session that has turns.
    """
    ours, theirs = [_Words.of(turn) for turn in stored], [_Words.of(turn) for turn in sent]
    similar = _similarities(ours, theirs)
    older = len(ours) - len(theirs)  # of our turns than theirs, when both end with the same turn
    if (older >= 0 or not whole) and all(similar[at].has(older + at) for at in range(max(0, -older), len(theirs))):
        return ()
    first = 1 if ours and theirs and not theirs[0].question else 0
    return sent[max(_shared_length(similar, len(ours)), first) :]


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
        return cls(question, _bare(question) or question, _normalised(turn.answer or ""))


def _normalised(text: str) -> str:
    return " ".join(storable(text).split())


def _bare(text: str) -> str:
    text = text.casefold()
    if text.isascii():  # twenty times as fast
        return text.encode().translate(None, _ASCII_NOT_IN_BARE).decode()
    return _NOT_IN_BARE.sub("", text)


@dataclass(slots=True)
class _Similar:
    """The stored turns that one sent turn resembles, as bits: bit `n` stands for turn `n`."""

    at_all: int = 0  # the same question; or the same answer, and one question contains the other
    fully: int = 0  # the same question and answer

    def has(self, at: int) -> bool:
        """Return whether this stored turn is one of them."""
        return bool(self.at_all >> at & 1)


def _similarities(ours: Sequence[_Words], theirs: Sequence[_Words]) -> list[_Similar]:
    """Return the similar stored turns for each sent turn."""
    by_question, by_answer, by_bare = (defaultdict[str, int](int) for _ in range(3))
    for at, words in enumerate(ours):
        by_question[words.question] |= 1 << at
        by_answer[words.answer] |= 1 << at
        by_bare[words.bare] |= 1 << at
    by_question.pop("", None)
    by_answer.pop("", None)
    similar = []
    for words in theirs:
        same_question, same_answer = by_question.get(words.question, 0), by_answer.get(words.answer, 0)
        # The empty text of a question that was left out is part of any other.
        compatible = by_bare.get(words.bare, 0) | by_bare.get("", 0) if words.bare else same_answer
        similar.append(_Similar(same_question | (same_answer & compatible), same_question & same_answer))
    search = TextSearch()
    for at, candidate in _candidates(ours, theirs):
        if not similar[at].has(candidate) and search.is_part(ours[candidate].bare, theirs[at].bare):
            similar[at].at_all |= 1 << candidate
    return similar


def _candidates(ours: Sequence[_Words], theirs: Sequence[_Words]) -> Iterator[tuple[int, int]]:
    """Yield pairs of a sent and a stored turn with the same answer, the newest first, three at most for a sent turn.

    Their questions are the n-th with this answer from the beginning, or from the end, or both turns are the n-th ones
    from the end.
    """
    with_answer: defaultdict[str, list[int]] = defaultdict(list)
    for at, words in enumerate(ours):
        with_answer[words.answer].append(at)
    left = defaultdict[str, int](int)  # how many of their turns have this answer
    for words in theirs:
        left[words.answer] += 1
    from_end = defaultdict[str, int](int)
    for at in reversed(range(len(theirs))):
        answer = theirs[at].answer
        from_end[answer] += 1
        left[answer] -= 1
        if not answer or answer not in with_answer:
            continue
        same = with_answer[answer]
        found = {same[n] for n in (left[answer], -from_end[answer]) if -len(same) <= n < len(same)}
        aligned = at + len(ours) - len(theirs)
        if aligned >= 0 and ours[aligned].answer == answer:
            found.add(aligned)
        yield from ((at, candidate) for candidate in sorted(found, reverse=True))


class TextSearch:
    """Finds texts in others, in bounded time."""

    def __init__(self) -> None:
        self.steps_left = MOST_STEPS

    def is_part(self, one: str, other: str) -> bool:
        """Return whether one of the texts is a part of the other.

        When the steps are used up, only its beginning and its end count.
        """
        part, text = sorted((one, other), key=len)
        if text.startswith(part) or text.endswith(part):
            return True
        steps = len(text) * (1 if len(part) >= _LONG_PART else 1 + len(part) // 2)
        if steps > self.steps_left:
            return False
        self.steps_left -= steps
        return part in text.ljust(max(_LONG_TEXT, 4 * len(part)), "\0")


def _shared_length(similar: Sequence[_Similar], stored: int) -> int:
    """Return how many of the sent turns contain the best common subsequence of both.

    The best one has the highest sum of similarities (2 for question and answer, 1 for one of them) and, among equals,
    needs the fewest of the sent turns. It is found with bit vectors, in one step for all stored turns (H. Hyyrö, Bit-
    parallel LCS-length computation revisited, 2004). Each turn has two bits in them, because it can count twice.
    """
    everything = (1 << 2 * stored) - 1
    free, best, length = everything, 0, 0
    for at, turn in enumerate(similar, 1):
        for matches in (_spread(turn.at_all), _spread(turn.fully) << 1):
            used = free & matches
            free = ((free + used) | (free - used)) & everything
        if (sum_ := 2 * stored - free.bit_count()) > best:
            best, length = sum_, at
    return length


def _spread(bits: int) -> int:
    """Return the bits with a gap after each."""
    return int(f"{bits:b}", 4)
