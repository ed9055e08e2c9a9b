"""The model fails: the person reads one plain sentence, and the next message works."""

from __future__ import annotations

import pytest

from bot.domain import texts
from bot.errors import Trouble
from tests.support.openai_server import Cut, Fails, Reply, delta, says
from tests.support.room import Room

LENGTH = {"message": "maximum context length is 8000 tokens", "code": "context_length_exceeded"}
KINDS: list[tuple[Trouble, list[Reply]]] = [
    (Trouble.REFUSED_KEY, [Fails(401, {"message": "Incorrect API key", "code": "invalid_api_key"})]),
    (Trouble.RATE_LIMITED, [Fails(429, {"message": "slow down"}, {"retry-after-ms": "1"})] * 6),
    (Trouble.UNAVAILABLE, [Fails(503, "", {"retry-after-ms": "1"})] * 6),
    (Trouble.EMPTY, [says(), says(), says()]),
    (Trouble.REFUSED, [says({"choices": [{"delta": {"refusal": "no"}, "finish_reason": None}]})]),
    (Trouble.WINDOW_EXCEEDED, [Fails(400, LENGTH), Fails(400, LENGTH)]),
]


@pytest.mark.parametrize("room_settings", [{"model_patience_seconds": 0.5}], ids=[""])
@pytest.mark.parametrize(("trouble", "replies"), KINDS, ids=[kind.value for kind, _ in KINDS])
async def test_each_failure_of_the_model_gets_a_sentence(room: Room, trouble: Trouble, replies: list[Reply]) -> None:
    """For each failure of the model the thread gets one sentence. The next message gets its answer."""
    script = list(replies)
    room.model.script(*script)
    talk = room.guest("Ana").mentions("my VPN is down")
    assert await talk.answers(1) == [texts.trouble(trouble)]
    room.model.unscript()

    talk.says("are you there?")

    assert (await talk.answers(2))[-1].endswith("| are you there?")


async def test_an_incomplete_answer_keeps_its_text(room: Room) -> None:
    """The stream breaks half-way each time. The last text stays, and the sentence follows it."""
    room.model.script(*[says("Have you tried ", delta("turning it"), Cut())] * 3)
    talk = room.guest("Ana").mentions("my VPN is down")

    await talk.reads(f"Have you tried turning it\n\n{texts.trouble(Trouble.CUT)}")


async def test_a_failed_answer_is_remembered_as_failed(room: Room) -> None:
    """The next request tells the model that no answer was given."""
    room.model.script(Fails(401, {"message": "no", "code": "invalid_api_key"}))
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)

    talk.says("are you there?")

    assert (await talk.answers(2))[-1] == f"I was shown: my VPN is down | {texts.FAILED_TURN} | are you there?"
