"""Long answers: beyond LONG_ANSWER_MESSAGES messages the rest comes as a file, and is forgotten with the answer."""

from __future__ import annotations

import pytest

from bot.domain.long_answer_texts import REST_IN_FILE
from bot.domain.sessions import Interrupted
from bot.domain.texts import ANSWER_ERASED, interrupted
from bot.playground.workspace.file_sharing import delete_file
from bot.slack.views.forget_confirmation import FORGET_ME
from tests.support.openai_server import says
from tests.support.room import Room, Talk, shown

pytestmark = pytest.mark.parametrize("room_settings", [{"long_answer_messages": 1}])

LONG = " ".join(f"word{number}" for number in range(2_000))


def file_texts(talk: Talk) -> list[str]:
    """Return the texts of the bot's files in the thread."""
    uploads = [talk.room.workspace.uploads.get(file["id"]) for each in talk.messages() for file in each.files]
    return [upload.content.decode() for upload in uploads if upload is not None and upload.content is not None]


async def long_answer(room: Room, answer: str = LONG) -> Talk:
    """Return a thread with a message and a file as the answer to Ana."""
    room.model.script(says(answer))
    talk = room.guest("Ana").mentions("tell me everything")
    await talk.answers(2)
    await room.settled()
    return talk


async def test_the_rest_of_an_answer_is_a_file(room: Room) -> None:
    """Message and file hold each word once. The model remembers all of them."""
    talk = await long_answer(room)
    message, _ = talk.texts()
    [rest] = file_texts(talk)

    assert message.endswith(REST_IN_FILE)
    assert f"{message.removesuffix(REST_IN_FILE)} {rest}".split() == LONG.split()
    room.model.script(says("that was all"))
    talk.says("and then?")
    await talk.answers(3)
    assert LONG in shown(room.model.requests[-1])


@pytest.mark.parametrize("how", ["deleted", "forgotten"])
async def test_the_file_is_deleted_with_the_answer(room: Room, how: str) -> None:
    """When the question is deleted, and when the asker is forgotten. The bot's own deletion has no other effect."""
    talk = await long_answer(room)
    if how == "deleted":
        talk.deletes()
    else:
        question = await room.guest("Ana").commands("/attendant", "forget me")
        room.workspace.interactions.press(talk.person, question, FORGET_ME)

    await room.until(lambda: file_texts(talk) == [])
    await room.acknowledged()


async def test_a_person_deletes_the_file(room: Room) -> None:
    """The answer leaves the bot's memory, as with a deleted message of the bot's."""
    talk = await long_answer(room)
    [file] = talk.messages()[1].files
    delete_file(room.workspace, file["id"])
    await room.acknowledged()
    room.model.script(says("I don't know"))
    talk.says("what did you say?")
    await room.until(lambda: "I don't know" in talk.texts())

    assert ANSWER_ERASED in shown(room.model.requests[-1])


async def test_a_stopped_answer_has_its_file(room: Room) -> None:
    """What was said until the stop stands in the message and in the file. The message says that it was stopped."""
    hold = room.hold_model(LONG)
    talk = room.guest("Ana").mentions("tell me everything")
    await hold.reached()
    talk.says("!stop")
    await talk.answers(2)

    assert talk.texts()[0].endswith(f"{REST_IN_FILE}\n\n{interrupted(Interrupted.STOPPED)}")
    [rest] = file_texts(talk)
    assert rest.split()[-1] == LONG.split()[-1]


async def test_an_edit_while_the_rest_is_written(room: Room) -> None:
    """The answer starts again. No file of the old one is left."""
    hold = room.hold_model(LONG)
    talk = room.guest("Ana").mentions("tell me everything")
    await hold.reached()
    talk.edits(None, "@attendant be brief")

    await talk.reads("I was shown: be brief")
    await room.settled()
    assert room.server.calls.count("files.getUploadURLExternal") == 0
