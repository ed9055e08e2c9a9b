"""A session's life: which messages want an answer, and when a session is idle."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from bot.events import MessageReceived
from bot.sessions import is_idle, wants_answer
from tests.builders import DIRECT, NOON, mention, reply

THEIRS = dataclasses.replace(reply("<@U2> look", "1.0"), addresses_other=True)


@pytest.mark.parametrize(
    ("message", "outside", "inside"),
    [
        (mention("hello"), True, True),
        (dataclasses.replace(mention("<@U2> and you"), addresses_other=True), True, True),
        (reply("hello", "1.0"), False, True),
        (THEIRS, False, False),
        (reply("hello", "1.0", in_=DIRECT), True, True),
        (dataclasses.replace(THEIRS, thread=DIRECT), True, True),
    ],
    ids=["mention", "mention and another", "reply", "to another", "direct", "direct, of another"],
)
def test_what_wants_an_answer(message: MessageReceived, *, outside: bool, inside: bool) -> None:
    """A mention, a direct message, or a reply where the bot takes part, unless that addresses somebody else."""
    assert wants_answer(message, engaged=False) is outside
    assert wants_answer(message, engaged=True) is inside


@pytest.mark.parametrize(("ago", "idle"), [(0, False), (60, False), (61, True), (-5, False)])
def test_a_session_is_idle_after_the_limit(ago: int, *, idle: bool) -> None:
    """Silent for longer than the limit is idle; a clock that was set back makes nothing idle."""
    then = NOON - timedelta(seconds=ago)

    assert is_idle(then, now=NOON, idle_after=timedelta(seconds=60)) is idle
