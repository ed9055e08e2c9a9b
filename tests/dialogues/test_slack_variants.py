"""Conversations in each variant of Slack: answers, edits of the question, stops and failures look the same."""

from __future__ import annotations

import pytest

from bot.domain import texts as wording
from bot.domain.sessions import Interrupted
from bot.playground.workspace.messages import Message
from bot.testing import PausedStep
from tests.support.openai_server import says
from tests.support.room import Room, Talk
from tests.support.slack_variants import VARIANTS

STOPPED = wording.interrupted(Interrupted.STOPPED)
LONG = "\n\n".join(f"wörd{number} 言葉{number} |" for number in range(900)) + "\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
IN_EACH_VARIANT = pytest.mark.parametrize("variant", VARIANTS)
WAYS = pytest.mark.parametrize("room_settings", [{}, {"slack_streaming": "off"}], ids=["streamed", "edited"])


def words(talk: Talk) -> list[str]:
    """Return the words of the bot's messages, in order."""
    return " ".join(talk.texts()).split()


def is_settled(message: Message, variant: str) -> bool:
    """Return whether the message does not stream. Where Slack ends no stream, it streams until it expires."""
    return message.streaming_since is None or variant == "user_not_found"


@IN_EACH_VARIANT
@WAYS
async def test_a_long_answer_and_the_next_question(room: Room, variant: str) -> None:
    """A long answer stands whole and once, and the model is shown it with the next question."""
    room.workspace.variant = VARIANTS[variant]
    room.model.script(says(*(LONG[at : at + 500] for at in range(0, len(LONG), 500))))
    talk = room.guest("Ana").mentions("tell me everything")
    await room.until(lambda: words(talk)[-12:] == LONG.split()[-12:])
    await room.settled()
    seen = [word for word in words(talk) if word[0] in "w言"]
    assert seen == [word for word in LONG.split() if word[0] in "w言"]
    assert all(is_settled(message, variant) for message in talk.messages())

    talk.says("and then?")
    await room.until(lambda: "I was shown:" in talk.texts()[-1] or len(talk.texts()) > 4)
    await room.settled()
    assert "wörd899 言葉899" in str(room.model.requests[-1].texts)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in {"user_not_found", "no_deletions"}])
@WAYS
async def test_an_edited_question_rewrites_the_answer(room: Room, variant: str) -> None:
    """The new answer takes the place of the old one, wherever that is possible in the same message."""
    room.workspace.variant = VARIANTS[variant]
    hold = room.hold_model("Have you tried ")
    talk = room.guest("Ana").mentions("my VPN is dwn")
    await room.until(lambda: any("Have you tried" in text for text in talk.texts()))
    await hold.reached()

    talk.edits(None, "@attendant my printer is down")

    await talk.reads("I was shown: my printer is down")


@IN_EACH_VARIANT
@WAYS
async def test_a_stopped_answer(room: Room, variant: str) -> None:
    """The text so far stands once, with the mark, and does not stream."""
    room.workspace.variant = VARIANTS[variant]
    hold = PausedStep()
    room.model.script(says("Have you ", hold, "tried turning it off?"))
    talk = room.guest("Ana").mentions("my VPN is down")
    await room.until(lambda: any("Have you" in text for text in talk.texts()))
    talk.says("!stop")
    await room.until(lambda: STOPPED in " ".join(talk.texts()))
    await room.settled()

    assert " ".join(words(talk)).count("Have you") == 1
    assert "tried" not in words(talk)
    assert all(is_settled(message, variant) for message in talk.messages())
