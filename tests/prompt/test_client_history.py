"""Client history: resent turns are recognised, even if a client trims, decorates or omits texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.client_history import missing_turns
from bot.prompt.history import Turn, Utterance

TALK = [("q1", "A1"), ("q2", "A2"), ("q3", "A3")]
WORDS = st.lists(st.tuples(st.sampled_from(["go", "on", "yes"]), st.sampled_from(["OK", "Done"])), max_size=8)


def turns(*texts: tuple[str, str]) -> list[Turn]:
    """Return turns with these questions and answers."""
    return [Turn((Utterance("", question),), answer) for question, answer in texts]


@pytest.mark.parametrize(
    ("stored", "sent", "added"),
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
def test_new_turns_of_a_client(
    stored: list[tuple[str, str]], sent: list[tuple[str, str]], added: list[tuple[str, str]]
) -> None:
    """Only the turns after the last shared one are new."""
    assert list(missing_turns(turns(*stored), turns(*sent), whole=True)) == turns(*added)


@given(WORDS, WORDS, st.integers(0, 8))
def test_nothing_is_doubled_and_nothing_is_lost(
    stored: list[tuple[str, str]], new: list[tuple[str, str]], n: int
) -> None:
    """A client that resends equal turns adds only its new ones. A client that resends the newest turn adds none."""
    assert list(missing_turns(turns(*stored), turns(*stored, *new), whole=True)) == turns(*new)
    assert not missing_turns(turns(*stored), turns(*stored[n:]), whole=True)


def test_a_session_that_is_read_from_its_end() -> None:
    """All turns of a long session are recognised, even if they are all equal."""
    assert missing_turns(turns(*[("ping", "pong")] * 200), turns(*[("ping", "pong")] * 300), whole=False) == ()
