"""Recall: what a client resends is told from what it brings, whatever it trims, dresses up or leaves out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.client_history import lacking
from bot.prompt.history import Turn, Utterance

TALK = [("q1", "A1"), ("q2", "A2"), ("q3", "A3")]
WORDS = st.lists(st.tuples(st.sampled_from(["go", "on", "yes"]), st.sampled_from(["OK", "Done"])), max_size=8)


def turns(*said: tuple[str, str]) -> list[Turn]:
    """Questions and their answers."""
    return [Turn((Utterance("", question),), answer) for question, answer in said]


@pytest.mark.parametrize(
    ("known", "recalled", "added"),
    [
        (TALK, TALK, []),
        (TALK, TALK[1:], []),
        (TALK, TALK[:1], []),
        (TALK[:1], TALK, TALK[1:]),
        ([], TALK, TALK),
        (TALK, [("", "A2"), ("q3", "A3")], []),
        (TALK, [("", "A3")], []),
        (TALK, [("", "A3, trimmed")], []),
        ([], [("", "Hello!"), ("q1", "A1")], [("", "Hello!"), ("q1", "A1")]),
        ([("Context: …\nQ: q1", "A1")], [("q1", "A1")], []),
        ([("a\r\nb", "c\r\n")], [("a\nb", "c trimmed")], []),
        ([("go", "1")], [("go", "1"), ("middle", "2"), ("go", "3")], [("middle", "2"), ("go", "3")]),
        ([("go", "1"), ("go", "3")], [("go", "3"), ("new", "4")], [("new", "4")]),
        ([("first", "OK")], [("my name is Bob", "OK")], [("my name is Bob", "OK")]),
        ([("?", "OK")], [("my name is Bob", "OK")], [("my name is Bob", "OK")]),
        ([("first", "OK")], [("", "OK"), ("my name is Bob", "OK")], [("my name is Bob", "OK")]),
        ([("Where is **it**?", "Here.")], [("Where is it?", "Here.")], []),
        ([("a long question", "Yes.")], [("a long q…", "Yes.")], []),
        ([("q1", "A1"), ("elsewhere", "A")], [("q1", "A1"), ("q2", "A2")], [("q2", "A2")]),
    ],
)
def test_what_a_client_brings(
    known: list[tuple[str, str]], recalled: list[tuple[str, str]], added: list[tuple[str, str]]
) -> None:
    """What follows the last turn that both have, and nothing else."""
    assert list(lacking(turns(*known), turns(*recalled), whole=True)) == turns(*added)


@given(WORDS, WORDS, st.integers(0, 8))
def test_nothing_is_doubled_and_nothing_is_lost(
    known: list[tuple[str, str]], new: list[tuple[str, str]], n: int
) -> None:
    """Whoever resends all of it, however alike its turns are, adds what is new; who resends a window adds nothing."""
    assert list(lacking(turns(*known), turns(*known, *new), whole=True)) == turns(*new)
    assert not lacking(turns(*known), turns(*known[n:]), whole=True)


def test_a_session_of_which_only_the_end_is_read() -> None:
    """All of its many turns, resent, are known, though they are all the same."""
    assert lacking(turns(*[("ping", "pong")] * 200), turns(*[("ping", "pong")] * 300), whole=False) == ()
