"""What the model is shown: whole turns that fit, people by name, files by their metadata."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.background import Background, Earlier
from bot.events import Attachment
from bot.history import ChatMessage, Said, Turn, estimate_tokens, fit, named, read, render

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


def shown(*turns: Turn, names: dict[str, str] = NAMES) -> list[str]:
    """What the model reads of these turns."""
    return [message["content"] for messages in read(turns, names) for message in messages]


def test_a_turn_is_a_question_and_its_answer() -> None:
    """The messages answered together are one message of the user's; an answer that is owed is not there."""
    turn = Turn((Said("U1", "one"), Said("U1", " two ")))

    assert render(turn, {}, several=False) == [{"role": "user", "content": "one\n\ntwo"}]
    answered = render(Turn(turn.said, "three"), {}, several=False)
    assert answered[1] == {"role": "assistant", "content": "three"}


def test_several_people_are_told_apart_by_name() -> None:
    """Each message opens with its author's name, or says that it is not known."""
    turn = Turn((Said("U1", "hello"), Said("U2", "hi"), Said("U9", "hey")))

    assert shown(turn) == ["Ana: hello\n\nBen: hi\n\nSomebody: hey"]


def test_names_begin_when_a_second_person_writes() -> None:
    """What one person alone wrote stays as it was shown; a line says whose it was, and from there on all are named."""
    turns = [
        Turn((Said("U1", "my VPN is down"),), "oh"),
        Turn((Said("U2", "mine too"),), "ah"),
        Turn((Said("U1", "?"),)),
    ]

    assert shown(*turns) == [
        "my VPN is down", "oh", "[Until here only Ana was writing.]\n\nBen: mine too", "ah", "Ana: ?"
    ]  # fmt: skip


people = st.sampled_from(["U1", "U2", "U3"])
sayings = st.lists(st.builds(Said, people, anything), min_size=1, max_size=3).map(tuple)
backgrounds = st.builds(lambda texts: Background(tuple(Earlier("1", "U2", text) for text in texts)), st.lists(anything))
several_turns = st.lists(st.builds(Turn, sayings, anything), min_size=1, max_size=6)


@given(several_turns, backgrounds)
def test_each_request_extends_the_one_before(turns: list[Turn], before: Background) -> None:
    """How a turn reads does not change with what comes later, whoever writes then."""
    turns[0] = dataclasses.replace(turns[0], background=before)
    for count in range(1, len(turns)):
        earlier, later = list(read(turns[:count], NAMES)), list(read(turns, NAMES))
        assert later[:count] == earlier


@given(several_turns, backgrounds)
def test_whose_name_is_needed_is_known_beforehand(turns: list[Turn], before: Background) -> None:
    """Nobody is shown without a name who could have one."""
    turns[0] = dataclasses.replace(turns[0], background=before)

    assert "Somebody" not in str(shown(*turns, names=dict.fromkeys(named(turns), "One")))


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
    assert shown(Turn((Said("U1", text),))) == [read]


def test_files_are_named_and_said_to_be_out_of_sight() -> None:
    """The model knows that a file came, and that it does not see it; a message may hold nothing else."""
    file = Attachment("F1", "log.txt", "text/plain", 12)
    told = shown(Turn((Said("U1", "see", (file,)), Said("U1", "", (file,)), Said("U1", "  "))))

    name = "[attached, and not visible to you: log.txt (text/plain)]"
    assert told == [f"see\n{name}\n\n{name}\n\n(a message without text)"]


def test_nobodys_name_is_needed_where_one_person_alone_speaks() -> None:
    """Whoever is mentioned is named, and those who write only once there are several."""
    alone = Turn((Said("U1", "hi <@U3>"), Said("U1", "<@U3|x> <@U4>")), "<@U5>")

    assert named([alone]) == ["U3", "U4"]
    assert named([alone, Turn((Said("U2", "me too"),))]) == ["U3", "U4", "U1", "U2"]
    assert named([alone], several=True) == ["U1", "U3", "U4"]


@pytest.mark.parametrize("piece", ["<@", "<@U", "<@U|", "<@U|a ", "<"])
def test_a_long_text_is_read_at_once(piece: str) -> None:
    """Reading costs no more than the text is long, whatever is in it: nobody can hold the bot up with a message."""
    turn = Turn((Said("U1", piece * 50_000),))

    assert named([turn]) == []
    assert len(render(turn, NAMES, several=True)[0]["content"]) > 50_000
