"""Direct messages with DM_SESSIONS=rolling: their top level is one conversation, and each thread is another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from bot.domain import texts
from bot.domain.sessions import Interrupted
from bot.playground.workspace.messages import Message
from tests.support.openai_server import says
from tests.support.room import Guest, Room, shown
from tests.support.slack_inbound_stage import logged

A_DAY = timedelta(hours=24, seconds=1)


@pytest.fixture
def room_settings() -> dict[str, Any]:
    """The default setting."""
    return {"dm_sessions": "rolling"}


@dataclass(frozen=True, slots=True)
class DirectMessages:
    """A person's direct messages with the bot."""

    guest: Guest

    def says(self, text: str) -> Message:
        """Write at the top level."""
        return self.guest.writes(text).opening

    def messages(self) -> list[Message]:
        """Return the bot's messages at the top level."""
        workspace = self.guest.room.workspace
        return [each for each in workspace.app_messages(workspace.dm(self.guest.person)) if each.thread_ts is None]

    async def answers(self, count: int) -> list[str]:
        """Wait until so many whole answers stand at the top level and are stored. Return their texts."""
        await self.guest.room.until(lambda: len(self.messages()) >= count)
        await self.guest.room.settled()
        found = [message.shown_text for message in self.messages()]
        assert len(found) == count, found
        return found


def direct(room: Room, name: str = "Ana") -> DirectMessages:
    """Return a person's direct messages."""
    return DirectMessages(room.guest(name))


async def test_the_top_level_is_one_conversation(room: Room) -> None:
    """The second message knows the first. Both are answered at the top level, and nothing stands in a thread."""
    ana = direct(room)
    first = ana.says("my VPN is down")
    await ana.answers(1)
    ana.says("still down")

    assert (await ana.answers(2))[-1] == "I was shown: my VPN is down | I was shown: my VPN is down | still down"
    assert room.workspace.transcript.reply_count(first) == 0
    assert room.server.calls.of("assistant.threads.setStatus") == room.server.calls.of("chat.startStream") == []


async def test_a_thread_in_the_dm_is_another_conversation(room: Room) -> None:
    """A thread below a message knows this message alone. The top level does not know the thread."""
    ana = direct(room)
    ana.says("something else")
    await ana.answers(1)
    root = ana.says("my VPN is down")
    await ana.answers(2)
    talk = ana.guest.talk(root)
    talk.says("tell me more")
    await talk.answers(1)
    assert "something else" not in str(shown(room.model.requests[-1]))
    assert "my VPN is down" in str(shown(room.model.requests[-1]))

    ana.says("hello")
    assert "tell me more" not in (await ana.answers(3))[-1]


async def test_two_people_have_two_conversations(room: Room) -> None:
    """Nobody's direct messages know those of another."""
    ana, ben = direct(room), direct(room, "Ben")
    ana.says("my secret")
    await ana.answers(1)
    ben.says("hello")

    assert await ben.answers(1) == ["I was shown: hello"]


@pytest.mark.parametrize("how", ["!reset", "/reset", "start over", "shortcut on the answer"])
async def test_a_reset_ends_the_rolling_conversation(room: Room, how: str) -> None:
    """Each way to reset ends it, and leaves the conversation in a thread alone."""
    ana = direct(room)
    root = ana.says("my VPN is down")
    await ana.answers(1)
    talk = ana.guest.talk(root)
    talk.says("in a thread")
    await talk.answers(1)
    other = ana.says("another")
    count = len(await ana.answers(2))
    match how:
        case "!reset":
            ana.says("!reset")
            count = len(await ana.answers(3))
        case "/reset":
            reply = await ana.guest.commands("/reset", channel=room.workspace.dm(ana.guest.person).name)
            assert reply.text == texts.reset_count(1)
        case _:
            message = other if how == "start over" else ana.messages()[-1]
            room.workspace.interactions.shortcut(ana.guest.person, message, "start_over")
            await ana.guest.ephemerals(room.workspace.dm(ana.guest.person).name)
    ana.says("hello")

    assert (await ana.answers(count + 1))[-1] == "I was shown: hello"
    talk.says("still there?")
    assert "in a thread" in (await talk.answers(2))[-1]


async def test_reset_all_ends_the_threads_too(room: Room) -> None:
    """`/reset all` ends every conversation in the direct messages."""
    ana = direct(room)
    talk = ana.guest.talk(ana.says("my VPN is down"))
    await ana.answers(1)
    talk.says("in a thread")
    await talk.answers(1)
    await room.settled()

    reply = await ana.guest.commands("/reset", "all", channel=room.workspace.dm(ana.guest.person).name)
    assert reply.text == texts.reset_count(2)


async def test_it_expires_when_it_is_idle(room: Room) -> None:
    """After a day without a message it starts over, and says so once."""
    ana = direct(room)
    ana.says("my VPN is down")
    await ana.answers(1)
    room.clock.advance(A_DAY)
    ana.says("hello")

    assert (await ana.answers(2))[-1] == f"{texts.STARTED_FRESH}\n\nI was shown: hello"


async def test_one_answer_at_a_time(room: Room) -> None:
    """Messages that come during an answer wait, and are answered together."""
    ana, hold = direct(room), room.hold_model("one ")
    ana.says("first")
    await hold.reached()
    ana.says("second")
    ana.says("third")
    await room.acknowledged()
    hold.release()

    assert (await ana.answers(2))[-1].endswith(" | second\n\nthird")


async def test_a_stop_ends_the_running_answer(room: Room) -> None:
    """`!stop` at the top level stops the answer there."""
    ana, hold = direct(room), room.hold_model("The first words. ")
    ana.says("tell me everything")
    await hold.reached()
    await room.until(lambda: bool(ana.messages()))
    ana.says("!stop")

    [answer] = await ana.answers(1)
    assert answer.startswith("The first words.")
    assert texts.interrupted(Interrupted.STOPPED) in answer


async def test_an_edit_and_a_deletion(room: Room) -> None:
    """The model reads the new text of an edited message, and nothing of a deleted one."""
    ana = direct(room)
    first, second = ana.says("my VPN is down"), None
    await ana.answers(1)
    second = ana.says("and my printer")
    await ana.answers(2)
    room.workspace.edit(ana.guest.person, first, "my Wi-Fi is down")
    room.workspace.delete(ana.guest.person, second)
    await room.acknowledged()
    ana.says("so?")
    await ana.answers(3)

    conversation = str(shown(room.model.requests[-1]))
    assert "my Wi-Fi is down" in conversation
    assert "printer" not in conversation


async def test_an_edit_of_the_question_restarts_the_answer(room: Room) -> None:
    """The answer to the new text stands in the same message."""
    ana, hold = direct(room), room.hold_model("The first words. ")
    question = ana.says("helo")
    await hold.reached()
    await room.until(lambda: bool(ana.messages()))
    room.workspace.edit(ana.guest.person, question, "hello")
    await room.until(lambda: [message.shown_text for message in ana.messages()] == ["I was shown: hello"])


async def test_a_deleted_root_leaves_the_thread_below_it(room: Room) -> None:
    """A message of the rolling conversation that a thread has read as well leaves both."""
    ana = direct(room)
    root = ana.says("my secret is heliotrope")
    await ana.answers(1)
    talk = ana.guest.talk(root)
    talk.says("go on")
    await talk.answers(1)
    await room.settled()
    room.workspace.delete(ana.guest.person, root)
    await room.acknowledged()
    talk.says("and now?")
    await talk.answers(2)

    assert all("my secret" not in each for each in shown(room.model.requests[-1]) if not each.startswith("I was shown"))


async def test_an_unconfirmed_post_is_found_in_the_history(room: Room) -> None:
    """Where Slack does not confirm a post, the bot looks at the top level, and the answer stands there once."""
    ana = direct(room)
    room.server.faults.lose_answer("chat.postMessage", times=1)
    ana.says("hello")

    assert await ana.answers(1) == ["I was shown: hello"]
    assert len(room.server.calls.of("conversations.history")) >= 1


async def test_a_long_answer_stands_at_the_top_level(room: Room) -> None:
    """All messages of an answer that is split stand there, in order."""
    ana = direct(room)
    room.model.script(says("word " * 5_000))
    ana.says("tell me everything")
    await room.until(lambda: len(ana.messages()) >= 3)
    await room.settled()

    assert "".join(message.shown_text for message in ana.messages()).split() == ["word"] * 5_000


async def test_status_reports_the_rolling_conversation(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """`/attendant status` links to the direct messages, and `!status` answers at the top level."""
    ana = direct(room)
    ana.says("my VPN is down")
    await ana.answers(1)
    dm = room.workspace.dm(ana.guest.person)
    reply = await ana.guest.commands("/attendant", "status", channel=dm.name)
    assert f"archives/{dm.id}" in reply.text + str(reply.blocks)
    assert f"archives/{dm.id}/p" not in reply.text + str(reply.blocks)
    ana.says("!status")

    await ana.answers(2)
    assert logged(caplog, "slack_listener_failed") == []
