"""Client history: resent turns are recognised, even if a client trims, decorates or omits texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.client_history import MOST_STEPS, TextSearch, missing_turns
from bot.prompt.history import Turn, Utterance

TALK = [("q1", "A1"), ("q2", "A2"), ("q3", "A3")]
DECORATIONS: list[Callable[[str], str]] = [
    str,
    lambda text: f"Context: none.\nQ: {text}",
    lambda text: f"{text} Answer in one sentence.",
    lambda text: f"Use the context. {text} Be brief.",
    lambda text: f"**{text}**",
    lambda text: text[:-2] + "…",
]
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


@given(WORDS, WORDS)
def test_the_best_common_subsequence_counts(stored: list[tuple[str, str]], sent: list[tuple[str, str]]) -> None:
    """The turns after the last one of the best common subsequence are new, as a slow search by definition finds it."""
    shared = _needed(stored, sent)
    known = len(sent) <= len(stored) and all(map(_similarity, reversed(stored), reversed(sent)))

    assert list(missing_turns(turns(*stored), turns(*sent), whole=True)) == ([] if known else turns(*sent[shared:]))


def _needed(stored: Sequence[tuple[str, str]], sent: Sequence[tuple[str, str]]) -> int:
    """Return the number of sent turns that have the best common subsequence, found by trying all pairs."""

    @cache
    def best(n: int, m: int) -> tuple[int, int]:  # of the first turns: (similarity, -sent turns needed)
        if not n or not m:
            return (0, 0)
        similarity, before = _similarity(stored[n - 1], sent[m - 1]), best(n - 1, m - 1)[0]
        return max(best(n - 1, m), best(n, m - 1), *([(before + similarity, -m)] if similarity else []))

    return -best(len(stored), len(sent))[1]


def _similarity(our: tuple[str, str], their: tuple[str, str]) -> int:
    return (our[0] == their[0]) + (our == their)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["OK", "Done", "Yes."])), min_size=1, max_size=12),
    st.sampled_from(DECORATIONS),
    st.sampled_from(["stored", "sent"]),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_decorated_questions_are_recognised(
    talk: list[tuple[int, str]], decorated: Callable[[str], str], side: str, first: int, last: int
) -> None:
    """A client may decorate or trim the questions that it sends, or resend them without their decoration.

    It may resend any end or any beginning, and the answers may be short and equal.
    """
    plain = [(f"how about number {number:02}?", answer) for number, answer in talk]
    other = [(decorated(question), answer) for question, answer in plain]
    stored, sent = (other, plain) if side == "stored" else (plain, other)

    assert not missing_turns(turns(*stored), turns(*sent[first:]), whole=True)
    assert not missing_turns(turns(*stored), turns(*sent[: last + 1]), whole=True)


@given(st.lists(st.tuples(st.integers(), st.text(max_size=3)), max_size=6), st.integers(1, 20))
def test_trimmed_answers_are_recognised(talk: list[tuple[int, str]], length: int) -> None:
    """A turn is recognised by its question, however the client has cut its answer."""
    stored = [(f"question {number}", answer * 10) for number, answer in talk]
    sent = [(question, answer[:length]) for question, answer in stored]

    assert not missing_turns(turns(*stored), turns(*sent), whole=True)


class _Counter:
    """Counts the steps of searching texts in others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.searches = self.steps = 0
        is_part = TextSearch.is_part

        def counted(search: TextSearch, one: str, other: str) -> bool:
            before = search.steps_left
            found = is_part(search, one, other)
            self.searches += 1
            self.steps += before - search.steps_left
            return found

        monkeypatch.setattr(TextSearch, "is_part", counted)


def _worst(size: int, length: int) -> tuple[list[Turn], list[Turn]]:
    """Return turns with equal answers and questions that differ in their middle alone."""
    part = "a" * (length // 4)
    stored = turns(*[(f"{part}b{part}", "OK")] * size)
    return stored, turns(*[(f"{'a' * length}{number:04}", "OK") for number in range(size)])


def test_the_work_is_linear_in_the_number_of_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many turns take twice as many searches, also if all answers are equal and no question is."""
    searches = []
    for size in (100, 200):
        counter = _Counter(monkeypatch)
        assert missing_turns(*_worst(size, 50), whole=True)
        searches.append(counter.searches)
        monkeypatch.undo()

    assert searches[1] <= 2 * searches[0] <= 2 * 3 * 100


def test_the_work_is_linear_in_the_length_of_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long texts that differ in their middle alone are read a few times at most, and bounded in all."""
    steps = []
    for length in (2_000, 4_000):
        counter = _Counter(monkeypatch)
        assert missing_turns(*_worst(200, length), whole=True)
        steps.append(counter.steps)
        monkeypatch.undo()

    assert steps[1] <= 2.1 * steps[0]
    assert steps[1] <= 3 * 200 * 4_100
    counter = _Counter(monkeypatch)
    missing_turns(
        *_worst(200, 380), whole=True
    )  # parts shorter than a hundred characters, where Python searches slowly
    assert 0 < counter.steps <= MOST_STEPS


@pytest.mark.alone
@pytest.mark.parametrize(("size", "length"), [(500, 2_000), (400, 2_400), (34, 29_000), (1, 1_000_000)])
def test_a_request_of_a_megabyte_takes_milliseconds(size: int, length: int) -> None:
    """Ten milliseconds of CPU, and far below a second on a busy machine."""
    stored, sent = _worst(size, length)
    began = time.process_time()
    missing_turns(stored[:200], sent, whole=False)

    assert time.process_time() - began < 0.2
