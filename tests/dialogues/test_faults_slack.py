"""Slack fails during an answer: in the end the thread has one whole answer, and the next message is answered."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from bot.domain import texts
from bot.domain.sessions import Interrupted
from bot.testing import PausedStep
from tests.support.openai_server import says
from tests.support.playground_stage import declare_agent
from tests.support.room import Room, Talk

EDITED = {"slack_streaming": "off"}
WAYS = pytest.mark.parametrize("room_settings", [{}, EDITED], ids=["streamed", "edited"])
ANSWER = "Have you tried turning it off?"


@pytest.fixture
def slack_times() -> dict[str, Any]:
    """A Slack that delivers again soon."""
    return {"retry_after_s": (0.1,) * 200}


@WAYS
async def test_an_outage_of_slack(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """When Slack is back, the bot finishes the answer in the same message, without asking the model again."""
    hold = PausedStep()
    room.model.script(says("Have you ", hold, "tried turning it off?"))
    talk = room.guest("Ana").mentions("my VPN is down")
    await reads(room, talk, "Have you")
    await room.server.stop()
    hold.release()
    await room.settled()
    [line] = [vars(record) for record in caplog.records if record.getMessage() == "turn_postponed"]
    assert line["seconds"] == 2

    await room.server.start(room.server.port)
    room.clock.advance(timedelta(seconds=3))
    await goes_on(room, talk)


@WAYS
@pytest.mark.parametrize("status", [500, 503])
async def test_server_errors_of_slack(room: Room, status: int) -> None:
    """No message is posted twice while each call gets a server error. Afterwards the thread has one answer.

    The model is asked once, although Slack took none of its words.
    """
    methods = ("chat.startStream", "chat.stopStream", "chat.postMessage", "chat.update", "conversations.replies")
    for method in methods:
        room.server.faults.fail(method, times=None, status=status)
    room.model.script(says(ANSWER))
    talk = room.guest("Ana").mentions("my VPN is down")
    await room.until(lambda: room.server.calls.count("conversations.replies") > 0)
    await room.settled()
    assert talk.texts() == []

    for method in methods:
        room.server.faults.clear(method)
    room.clock.advance(timedelta(seconds=3))
    await goes_on(room, talk)


@pytest.mark.parametrize("status", [None, 500], ids=["broken", "500"])
@pytest.mark.parametrize(
    ("room_settings", "method"),
    [({}, "chat.startStream"), ({}, "chat.stopStream"), (EDITED, "chat.postMessage"), (EDITED, "chat.update")],
)
async def test_a_lost_confirmation_of_slack(room: Room, method: str, status: int | None) -> None:
    """Slack carries out a call, but its response is lost. The bot finds the message and does not repeat the call."""
    room.server.faults.lose_answer(method, status=status)
    hold = PausedStep()
    room.model.script(says("Have you ", hold, "tried turning it off?"))
    talk = room.guest("Ana").mentions("my VPN is down")
    await reads(room, talk, "Have you")
    hold.release()

    await goes_on(room, talk)


@pytest.mark.parametrize(
    ("room_settings", "method"),
    [
        ({}, "chat.startStream"),
        ({}, "chat.appendStream"),
        ({}, "chat.stopStream"),
        (EDITED, "chat.postMessage"),
        (EDITED, "chat.update"),
    ],
)
async def test_a_rate_limit_of_slack(room: Room, method: str) -> None:
    """The answer waits for Slack's Retry-After. No text is lost."""
    room.server.faults.rate_limit(method, retry_after_s=1)
    hold = PausedStep()
    room.model.script(says("Have you ", hold, "tried turning it off?"))
    talk = room.guest("Ana").mentions("my VPN is down")
    await reads(room, talk, "Have you")
    hold.release()

    await goes_on(room, talk)


async def test_slack_ends_a_stream_that_is_too_old(room: Room) -> None:
    """The bot continues a long answer in the same message after Slack has ended the stream."""
    hold = PausedStep()
    room.model.script(says("Have you ", hold, "tried turning it off?"))
    talk = room.guest("Ana").mentions("my VPN is down")
    await reads(room, talk, "Have you")
    room.clock.advance(timedelta(seconds=room.workspace.variant.stream_seconds))
    room.workspace.sweep()
    hold.release()

    await goes_on(room, talk)


@WAYS
async def test_the_channel_is_archived_during_an_answer(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """The bot gives up the answer and logs that. Other threads continue."""
    hold = PausedStep()
    room.model.script(says("Have you ", hold, "tried turning it off?"))
    talk = room.guest("Ana").mentions("my VPN is down")
    await reads(room, talk, "Have you")
    archived = room.workspace.admin.archive(talk.person, talk.channel)
    hold.release()
    await room.settled()
    refused = ("answer_refused_by_platform", "orphan_not_removed")
    [line] = [vars(record) for record in caplog.records if record.getMessage() in refused]
    assert "is_archived" in line["error"]

    assert await room.guest("Ben").writes("hello").answers(1) == ["I was shown: hello"]
    room.workspace.channels[archived.id] = dataclasses.replace(archived, archived=False)
    assert await room.guest("Ana").mentions("and now?").answers(1) == ["I was shown: and now?"]


async def test_slacks_stop_button(room: Room) -> None:
    """After Slack's Stop button the text so far stays, marked as stopped. The next message is answered."""
    declare_agent(room.workspace)
    hold = PausedStep()
    room.model.script(says("Have you ", hold))
    talk = room.guest("Ana").writes("my VPN is down")
    await reads(room, talk, "Have you")
    room.workspace.interactions.stop(talk.person, talk.channel, talk.root)

    said = f"Have you \n\n{texts.interrupted(Interrupted.STOPPED)}"
    await room.until(lambda: talk.texts() == [said])
    talk.says("go on")
    assert (await talk.answers(2))[-1] == f"I was shown: my VPN is down | {said} | go on"


@pytest.mark.parametrize("room_settings", [{"max_running_turns": 1}])
async def test_a_waiting_person_sees_a_status(room: Room) -> None:
    """At the limit of running turns, the next person reads a waiting status, and then the answer."""
    hold = room.hold_model()
    first = room.guest("Ana").mentions("one")
    await hold.reached()
    talk = room.guest("Ben").mentions("two")
    await room.until(lambda: room.workspace.statuses.text(talk.channel, talk.root) == texts.WAITING)
    hold.release()

    assert await first.answers(1) == ["a held answer"]
    assert await talk.answers(1) == ["I was shown: two"]
    talk.says("three")
    assert (await talk.answers(2))[-1] == "I was shown: two | I was shown: two | three"


async def goes_on(room: Room, talk: Talk) -> None:
    """The thread has one answer, whole, and the next message is answered by a model that knows it."""
    await room.until(lambda: talk.texts() == [ANSWER])
    assert await talk.answers(1) == [ANSWER]
    await room.settled()
    assert room.workspace.statuses.text(talk.channel, talk.root) == ""

    talk.says("yes")
    assert (await talk.answers(2))[-1] == f"I was shown: my VPN is down | {ANSWER} | yes"


async def reads(room: Room, talk: Talk, words: str) -> None:
    """Wait until the thread shows this text."""
    await room.until(lambda: any(words in text for text in talk.texts()))
