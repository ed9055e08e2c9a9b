"""Conversations that are longer than the model's window."""

from __future__ import annotations

import pytest

from bot.domain import texts
from tests.support.narrow_model import asks_for_summary
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
    """Ask so many more questions, each answered briefly. The bot summarises them when it is due."""
    for number in range(turns):
        before = len(talk.messages())
        room.model.script(says("fine"))
        talk.says(f"{number} {LONG}")
        await talk.answers(before + 1)
        await room.settled()
        await room.services.summariser.idle()


def last_question(room: Room) -> list[str]:
    """Return the messages of the last request that asked for no summary."""
    questions = [each for each in room.model.requests if not asks_for_summary(each.body["messages"])]
    return shown(questions[-1])


@NARROW
async def test_old_turns_are_summarised(room: Room) -> None:
    """The model reads a summary of the oldest turns, and the newest turns in full. The status mentions the summary."""
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
async def test_the_thread_context_is_summarised(room: Room) -> None:
    """The summary includes the thread context with its turn."""
    talk = room.guest("Ben").posts("the code of door is 7319")
    room.model.script(says("I see"))
    talk.says("@attendant hello", by=room.guest("Ana"))
    await talk.answers(1)
    await goes_on(room, talk, 6)
    summary, *turns = last_question(room)

    assert "the code of door is 7319" in summary
    assert "7319" not in "".join(turns)


@NARROW
async def test_a_message_that_is_too_long_is_shortened(room: Room) -> None:
    """The model sees its beginning and its end. A line below the answer says so."""
    room.model.script(says("What a story."))
    talk = room.guest("Ana").writes(f"It begins {'and goes on ' * 1_000} until it ends.")

    assert await talk.answers(1) == [f"What a story.\n\n{texts.SHORTENED}"]
    (text,) = shown(room.model.requests[-1])
    assert text.startswith("It begins")
    assert text.endswith("until it ends.")
    assert len(text) < 3_000


async def test_a_request_too_long_for_the_backend_is_shortened(room: Room) -> None:
    """The bot repeats a refused request with less text, and uses the window in the refusal from then on."""
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
async def test_a_deleted_message_is_removed_from_the_summary(room: Room) -> None:
    """After the deletion, no request to the model holds the message, not even in a summary."""
    talk = room.guest("Ana").writes("hello")
    await talk.answers(1)
    room.model.script(says("noted"))
    secret = talk.says("the code of door is 7319")
    await talk.answers(2)
    await goes_on(room, talk, 6)
    assert "7319" in last_question(room)[0]
    asked = len(room.model.requests)
    room.workspace.delete(room.guest("Ana").person, secret)
    await room.acknowledged()
    await goes_on(room, talk, 3)

    assert [request for request in list(room.model.requests)[asked:] if "7319" in "".join(shown(request))] == []
