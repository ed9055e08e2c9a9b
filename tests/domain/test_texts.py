"""Texts: each case has a sentence, and the sentence says how to continue."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain import quiet_texts, session_texts, texts
from bot.domain.listening import QuietOutcome
from bot.domain.sessions import Interrupted, Memory, ResetOutcome, StatusReply, StopOutcome
from bot.errors import Trouble

CONSTANTS = [value for name, value in vars(texts).items() if name.isupper() and isinstance(value, str)]
ENDS = [why for why in Interrupted if why is not Interrupted.EDITED]  # which has no sentence
SENTENCES = [
    *CONSTANTS,
    *map(texts.trouble, Trouble),
    *map(texts.fixed_reply, (*ResetOutcome, *StopOutcome)),
    *map(quiet_texts.reply, QuietOutcome),
    quiet_texts.reply(StatusReply.UNKNOWN),
    *map(texts.interrupted, ENDS),
    *map(texts.reset_count, (1, 2)),
    *(
        session_texts.status(count, ["one"] * min(count, 1), timedelta(hours=hours))
        for count in (0, 1, 2)
        for hours in (0, 24)
    ),
    session_texts.status_line("here", timedelta(), 1, timedelta()),
    *map(session_texts.memory, (None, Memory(timedelta(), 1, 0.5, timedelta()))),
    session_texts.expires_soon(timedelta(minutes=5)),
    *map(texts.forgotten, (0, 1, 2)),
    texts.help_text("attendant", "/attendant", "/reset"),
]


@pytest.mark.parametrize("sentence", SENTENCES, ids=range(len(SENTENCES)))
def test_every_sentence_is_plain(sentence: str) -> None:
    """No sentence is empty, pings anybody, or mentions exceptions and codes."""
    assert sentence.strip()
    assert not any(word in sentence for word in ("<!", "<@", "@channel", "@here", "Exception", "Error", "None", "HTTP"))


def test_each_outcome_has_its_own_sentence() -> None:
    """No two troubles, command outcomes or interruptions share a sentence."""
    assert len({texts.trouble(kind) for kind in Trouble}) == len(Trouble)
    outcomes = (*ResetOutcome, *StopOutcome)
    assert len({texts.fixed_reply(outcome) for outcome in outcomes}) == len(outcomes)
    assert len({texts.interrupted(why) for why in ENDS}) == len(ENDS)
    assert len(set(map(quiet_texts.reply, QuietOutcome))) == len(QuietOutcome)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "in a few minutes."),
        (0.0, "in a few minutes."),
        (60.0, "in a few minutes."),
        (60.1, "in 2 minutes."),
        (119.0, "in 2 minutes."),
        (3_601.0, "in 1 hour 1 minute."),
    ],
)
def test_a_known_pause_is_told(seconds: float | None, words: str) -> None:
    """It is rounded up, so that nobody comes too early. The sentences of other troubles name no time."""
    assert texts.trouble(Trouble.UNAVAILABLE, seconds).endswith(words)
    assert texts.trouble(Trouble.REFUSED, seconds) == texts.trouble(Trouble.REFUSED)


@pytest.mark.parametrize(
    ("ago", "expected"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=119), "1 hour ago"),
        (timedelta(hours=49), "2 days ago"),
    ],
)
def test_last_activity_is_given_in_the_largest_unit(ago: timedelta, expected: str) -> None:
    """A list of sessions says roughly when each was last active."""
    assert session_texts.last_active(ago) == f"Last active {expected}"


@pytest.mark.parametrize(
    ("count", "hours", "expected"),
    [
        (0, 24, "no open conversation"),
        (1, 1, "one open conversation"),
        (3, 0.5, "3 open conversations"),
        (1, 1, "after 1 hour without"),
        (1, 36, "after 1 day 12 hours without"),
        (3, 1, "\nAnd 2 more."),
    ],
)
def test_the_status_counts(count: int, hours: float, expected: str) -> None:
    """The status says how many sessions are open, and when each expires."""
    assert expected in session_texts.status(count, ["one"], timedelta(hours=hours))


def test_the_status_of_a_session_gives_figures() -> None:
    """The reply gives the age, the number of answers, the share of the memory and the time left."""
    remembered = Memory(timedelta(minutes=125), 3, 0.123, timedelta(hours=22))

    assert session_texts.memory(remembered) == (
        "I remember this conversation: started 2 hours 5 minutes ago, 3 answers, 12% of what I can keep in mind at "
        "once. I'll forget it in 22 hours unless somebody writes here, or right away on `!reset`."
    )
    line = session_texts.status_line("<link>", timedelta(), 1, timedelta(seconds=5))
    assert line == "<link>: started just now, one answer, forgotten in less than a minute"


def test_a_reset_of_several_says_how_many() -> None:
    """The reply gives the number of sessions if there are at least two."""
    assert "2 conversations" in texts.reset_count(2)
    assert "1" not in texts.reset_count(1)


def test_the_help_names_the_configured_commands() -> None:
    """The help shows the configured names of the bot and its commands."""
    help_text = texts.help_text("Otto", "/otto", "/again")

    assert all(
        word in help_text
        for word in ("Otto", "`/otto reset`", "`/otto status`", "`/again`", "`!reset`", "`!quiet`", "`!back`")
    )
    assert "/attendant" not in help_text
