"""Stops: a command, a deleted question or a reset ends the running answer."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain import texts as wording
from bot.domain.sessions import Interrupted, ResetOutcome, StopOutcome
from bot.testing import PausedStep
from tests.support.openai_server import says
from tests.support.room import Room, Talk
from tests.support.timeouts import GENEROUS_S

STOPPED = wording.interrupted(Interrupted.STOPPED)


@pytest.mark.parametrize("text", ["!stop", "@attendant stop"])
async def test_stop_ends_the_answer_and_keeps_its_text(room: Room, text: str) -> None:
    """The text so far is marked as stopped. The model's stream is closed, and the next request shows the stop."""
    hold = room.hold_model("Have you tried ")
    talk = room.guest("Ana").mentions("my VPN is down")
    await room.until(lambda: any("Have you tried" in said for said in talk.texts()))
    await hold.reached()

    talk.says(text)
    assert await talk.answers(1) == [f"Have you tried \n\n{STOPPED}"]
    await room.model.disconnected.wait()
    talk.says("go on")

    assert (await talk.answers(2))[-1] == (f"I was shown: my VPN is down | Have you tried \n\n{STOPPED} | go on")


async def test_stop_before_the_first_word(room: Room) -> None:
    """The thread says that the answer was stopped. No answer follows."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()

    talk.says("!stop")

    assert await talk.answers(1) == [STOPPED]


async def test_stop_without_a_running_answer_gets_a_reply(room: Room) -> None:
    """`!stop` without a running answer gets one plain line."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()

    talk.says("!stop")

    assert (await talk.answers(2))[-1] == wording.fixed_reply(StopOutcome.NOTHING_RUNS)


async def test_only_participants_can_stop(room: Room) -> None:
    """The bot refuses a bystander's `!stop` with a sentence. The answer goes on."""
    hold = room.hold_model("Have you tried ")
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()
    await room.until(lambda: len(talk.texts()) == 1)
    talk.says("!stop", by=room.guest("Ben"))
    await room.acknowledged()
    hold.release()

    answer, refusal = await talk.answers(2)
    assert answer.startswith("Have you tried")
    assert STOPPED not in answer
    assert refusal == wording.fixed_reply(StopOutcome.NOT_YOURS)


@pytest.mark.parametrize(
    ("typed", "refused"),
    [
        ("!stop", wording.fixed_reply(StopOutcome.NOT_YOURS)),
        ("!reset", wording.fixed_reply(ResetOutcome.NOT_YOURS)),
    ],
)
async def test_a_bystander_is_refused_while_the_answer_runs(room: Room, typed: str, refused: str) -> None:
    """The refusal does not wait for the end of the answer, and ends neither its text nor its status."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()
    talk.says(typed, by=room.guest("Ben"))
    await room.until(lambda: talk.texts() == [refused])
    await room.until(lambda: room.workspace.statuses.text(talk.channel, talk.root) != "")
    talk.says("and my phone too")
    await room.acknowledged()
    hold.release()
    await room.until(lambda: len(talk.texts()) == 3)
    await room.settled()

    refusal, answer, following = talk.texts()
    assert refusal == refused
    assert answer.startswith("a held answer")
    assert "and my phone too" in following
    assert room.workspace.statuses.text(talk.channel, talk.root) == ""


@pytest.mark.parametrize("posted", [True, False])
async def test_a_refusal_that_slack_does_not_confirm_is_posted_once(room: Room, *, posted: bool) -> None:
    """If it was posted, the bot finds it in the thread. If not, it follows the answer."""
    lose = room.server.faults.lose_answer if posted else room.server.faults.fail
    lose("chat.postMessage", status=503)
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()
    talk.says("!stop", by=room.guest("Ben"))
    await room.until(lambda: room.server.calls.count("chat.postMessage") == 1)
    await room.acknowledged()
    hold.release()
    texts = await talk.answers(2)
    await room.settled()

    assert sorted(text.partition(" ")[0] for text in texts) == ["Only", "a"]
    assert len(talk.texts()) == 2


async def test_a_message_sent_before_a_stop_is_answered(room: Room) -> None:
    """A message sent during the answer that is stopped is not lost with it."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("one")
    await hold.reached()
    talk.says("two")
    await room.acknowledged()

    talk.says("!stop")

    assert (await talk.answers(2))[-1].endswith("two")


async def test_deleting_the_question_ends_its_answer(room: Room) -> None:
    """The question is deleted while the model thinks. It gets no answer, and the request to the model ends."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()

    asked = room.workspace.transcript.find(talk.channel.id, talk.root)
    assert asked is not None
    room.workspace.delete(talk.person, asked)
    await room.model.disconnected.wait()
    await room.settled()

    assert talk.messages() == []


async def test_reset_during_an_answer(room: Room) -> None:
    """The reset ends the running answer with a line and is confirmed. The late answer is not remembered."""
    hold = room.hold_model("Have you tried ")
    talk = room.guest("Ana").mentions("my VPN is down")
    await room.until(lambda: any("Have you tried" in said for said in talk.texts()))
    await hold.reached()

    talk.says("!reset")
    texts = await talk.answers(2)
    assert texts == [
        f"Have you tried \n\n{wording.interrupted(Interrupted.RESET)}",
        wording.fixed_reply(ResetOutcome.DONE),
    ]
    talk.says("hello again")

    assert (await talk.answers(3))[-1] == "I was shown: hello again"


async def test_after_an_uninstall_nothing_is_answered_and_nothing_remembered(room: Room) -> None:
    """When the app is removed from the workspace, its texts are erased and running answers end."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()

    room.workspace.admin.uninstall()
    await room.model.disconnected.wait()
    await room.settled()

    with room.services.store.engine.connect() as connection:
        words = connection.exec_driver_sql("SELECT text FROM messages").scalars().all()
    assert words == [""]
    assert talk.messages() == []


@pytest.mark.parametrize("room_settings", [{"long_answer_messages": 0}])
@pytest.mark.parametrize("why", [Interrupted.STOPPED, Interrupted.RESET, Interrupted.DELETED])
async def test_an_interruption_closes_the_model_while_slack_takes_no_text(room: Room, why: Interrupted) -> None:
    """The buffer is full and Slack does not reply. The model's stream is closed at once; the words so far stay."""
    slack = room.server.faults.hold("chat.stopStream")
    words = "word " * 20_000
    room.model.script(says(words, PausedStep(), "never shown"))
    talk = room.guest("Ana").mentions("tell me everything")
    await room.until(lambda: slack.waiting == 1)
    interrupt(talk, why)
    await asyncio.wait_for(room.model.disconnected.wait(), GENEROUS_S)
    assert slack.waiting == 1

    slack.release()
    line = wording.interrupted(why)
    await room.until(lambda: any(text.endswith(line) for text in talk.texts()))
    await room.settled()
    answer = [text for text in talk.texts() if text != wording.fixed_reply(ResetOutcome.DONE)]
    assert "".join(answer) == f"{words}\n\n{line}"


def interrupt(talk: Talk, why: Interrupted) -> None:
    """End the running answer in this way."""
    match why:
        case Interrupted.STOPPED:
            talk.says("!stop")
        case Interrupted.RESET:
            talk.says("!reset")
        case _:
            talk.deletes()


@pytest.mark.parametrize(("word", "line"), [("!stop", STOPPED), ("!reset", wording.fixed_reply(ResetOutcome.DONE))])
async def test_an_answer_that_waits_for_a_rate_limit_can_be_stopped(room: Room, word: str, line: str) -> None:
    """The model has finished, and Slack's rate limit delays the rest. After a stop, the rest is never posted."""
    for method in ("chat.startStream", "chat.postMessage"):
        room.server.faults.rate_limit(method, retry_after_s=3)
    room.model.script(says("THE LATE ANSWER"))
    talk = room.guest("Ana").mentions("my VPN is down")
    await room.until(lambda: room.server.calls.count("chat.postMessage") > 0)

    talk.says(word)
    assert await talk.answers(1) == [line]
    talk.says("what did I say?")
    assert "THE LATE ANSWER" not in (await talk.answers(2))[-1]
