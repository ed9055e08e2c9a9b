"""Edits and deletions: the bot knows and answers the current text of each message."""

from __future__ import annotations

import pytest

from tests.support.openai_server import says
from tests.support.room import Room


@pytest.mark.parametrize("room_settings", [{}, {"slack_streaming": "off"}], ids=["streamed", "edited"])
async def test_invariant_6_an_edit_replaces_the_message(room: Room) -> None:
    """A running answer restarts in the same message. Later the model is shown the new text alone."""
    hold = room.hold_model("Have you tried ")
    talk = room.guest("Ana").mentions("my VPN is dwn")
    await room.until(lambda: any("Have you tried" in text for text in talk.texts()))
    await hold.reached()
    [before] = talk.messages()

    talk.edits(None, "@attendant my printer is down")
    await talk.reads("I was shown: my printer is down")
    assert [message.ts for message in talk.messages()] == [before.ts]
    await room.settled()
    talk.edits(None, "@attendant my printer burns")
    await room.acknowledged()
    talk.says("what now?")

    assert (await talk.answers(2))[-1] == "I was shown: my printer burns | I was shown: my printer is down | what now?"


async def test_a_long_answer_that_restarts_leaves_no_old_message(room: Room) -> None:
    """The new answer reuses as many of the old answer's messages as it needs. The bot deletes the others."""
    talk = await room.begins_again()

    await talk.reads("I was shown: be brief")


async def test_an_edit_before_the_first_word(room: Room) -> None:
    """If no word is shown yet, an edit leads to one answer, to the new text."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("my VPN is dwn")
    await hold.reached()

    talk.edits(None, "@attendant my VPN is down")

    await talk.reads("I was shown: my VPN is down")


async def test_an_edit_of_a_waiting_message_changes_its_answer(room: Room) -> None:
    """A message that waits for a running answer is edited. Its turn answers the new text."""
    hold = room.hold_model("Have you tried ")
    talk = room.guest("Ana").mentions("one")
    await hold.reached()
    waits = talk.says("too")
    talk.edits(waits, "two")
    await room.acknowledged()

    hold.release()

    assert (await talk.answers(2))[-1].endswith(" | two")
    assert len(room.model.requests) == 2


async def test_an_unfurled_link_is_no_edit(room: Room) -> None:
    """Slack unfurls a link while the answer runs. The model is asked once."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("see https://example.com")
    await hold.reached()

    room.workspace.change(talk.opening, blocks=())
    await room.acknowledged()
    hold.release()

    assert await talk.answers(1) == ["a held answer"]
    assert len(room.model.requests) == 1


async def test_an_edit_that_adds_a_mention_is_answered(room: Room) -> None:
    """The message is answered once, even if Slack delivers the edit several times."""
    talk = room.guest("Ana").posts("my VPN is down")
    await room.acknowledged()

    talk.edits(None, "@attendant my VPN is down")
    assert await talk.answers(1) == ["I was shown: my VPN is down"]
    await room.acknowledged()
    await room.settled()

    assert len(room.model.requests) == 1


async def test_an_edit_that_adds_a_mention_to_an_earlier_message_is_answered(room: Room) -> None:
    """The edit turns a message from before the session into a question."""
    room.model.script(says("I see"))
    talk = room.guest("Ben").posts("who knows printers?")
    talk.says("@attendant what can we do?", by=room.guest("Ana"))
    await talk.answers(1)

    talk.edits(None, "@attendant who knows VPNs?")
    assert "ben: who knows VPNs?" in (await talk.answers(2))[-1]
    assert "printers" not in str(room.model.requests[-1].texts)


@pytest.mark.parametrize("command", ["reset", "stop"])
async def test_an_edit_into_a_command_runs_no_command(room: Room, command: str) -> None:
    """Over a question, the command is the new text. Over a message for other people, it is ignored."""
    talk, small_talk = room.guest("Ana").mentions("my VPN is down"), room.guest("Ben").posts("lovely weather")
    await talk.answers(1)
    await room.settled()

    talk.edits(None, f"@attendant {command}")
    small_talk.edits(None, f"@attendant {command}")
    await room.acknowledged()
    talk.says("go on")

    assert (await talk.answers(2))[-1] == f"I was shown: {command} | I was shown: my VPN is down | go on"
    assert small_talk.messages() == []


async def test_an_edit_of_an_earlier_message_is_not_answered(room: Room) -> None:
    """An edit of a message from before the session does not make it a question."""
    talk = room.guest("Ana").posts("teh VPN is down")
    talk.says("@attendant can you help?", by=room.guest("Ben"))
    await talk.answers(1)

    talk.edits(None, "the VPN is down")
    await room.acknowledged()
    await room.settled()

    assert len(talk.messages()) == 1


async def test_a_deleted_message_is_forgotten(room: Room) -> None:
    """Neither the deleted message nor the answer to it is shown to the model again."""
    talk = room.guest("Ana").mentions("hello")
    await talk.answers(1)
    secret = talk.says("my PIN is 1234")
    await talk.answers(2)
    await room.settled()

    talk.deletes(secret)
    await room.acknowledged()
    talk.says("go on")

    assert (await talk.answers(3))[-1] == "I was shown: hello | I was shown: hello | go on"


async def test_deleting_one_of_two_questions(room: Room) -> None:
    """The running answer restarts with the question that is left."""
    first, hold = room.hold_model(), room.hold_model("Both are ")
    talk = room.guest("Ana").mentions("zero")
    await first.reached()
    one = talk.says("my PIN is 1234")
    talk.says("my VPN is down")
    await room.acknowledged()
    first.release()
    await hold.reached()

    talk.deletes(one)

    await talk.reads("a held answer", "I was shown: zero | a held answer | my VPN is down")
