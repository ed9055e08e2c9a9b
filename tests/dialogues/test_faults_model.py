"""The model fails: the person reads the reason, and the next message is answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from yarl import URL

from bot.domain import texts
from bot.domain.activities import Activity, working
from bot.domain.sessions import Interrupted, ResetOutcome
from bot.errors import Trouble
from bot.llm.circuit_breaker import COOL_DOWN, FAILURES
from bot.testing import PausedStep
from tests.support.openai_server import Cut, Fails, Reply, Waits, says
from tests.support.room import Room
from tests.support.timeouts import GENEROUS_S

ANSWER = "I was shown: my VPN is down"
DOWN = Fails(503, "", {"retry-after-ms": "1"})
IMPATIENT: dict[str, Any] = {"model_timeout_seconds": 1.0, "model_patience_seconds": 1.0}
NO_PATIENCE: dict[str, Any] = {"model_patience_seconds": 0.0}

PASSES: list[tuple[str, list[Reply]]] = [
    ("rate limit", [Fails(429, {"message": "slow down"}, {"retry-after": "1"})]),
    ("server error", [DOWN, DOWN]),
    ("cut before the first word", [says(Cut())]),
    ("empty", [says()]),
    ("cut", [says("Have you ", Cut())]),
    ("cut twice", [says("Have you ", Cut()), says("I would ", Cut())]),
    ("ends early", [says("Have you ", finish=None, done=False)]),
    ("breaks its form", [says("Have you ", b"data: {nonsense\n\n")]),
    ("reports an error", [says("Have you ", {"error": {"type": "server_error"}})]),
    ("falls silent", [says("Have you ", PausedStep())]),
    ("never answers", [Waits(PausedStep())]),
]
STAYS: list[tuple[str, list[Reply], str, Trouble]] = [
    ("never answers", [Waits(PausedStep())] * 2, "", Trouble.TIMEOUT),
    ("falls silent", [says("Have you ", PausedStep())] * 3, "Have you \n\n", Trouble.TIMEOUT),
    ("is cut", [says("Have you ", Cut())] * 3, "Have you \n\n", Trouble.CUT),
    ("breaks its form", [says("Have you ", b"data: {nonsense\n\n")] * 3, "Have you \n\n", Trouble.CUT),
    (
        "reports an error",
        [says("Have you ", {"error": {"type": "server_error"}})] * 3,
        "Have you \n\n",
        Trouble.UNAVAILABLE,
    ),
]


@pytest.mark.parametrize(
    "room_settings",
    [{"model_timeout_seconds": 1.0, "slack_streaming": streaming} for streaming in ("auto", "off")],
    ids=["streamed", "edited"],
)
@pytest.mark.parametrize("replies", [replies for _, replies in PASSES], ids=[name for name, _ in PASSES])
async def test_a_temporary_failure_of_the_model_is_retried(room: Room, replies: list[Reply]) -> None:
    """The bot asks again, and rewrites the message that it has begun. The person reads one whole answer."""
    room.model.script(*replies)
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.reads(ANSWER)

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
    await talk.reads(said + texts.trouble(trouble))
    await room.settled()
    assert "answer_failed" in caplog.messages

    talk.says("are you there?")
    assert (await talk.answers(2))[-1].endswith("| are you there?")


async def test_a_model_that_is_away_for_a_moment(room: Room) -> None:
    """While the model is away, the person reads a status. When it is back, they read the answer and nothing else."""
    await room.model.stop()
    talk = room.guest("Ana").mentions("my VPN is down")
    again = working(Activity.ASKING_AGAIN, timedelta())
    await room.until(lambda: room.workspace.statuses.text(talk.channel, talk.root) == again)
    await room.model.start(URL(room.model.base_url).port or 0)

    assert await talk.answers(1) == [ANSWER]
    await room.settled()
    assert room.workspace.statuses.text(talk.channel, talk.root) == ""


@pytest.mark.parametrize("how", ["stop", "reset", "delete"])
async def test_a_wait_for_a_busy_model_ends_with_the_turn(room: Room, how: str) -> None:
    """A stop, a reset or a deletion ends the wait for a busy model at once, and no further request is made."""
    room.model.script(Fails(429, "", {"retry-after": "50"}))
    talk = room.guest("Ana").mentions("my VPN is down")
    await room.model.asked(1, within_s=GENEROUS_S)
    match how:
        case "stop":
            talk.says("!stop")
            assert await talk.answers(1) == [texts.interrupted(Interrupted.STOPPED)]
        case "reset":
            talk.says("!reset")
            assert await talk.answers(1) == [texts.reset(ResetOutcome.DONE)]
        case _:
            talk.deletes()
    await room.settled()

    assert len(room.model.requests) == 1
    assert room.workspace.statuses.text(talk.channel, talk.root) == ""


async def test_an_answer_of_several_messages_is_rewritten(room: Room) -> None:
    """A long answer breaks off in its third message. The shorter one takes the place of all its messages."""
    hold = PausedStep()
    room.model.script(says("word " * 5_000, hold, Cut()), says("In short: restart it."))
    talk = room.guest("Ana").mentions("tell me everything")
    await room.until(lambda: len(talk.messages()) > 1)
    first = talk.messages()[0].ts
    hold.release()

    await talk.reads("In short: restart it.")
    await room.settled()
    assert [message.ts for message in talk.messages()] == [first]
    assert talk.texts() == ["In short: restart it."]
    talk.says("yes")
    assert (await talk.answers(2))[-1] == "I was shown: tell me everything | In short: restart it. | yes"


async def test_a_long_pause_is_told(room: Room) -> None:
    """If the backend asks for a pause beyond the patience, the person reads at once when to ask again."""
    room.model.script(Fails(429, "", {"retry-after": "5400"}))
    talk = room.guest("Ana").mentions("my VPN is down")

    assert await talk.answers(1) == [
        "I'm getting too many questions at the moment. Please ask again in 1 hour 30 minutes."
    ]
    assert len(room.model.requests) == 1


@pytest.mark.parametrize("room_settings", [NO_PATIENCE])
async def test_a_model_that_is_away_and_back(room: Room) -> None:
    """Without a model the person reads a sentence. When the model is back, the bot answers again."""
    await room.model.stop()
    talk = room.guest("Ana").mentions("my VPN is down")
    assert await talk.answers(1) == [texts.trouble(Trouble.UNAVAILABLE)]

    await room.model.start(URL(room.model.base_url).port or 0)
    talk.says("are you there?")
    assert (await talk.answers(2))[-1].endswith("| are you there?")


@pytest.mark.parametrize("room_settings", [NO_PATIENCE])
async def test_the_circuit_breaker_pauses_a_failing_model(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """After some failures the bot stops asking the model. Without patience people read why at once.

    After the pause it answers.
    """
    room.model.script(*[DOWN] * FAILURES)
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
