"""The model fails: the person reads the reason, and the next message is answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from yarl import URL

from bot.domain import texts
from bot.errors import Trouble
from bot.llm.circuit_breaker import COOL_DOWN, FAILURES
from bot.testing import PausedStep
from tests.support.openai_server import Cut, Fails, Reply, Waits, says
from tests.support.room import Room

ANSWER = "I was shown: my VPN is down"
DOWN = Fails(503, "", {"retry-after-ms": "1"})
IMPATIENT: dict[str, Any] = {"model_timeout_seconds": 1.0}

PASSES: list[tuple[str, list[Reply]]] = [
    ("rate limit", [Fails(429, {"message": "slow down"}, {"retry-after": "1"})]),
    ("server error", [DOWN, DOWN]),
    ("cut before the first word", [says(Cut())]),
    ("empty", [says()]),
]
STAYS: list[tuple[str, list[Reply], str, Trouble]] = [
    ("never answers", [Waits(PausedStep())] * 3, "", Trouble.TIMEOUT),
    ("falls silent", [says("Have you ", PausedStep())], "Have you \n\n", Trouble.TIMEOUT),
    ("is cut", [says("Have you ", Cut())], "Have you \n\n", Trouble.CUT),
    ("breaks its form", [says("Have you ", b"data: {nonsense\n\n")], "Have you \n\n", Trouble.CUT),
    (
        "reports an error",
        [says("Have you ", {"error": {"type": "server_error"}})],
        "Have you \n\n",
        Trouble.UNAVAILABLE,
    ),
]


@pytest.mark.parametrize("replies", [replies for _, replies in PASSES], ids=[name for name, _ in PASSES])
async def test_a_temporary_failure_of_the_model_is_retried(room: Room, replies: list[Reply]) -> None:
    """The bot retries while no text is shown. The person reads only the answer."""
    room.model.script(*replies)
    talk = room.guest("Ana").mentions("my VPN is down")
    assert await talk.answers(1) == [ANSWER]

    talk.says("still down")
    assert (await talk.answers(2))[-1] == f"{ANSWER} | {ANSWER} | still down"


@pytest.mark.parametrize("room_settings", [IMPATIENT])
@pytest.mark.parametrize(("replies", "said", "trouble"), [case[1:] for case in STAYS], ids=[case[0] for case in STAYS])
async def test_a_lasting_failure_of_the_model_is_reported(
    room: Room, replies: list[Reply], said: str, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    """The text so far stays, one sentence says that the answer is incomplete, and the log has the cause."""
    room.model.script(*replies)
    talk = room.guest("Ana").mentions("my VPN is down")
    assert await talk.answers(1) == [said + texts.trouble(trouble)]
    await room.settled()
    assert "answer_failed" in caplog.messages

    talk.says("are you there?")
    assert (await talk.answers(2))[-1].endswith("| are you there?")


async def test_a_model_that_is_away_and_back(room: Room) -> None:
    """Without a model the person reads a sentence. When the model is back, the bot answers again."""
    await room.model.stop()
    talk = room.guest("Ana").mentions("my VPN is down")
    assert await talk.answers(1) == [texts.trouble(Trouble.UNAVAILABLE)]

    await room.model.start(URL(room.model.base_url).port or 0)
    talk.says("are you there?")
    assert (await talk.answers(2))[-1].endswith("| are you there?")


async def test_the_circuit_breaker_pauses_a_failing_model(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """After some failures the bot stops asking the model, and people read why at once. After the pause it answers."""
    room.model.script(*[DOWN] * 3 * FAILURES)
    for number in range(FAILURES):
        await room.guest("Ana").mentions(f"question {number}").answers(1)
    assert "circuit_opened" in caplog.messages
    asked = len(room.model.requests)
    talk = room.guest("Ben").mentions("my VPN is down")
    assert await talk.answers(1) == [texts.trouble(Trouble.UNAVAILABLE)]
    assert len(room.model.requests) == asked

    room.clock.advance(COOL_DOWN + timedelta(seconds=1))
    talk.says("are you there?")
    assert (await talk.answers(2))[-1].endswith("| are you there?")
