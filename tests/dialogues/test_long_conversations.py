"""Conversations that are longer than the model's window."""

from __future__ import annotations

import pytest

from bot.domain import texts
from tests.support.openai_server import Fails, says
from tests.support.room import Room, Talk, shown

NARROW = pytest.mark.parametrize("room_settings", [{"history_tokens": 400}], ids=["narrow"])
LONG = "please tell me " * 12
REFUSAL = Fails(
    400,
    {
        "code": "context_length_exceeded",
        "message": "This model's maximum context length is 1500 tokens. Your messages resulted in 2000 tokens.",
    },
)


async def goes_on(room: Room, talk: Talk, turns: int) -> None:
    """So many more questions, each answered briefly, and folded into the summary when it is time to."""
    for number in range(turns):
        before = len(talk.messages())
        room.model.script(says("fine"))
        talk.says(f"{number} {LONG}")
        await talk.answers(before + 1)
        await room.settled()
        await room.services.summariser.idle()


@NARROW
async def test_what_was_said_long_ago_is_still_known(room: Room) -> None:
    """The model reads a summary of the oldest turns and the newest turns in full. The status says so."""
    talk = room.guest("Ana").writes("the code of door is 7319")
    await talk.answers(1)
    await goes_on(room, talk, 6)

    talk.says("what is my code?")
    await talk.answers(8)
    summary, *turns = shown(room.model.requests[-1])

    assert "the code of door is 7319" in summary
    assert 3 <= len(turns) < 9
    assert turns[-1] == "what is my code?"
    await room.settled()
    talk.says("!status")
    assert "8 answers" in (told := (await talk.answers(9))[-1])
    assert "with the oldest part summarized" in told


@NARROW
async def test_what_was_said_before_the_bot_was_called_is_still_known(room: Room) -> None:
    """It goes into the summary with the turn that it stands with."""
    talk = room.guest("Ben").posts("the code of door is 7319")
    room.model.script(says("I see"))
    talk.says("@attendant hello", by=room.guest("Ana"))
    await talk.answers(1)
    await goes_on(room, talk, 6)
    summary, *turns = shown(room.model.requests[-1])

    assert "the code of door is 7319" in summary
    assert "7319" not in "".join(turns)


@NARROW
async def test_a_message_that_is_too_long_is_answered_and_the_person_told(room: Room) -> None:
    """The model sees its beginning and its end; below the answer a line says so."""
    room.model.script(says("What a story."))
    talk = room.guest("Ana").writes(f"It begins {'and goes on ' * 1_000} until it ends.")

    assert await talk.answers(1) == [f"What a story.\n\n{texts.SHORTENED}"]
    (text,) = shown(room.model.requests[-1])
    assert text.startswith("It begins")
    assert text.endswith("until it ends.")
    assert len(text) < 3_000


async def test_a_backend_with_a_narrower_window_is_not_noticed(room: Room) -> None:
    """A refused request is repeated with less, and the window in the refusal counts from then on."""
    talk = room.guest("Ana").writes("hello")
    await talk.answers(1)
    for number in range(2, 8):
        room.model.script(says("fine"))
        talk.says(f"{number} {LONG * 5}")
        await talk.answers(number)
    room.model.script(REFUSAL, says("Here you are."))
    talk.says("and now?")

    assert (await talk.answers(8))[-1] == "Here you are."
    refused, accepted = list(room.model.requests)[-2:]
    assert len(shown(accepted)) < len(shown(refused))
    assert shown(accepted)[-1] == "and now?"


@NARROW
async def test_what_was_deleted_is_forgotten_although_it_was_summarised(room: Room) -> None:
    """From the deletion on, no request to the model holds the message, not even in a summary."""
    talk = room.guest("Ana").writes("hello")
    await talk.answers(1)
    room.model.script(says("noted"))
    secret = talk.says("the code of door is 7319")
    await talk.answers(2)
    await goes_on(room, talk, 6)
    assert "7319" in shown(room.model.requests[-1])[0]
    asked = len(room.model.requests)
    room.workspace.delete(room.guest("Ana").person, secret)
    await room.acknowledged()
    await goes_on(room, talk, 3)

    assert [request for request in list(room.model.requests)[asked:] if "7319" in "".join(shown(request))] == []
