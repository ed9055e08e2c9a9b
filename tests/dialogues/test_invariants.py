"""The promises of docs/invariants.md, tested with the whole bot in the playground."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sqlite3

import pytest

from bot.domain.events import Author, MessageReceived, Thread
from bot.playground.workspace import pings
from bot.store import inbox as store_inbox
from tests.support.openai_server import says
from tests.support.room import Room, shown


@pytest.mark.parametrize("slack_times", [{"ack_within_s": 1.0, "retry_after_s": (0.1,) * 50}], ids=["soon again"])
async def test_invariant_1_accepted_before_acknowledged(room: Room) -> None:
    """While the database refuses, Slack gets no acknowledgement. It delivers again, and the bot answers."""
    with sqlite3.connect(room.database) as blocker:
        blocker.execute("BEGIN IMMEDIATE")  # SQLite's one write lock: the store now waits, then gives up
        talk = room.guest("Ana").mentions("my VPN is down")
        await room.until(lambda: any(len(delivery.attempts) > 1 for delivery in room.server.deliveries.all()))
        assert not any(delivery.acknowledged for delivery in room.server.deliveries.all())
        blocker.rollback()

    assert await talk.answers(1) == ["I was shown: my VPN is down"]


async def test_invariant_2_once(room: Room) -> None:
    """A mention arrives as two events, and each is delivered again hours later. The bot answers once."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)

    for delivery in list(room.server.deliveries.all()):
        room.server.deliveries.redeliver(delivery)
        room.server.deliveries.redeliver(delivery, new_event_id=True)
    await room.acknowledged()
    talk.says("still down")

    assert len(await talk.answers(2)) == 2
    assert len(room.model.requests) == 2


async def test_invariant_2_an_ignored_event_hides_no_message(room: Room) -> None:
    """The first event of a message wants no answer and is ignored. The second one wants an answer and gets it."""
    talk = room.guest("Ana").posts("what about the canteen?")
    await room.acknowledged()
    (ignored,) = room.server.deliveries.events("message", ts=talk.root)

    mention = {
        **ignored.event,
        "type": "app_mention",
        "text": f"<@{room.workspace.app.user_id}> {ignored.event['text']}",
    }
    again = dataclasses.replace(ignored, payload={**ignored.payload, "event": mention})
    room.server.deliveries.redeliver(again, new_event_id=True)

    assert await talk.answers(1) == ["I was shown: what about the canteen?"]


async def test_invariant_4_in_order(room: Room) -> None:
    """Messages that arrive during a turn wait, and one turn answers them together, in Slack's order."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("one")
    await hold.reached()
    for text in ("two", "three", "four"):
        talk.says(text)
    await room.acknowledged()
    hold.release()

    assert len(await talk.answers(2)) == 2
    assert shown(room.model.requests[-1])[-1] == "two\n\nthree\n\nfour"


async def test_invariant_4_a_slow_thread_delays_no_other(room: Room) -> None:
    """While one thread's model hangs, another thread is answered."""
    hold = room.hold_model()
    slow = room.guest("Ana").mentions("one")
    await hold.reached()

    assert await room.guest("Ben").mentions("two").answers(1) == ["I was shown: two"]
    assert slow.messages() == []
    hold.release()
    await slow.answers(1)


async def test_invariant_5_other_workspaces_are_ignored(room: Room) -> None:
    """The bot neither reads nor answers messages of another workspace in the same database."""
    thread = Thread("slack", "T0ELSEWHERE", "C0HELPDESK", "1700000000.000001")
    message = MessageReceived(thread, thread.root, Author("U1", thread.workspace), "our secret", mentions_bot=True)
    now, idle_after = room.clock.now(), room.settings.idle_after
    assert await room.services.store.run(
        store_inbox.accept, message, now=now, new_id="elsewhere", idle_after=idle_after
    )

    await room.services.worker.poll()
    assert await room.guest("Ana").mentions("hello").answers(1) == ["I was shown: hello"]
    await room.settled()

    assert not any("our secret" in text for request in room.model.requests for text in request.texts)


async def test_invariant_5_threads_are_separate(room: Room) -> None:
    """Many threads run at once, each with a secret. No answer contains another thread's secret."""
    guests = [room.guest(name) for name in ("Ana", "Ben", "Chidi", "Dalia")]
    talks = [guest.mentions(f"secret-{n}-{guest.person.name}") for n in range(5) for guest in guests]
    await asyncio.gather(*(talk.answers(1) for talk in talks))
    for talk in talks:
        talk.says("what do you know?")
    await asyncio.gather(*(talk.answers(2) for talk in talks))

    for talk in talks:
        assert talk.texts()[-1].count("secret-") == 2, talk.texts()
        assert room.workspace.transcript.find(talk.channel.id, talk.root).text.split()[-1] in talk.texts()[-1]  # type: ignore[union-attr] # the root is there


async def test_invariant_9_never_silent(room: Room) -> None:
    """While the model thinks, the thread shows a status. The status ends with the answer."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()
    await room.until(lambda: room.workspace.statuses.text(talk.channel, talk.root) != "")
    hold.release()
    await talk.answers(1)

    assert room.workspace.statuses.text(talk.channel, talk.root) == ""


@pytest.mark.parametrize("room_settings", [{}, {"slack_streaming": "off"}], ids=["streamed", "edited"])
async def test_invariant_10_harmless_output(room: Room) -> None:
    """The answer in Slack pings nobody and unfurls no link, even if a ping is split over several deltas."""
    cut = random.Random(10)  # noqa: S311 - a test repeats itself
    ana = room.guest("Ana")
    for _ in range(12):
        order = cut.sample(PINGS, len(PINGS))
        room.model.script(says(*_pieces(f"Ask {' '.join(order)} or see https://evil.example/?q=1 …end", cut)))
        talk = ana.mentions("whom shall I ask?")
        await room.until(lambda talk=talk: "…end" in "".join(talk.texts()))  # type: ignore[misc] # a bound default

        (message,) = talk.messages()
        assert pings.pings(message.shown_text, link_names=True) == []
        assert pings.unfurled(message) == []


async def test_invariant_9_the_status_comes_first(room: Room) -> None:
    """The status shows before names are looked up and before the model is asked."""
    hold = room.server.faults.hold("users.info")
    talk = room.guest("Ana").mentions("please give @chidi access to jira")

    await room.until(lambda: room.workspace.statuses.text(talk.channel, talk.root) != "")
    assert not room.model.requests
    hold.release()

    assert await talk.answers(1) == ["I was shown: please give @chidi access to jira"]


PINGS = ["<!channel>", "<!here>", "<!everyone>", "<@U0BENOKAFO>", "<!subteam^S1|@team>", "@channel", "<#C0GENERAL0>"]


def _pieces(text: str, cut: random.Random) -> list[str]:
    pieces = []
    while text:
        length = cut.randint(1, 6)
        pieces.append(text[:length])
        text = text[length:]
    return pieces
