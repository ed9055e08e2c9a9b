"""The life of a session: the messages that get an answer, and the time after which it is idle."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from bot.domain.events import MessageEdited, MessageReceived
from bot.domain.sessions import is_idle, wants_answer, wants_answer_now
from tests.support.builders import DIRECT, NOON, mention, reply

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
def test_messages_that_get_an_answer(message: MessageReceived, *, outside: bool, inside: bool) -> None:
    """The bot answers a mention, a direct message, and a reply in its thread that addresses no one else."""
    assert wants_answer(message, engaged=False) is outside
    assert wants_answer(message, engaged=True) is inside


@pytest.mark.parametrize(
    ("message", "age", "wanted"),
    [
        (reply("hello", "1.0", in_=DIRECT), 60, True),
        (reply("hello", "1.0", in_=DIRECT), 61, False),
        (mention("hello"), 60, True),
        (reply("hello", "1.0"), 60, False),
    ],
    ids=["direct", "direct and old", "mention", "neither"],
)
@pytest.mark.parametrize("calls_bot", [False, True])
def test_edited_messages_that_get_an_answer(
    message: MessageReceived, age: int, *, wanted: bool, calls_bot: bool
) -> None:
    """A recently sent message that the bot would answer gets an answer after an edit. So does a new mention."""
    edited = MessageEdited(message, sent_at=NOON - timedelta(seconds=age), edited_at=NOON, calls_bot=calls_bot)

    limit = timedelta(seconds=60)
    assert wants_answer_now(edited, engaged=False, now=NOON, idle_after=limit) is (wanted or calls_bot)


@pytest.mark.parametrize(("ago", "idle"), [(0, False), (60, False), (61, True), (-5, False)])
def test_a_session_is_idle_after_the_limit(ago: int, *, idle: bool) -> None:
    """A session is idle beyond the limit. A clock that was set back does not make it idle."""
    then = NOON - timedelta(seconds=ago)

    assert is_idle(then, now=NOON, idle_after=timedelta(seconds=60)) is idle
