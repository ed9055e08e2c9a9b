"""Edits and deletions: the bot knows and answers the messages as they read now."""

from __future__ import annotations

import pytest

from tests.support.openai_server import says
from tests.support.room import Room


@pytest.mark.parametrize("room_settings", [{}, {"slack_streaming": "off"}], ids=["streamed", "edited"])
async def test_invariant_6_an_edit_is_what_was_said(room: Room) -> None:
    """An answer under way begins again, in the same message; later the model is shown the new text alone."""
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


async def test_a_long_answer_that_begins_again_leaves_nothing_behind(room: Room) -> None:
    """Of the messages that held the answer so far, the new one takes as many as it needs; the others go."""
    talk = await room.begins_again()

    await talk.reads("I was shown: be brief")


async def test_an_edit_before_the_first_word(room: Room) -> None:
    """Before the first word is shown, an edit leads to one answer, to the new text."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("my VPN is dwn")
    await hold.reached()

    talk.edits(None, "@attendant my VPN is down")

    await talk.reads("I was shown: my VPN is down")


async def test_an_edit_of_what_waits(room: Room) -> None:
    """A message that waits behind a running answer is answered as it reads when its turn comes."""
    hold = room.hold_model("Have you tried ")
    talk = room.guest("Ana").mentions("one")
    await hold.reached()
    waits = talk.says("too")
    talk.edits(waits, "two")
    await room.acknowledged()

    hold.release()

    assert (await talk.answers(2))[-1].endswith(" | two")
    assert len(room.model.requests) == 2


async def test_what_slack_changes_is_no_edit(room: Room) -> None:
    """A link that Slack unfurls while the answer runs changes nothing: the model is asked once."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("see https://example.com")
    await hold.reached()

    room.workspace.change(talk.opening, blocks=())
    await room.acknowledged()
    hold.release()

    assert await talk.answers(1) == ["a held answer"]
    assert len(room.model.requests) == 1


async def test_an_edit_may_call_the_bot(room: Room) -> None:
    """A message that an edit makes mention the bot is answered, once, however often Slack delivers the edit."""
    talk = room.guest("Ana").posts("my VPN is down")
    await room.acknowledged()

    talk.edits(None, "@attendant my VPN is down")
    assert await talk.answers(1) == ["I was shown: my VPN is down"]
    await room.acknowledged()
    await room.settled()

    assert len(room.model.requests) == 1


async def test_an_edit_of_what_was_said_before_may_call_the_bot(room: Room) -> None:
    """An edit that mentions the bot turns a message before the session into a question."""
    room.model.script(says("I see"))
    talk = room.guest("Ben").posts("who knows printers?")
    talk.says("@attendant what can we do?", by=room.guest("Ana"))
    await talk.answers(1)

    talk.edits(None, "@attendant who knows VPNs?")
    assert "ben: who knows VPNs?" in (await talk.answers(2))[-1]
    assert "printers" not in str(room.model.requests[-1].texts)


@pytest.mark.parametrize("command", ["reset", "stop"])
async def test_an_edit_commands_nothing(room: Room, command: str) -> None:
    """A command is sent, never edited in: over a question it is the new text, over small talk it is ignored."""
    talk, small_talk = room.guest("Ana").mentions("my VPN is down"), room.guest("Ben").posts("lovely weather")
    await talk.answers(1)
    await room.settled()

    talk.edits(None, f"@attendant {command}")
    small_talk.edits(None, f"@attendant {command}")
    await room.acknowledged()
    talk.says("go on")

    assert (await talk.answers(2))[-1] == f"I was shown: {command} | I was shown: my VPN is down | go on"
    assert small_talk.messages() == []


async def test_the_typo_in_old_small_talk_is_no_question(room: Room) -> None:
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
    """The running answer begins again, to the question that is left."""
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
