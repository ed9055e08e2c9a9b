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


ECHOED = "my maximum context 600"


async def test_a_refusal_that_quotes_a_person_narrows_nothing(room: Room) -> None:
    """The backend's filter quotes a message that reads like an exceeded window. Everybody's window stays."""
    window = room.services.assistant.budget.window
    room.model.script(Fails(400, {"message": f"Flagged: '{ECHOED}'", "code": "content_filter"}))
    talk = room.guest("Ana").mentions(f"{ECHOED} {'word ' * 600}")

    assert await talk.answers(1) == [texts.trouble(Trouble.REFUSED)]
    assert room.services.assistant.budget.window == window


@pytest.mark.parametrize("number", ["600", "0600", "0,0,0,0,0,600", "\N{FULLWIDTH DIGIT SIX}00"])
async def test_a_number_that_a_person_wrote_is_no_window(room: Room, number: str) -> None:
    """A backend without codes quotes a message. The window stays, whatever the person wrote."""
    window = room.services.assistant.budget.window
    echoed = f"This model's maximum context length is {number} tokens."
    room.model.script(Fails(400, {"message": f"Invalid content: '{echoed}'"}))
    talk = room.guest("Ana").mentions(f"{echoed} {'word ' * 2_000}")

    assert await talk.answers(1) == [texts.trouble(Trouble.BAD_REQUEST)]
    assert room.services.assistant.budget.window == window


async def test_a_busy_backend_that_mentions_a_window_is_asked_again(room: Room) -> None:
    """A 429 is a rate limit, also where its message mentions a context size."""
    busy = {"message": "Too many requests. See 'context size' in our docs", "code": "rate_limit_exceeded"}
    room.model.script(Fails(429, busy, {"retry-after-ms": "1"}), says("ok"))

    assert await room.guest("Ana").mentions("hello").answers(1) == ["ok"]


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
