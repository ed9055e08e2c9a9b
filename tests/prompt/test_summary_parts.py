"""The parts of a summary: written in order, merged, voided, and written again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.prompt.summary_parts import (
    FAN,
    LEAST_TOKENS,
    MARKS,
    SHARE,
    SummaryPart,
    is_void,
    most_tokens,
    next_to_write,
    reach,
    shown,
    text_of,
)
from bot.prompt.tokens import estimate_tokens


@dataclass
class Tree:
    """All parts of a session, as the store keeps them, in memory. A part's text is the words of its turns."""

    words: dict[int, str] = field(default_factory=dict)  # by turn
    rows: dict[tuple[int, int], SummaryPart] = field(default_factory=dict)  # by level and reach
    merged: set[tuple[int, int]] = field(default_factory=set)
    requests: int = 0

    @property
    def parts(self) -> list[SummaryPart]:
        """The parts that are not merged; a void one with those that it was made of."""
        loose = [part for key, part in self.rows.items() if key not in self.merged]
        return [self._whole(part) for part in sorted(loose, key=lambda part: part.after)]

    def _whole(self, part: SummaryPart) -> SummaryPart:
        if part.text is not None or not part.level:
            return part
        made_of = [
            self._whole(each)
            for (level, reaches), each in sorted(self.rows.items())
            if level == part.level - 1 and part.after < reaches <= part.reaches
        ]
        return replace(part, merges=tuple(made_of))

    def write_all(self, until: int, turns_of_one: int = 1) -> None:
        """Write what is missing, until the parts reach this turn."""
        while (part := next_to_write(self.parts, until)) is not None:
            self.requests += 1
            if part.merges:
                text = " ".join(each.text or "" for each in part.merges)
                self.merged |= {(each.level, each.reaches) for each in part.merges}
            else:
                if not is_void(part, self.parts):
                    part = replace(part, reaches=min(part.reaches, part.after + turns_of_one))
                text = " ".join(self.words[turn] for turn in range(part.after + 1, part.reaches + 1))
            self.rows[part.level, part.reaches] = replace(part, text=text, merges=())

    def change(self, turn: int, word: str) -> None:
        """Change a turn's text, and void the parts that hold it."""
        self.words[turn] = word
        for key, part in self.rows.items():
            if part.after < turn <= part.reaches:
                self.rows[key] = replace(part, text=None)


def tree_of(turns: int, turns_of_one: int = 1) -> Tree:
    """Return the tree of a session with so many turns, all summed up."""
    tree = Tree({turn: f"w{turn}" for turn in range(1, turns + 1)})
    tree.write_all(turns, turns_of_one)
    return tree


growth = st.integers(1, 40).map(lambda turns: ("grow", turns))
edits = st.integers(1, 400).map(lambda turn: ("edit", turn))


@given(st.lists(growth | edits, max_size=30), st.integers(1, 5))
def test_a_summary_tells_of_each_turn_once_and_of_no_voided_word(steps: list[tuple[str, int]], of_one: int) -> None:
    """After any growth and any edits the text holds the current words of all turns, in order, each once."""
    tree, turns, edited = Tree(), 0, 0
    for step, number in steps:
        if step == "grow":
            tree.words |= {turn: f"w{turn}" for turn in range(turns + 1, turns + number + 1)}
            turns += number
        elif number <= turns:
            edited += 1
            old = tree.words[number]
            tree.change(number, f"{old.split('e')[0]}e{edited}")
            assert old not in text_of(tree.parts).split()
            assert reach(tree.parts) < number
            continue
        tree.write_all(turns, of_one)

        assert reach(tree.parts) == turns
        assert text_of(tree.parts).split() == [tree.words[turn] for turn in range(1, turns + 1)]
        assert all(before.reaches == after.after for before, after in pairwise(shown(tree.parts)))


@settings(max_examples=20)
@given(st.integers(1, FAN**3 - 1))
def test_an_edit_costs_at_most_three_requests(turn: int) -> None:
    """A session whose summary took hundreds of requests is summed up again with one for each level."""
    tree = tree_of(FAN**3 - 1)
    assert tree.requests > 500
    tree.requests = 0
    tree.change(turn, "edited")
    tree.write_all(FAN**3 - 1)

    assert 1 <= tree.requests <= 3
    assert text_of(tree.parts).count("edited") == 1


def test_the_number_of_parts_that_are_shown_is_bounded() -> None:
    """Parts of each level are merged when there are FAN of them."""
    tree = Tree()
    for turn in range(1, 300):
        tree.words[turn] = "w"
        tree.write_all(turn)

        assert len(shown(tree.parts)) <= 3 * (FAN - 1)


def test_while_a_part_is_void_the_others_are_shown() -> None:
    """A changed turn takes only the part of its own level from the summary."""
    tree = tree_of(100)
    tree.change(17, "edited")

    assert text_of(tree.parts).split() == [f"w{turn}" for turn in range(1, 101) if turn != 17]
    assert reach(tree.parts) == 16


@pytest.mark.parametrize("room", [1_500, 3_000, 12_000])
def test_all_parts_together_fit_into_their_share_of_the_room(room: int) -> None:
    """Early parts may be long, later ones are shorter, so that nothing has to be cut out of the whole."""
    parts: list[SummaryPart] = []
    for turn in range(1, 250):
        while (part := next_to_write(parts, turn, room)) is not None:
            words = most_tokens(part, parts, room)
            written = replace(part, text="x " * ((words - 4) // 2), merges=())
            parts = sorted([each for each in parts if each not in part.merges] + [written], key=lambda each: each.after)

        assert estimate_tokens(text_of(parts)) <= room // SHARE - MARKS
        assert most_tokens(SummaryPart(0, turn, turn + 1), parts, room) >= LEAST_TOKENS
