"""What the model is shown: whole turns that fit, people by name, files by their metadata."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.events import Attachment
from bot.history import ChatMessage, Said, Turn, estimate_tokens, fit, render, speakers, spoken_of

NAMES = {"U1": "Ana", "U2": "Ben"}

anything = st.text(st.characters(codec=None), max_size=60)
asked = st.builds(lambda text: ChatMessage(role="user", content=text), anything)
told = st.builds(lambda text: ChatMessage(role="assistant", content=text), anything)
past = st.builds(lambda question, answer: [question, answer], asked, told)
histories = st.builds(lambda before, now: [*before, [now]], st.lists(past, max_size=20), asked)


def cost(messages: list[ChatMessage]) -> int:
    """What these messages are estimated at."""
    return sum(estimate_tokens(message["content"]) for message in messages)


@given(histories, st.integers(-10, 600))
def test_what_fits_is_the_newest_whole_turns_within_the_budget(turns: list[list[ChatMessage]], budget: int) -> None:
    """The newest turn always goes in; others while they fit, none skipped, none cut, the model never speaking first."""
    shown = fit(turns, budget)
    kept = next(turns[start:] for start in range(len(turns)) if [*itertools.chain(*turns[start:])] == shown)

    assert kept[-1] is turns[-1]
    assert shown[0]["role"] == "user"
    assert cost(shown) <= budget or kept == turns[-1:]


@given(histories, st.integers(0, 600))
def test_no_turn_that_would_fit_is_left_out(turns: list[list[ChatMessage]], budget: int) -> None:
    """One turn more would be over the budget, or there is none."""
    shown = fit(turns, budget)
    kept = next(count for count in range(1, len(turns) + 1) if cost([*itertools.chain(*turns[-count:])]) >= cost(shown))

    assert kept == len(turns) or cost([*itertools.chain(*turns[-kept - 1 :])]) > budget


def test_nothing_fits_nothing() -> None:
    """Without turns there is nothing to show."""
    assert fit([], 100) == []


@given(st.text(st.characters(codec=None)))
def test_an_estimate_is_positive_and_grows_with_the_text(text: str) -> None:
    """Any text can be estimated, half characters too, and more text never costs less."""
    assert 4 <= estimate_tokens(text) <= estimate_tokens(text + "x")


@pytest.mark.parametrize(("text", "tokens"), [("", 4), ("x" * 35, 14), ("語" * 35, 34)])
def test_an_estimate_counts_bytes(text: str, tokens: int) -> None:
    """3.5 bytes a token, and 4 for the message: scripts with long characters are not taken for short."""
    assert estimate_tokens(text) == tokens


def test_a_turn_is_a_question_and_its_answer() -> None:
    """The messages answered together are one message of the user's; an answer that is owed is not there."""
    turn = Turn((Said("U1", "one"), Said("U1", " two ")))

    assert render(turn, {}, several=False) == [{"role": "user", "content": "one\n\ntwo"}]
    answered = render(Turn(turn.said, "three"), {}, several=False)
    assert answered[1] == {"role": "assistant", "content": "three"}


def test_several_people_are_told_apart_by_name() -> None:
    """Each message opens with its author's name, or says that it is not known."""
    turn = Turn((Said("U1", "hello"), Said("U2", "hi"), Said("U9", "hey")))

    assert render(turn, NAMES, several=True)[0]["content"] == "Ana: hello\n\nBen: hi\n\nSomebody: hey"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ask <@U2> please", "ask @Ben please"),
        ("<@U2|ben><@U9>", "@Ben@somebody"),
        ("a < b, <@>, <@ U2>, <@U2", "a < b, <@>, <@ U2>, <@U2"),
        ("<@<@U2>>", "<@@Ben>"),
    ],
)
def test_mentions_are_read_as_names(text: str, read: str) -> None:
    """The model reads names, not ids; what only looks like a mention stays."""
    assert render(Turn((Said("U1", text),)), NAMES, several=False)[0]["content"] == read


def test_files_are_named_and_said_to_be_out_of_sight() -> None:
    """The model knows that a file came, and that it does not see it; a message may hold nothing else."""
    file = Attachment("F1", "log.txt", "text/plain", 12)
    shown = render(Turn((Said("U1", "see", (file,)), Said("U1", "", (file,)), Said("U1", "  "))), {}, several=False)

    named = "[attached, and not visible to you: log.txt (text/plain)]"
    assert shown[0]["content"] == f"see\n{named}\n\n{named}\n\n(a message without text)"


def test_who_spoke_and_who_was_spoken_of() -> None:
    """Both are known without asking the platform."""
    turns = [Turn((Said("U1", "hi <@U3>"), Said("U2", "<@U3|x> <@U4>")), "<@U5>")]

    assert speakers(turns) == {"U1", "U2"}
    assert spoken_of(turns) == {"U3", "U4"}


@pytest.mark.parametrize("piece", ["<@", "<@U", "<@U|", "<@U|a ", "<"])
def test_a_long_text_is_read_at_once(piece: str) -> None:
    """Reading costs no more than the text is long, whatever is in it: nobody can hold the bot up with a message."""
    turn = Turn((Said("U1", piece * 50_000),))

    assert spoken_of([turn]) == set()
    assert len(render(turn, NAMES, several=True)[0]["content"]) > 50_000
