"""The database is unreachable: the person reads a sentence, the operator a log line, and the next message works."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from bot.domain import texts
from bot.store.metrics import figures
from bot.testing import PausedStep
from tests.support.openai_server import says
from tests.support.outage import away, full_disk
from tests.support.room import Room, Talk, free_port
from tests.support.timeouts import GENEROUS_S


@pytest.fixture
def room_settings(database_url: str) -> dict[str, Any]:
    """Settings for each database."""
    return {"database_url": database_url, "health_port": free_port()}


@pytest.fixture
def slack_times() -> dict[str, Any]:
    """A Slack that delivers again soon."""
    return {"ack_within_s": 3.0, "retry_after_s": (0.1,) * 100}


async def test_a_database_that_is_away_while_accepting(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """Slack gets no acknowledgement and delivers again. The message is answered once. Refusals are counted."""
    with away(room.settings.database_url.get_secret_value()):
        talk = room.guest("Ana").mentions("my VPN is down")
        await logged(caplog, "slack_event_not_stored")
        await delivered_in_vain(room, talk.root)
    assert await talk.answers(1) == ["I was shown: my VPN is down"]

    talk.says("still down")
    assert (await talk.answers(2))[-1].endswith("my VPN is down | still down")
    await room.services.failed_deliveries.save()
    assert (await figures(room.services.store, now=room.clock.now())).failed_deliveries > 0


async def test_readyz_names_an_unreachable_database(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """During the outage /readyz has the counts of this process. Afterwards it has all counts."""
    everything = {
        "running": 0,
        "waiting": 0,
        "requests": 0,
        "owed": 0,
        "oldest_owed_seconds": 0,
        "takeovers": 0,
        "failed_deliveries": 0,
    }
    status, told = await room.ready()
    assert (status, told["counts"]) == (200, everything)
    with away(room.settings.database_url.get_secret_value()):
        talk = room.guest("Ana").mentions("my VPN is down")
        await logged(caplog, "slack_event_not_stored")
        status, told = await room.ready()
        assert (status, told["parts"]["database"], set(told["counts"])) == (
            503,
            False,
            {"running", "waiting", "requests", "failed_deliveries"},
        )
        assert told["counts"]["failed_deliveries"] > 0

    await talk.answers(1)
    await room.settled()
    status, told = await room.ready()
    assert told["counts"].pop("failed_deliveries") > 0
    assert (status, told["counts"] | {"failed_deliveries": 0}) == (200, everything)


async def test_a_database_outage_during_an_answer(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """The person still reads the whole answer. The turn is settled when the database is back."""
    first, second = PausedStep(), PausedStep()
    room.model.script(says("Have you ", first, "tried ", second, "turning it off?"))
    talk = room.guest("Ana").mentions("my VPN is down")
    await reads(room, talk, "Have you")
    first.release()
    await reads(room, talk, "tried")

    with away(room.settings.database_url.get_secret_value()):
        second.release()
        assert await talk.answers(1) == ["Have you tried turning it off?"]
        await logged(caplog, "database_unavailable", "job_postponed")  # with SQLite, jobs wait for the lock as well
    talk.says("yes")

    answer = "I was shown: my VPN is down | Have you tried turning it off? | yes"
    assert (await talk.answers(2))[-1] == answer


async def test_a_database_outage_before_the_first_word(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """The answer continues after the store has recorded its first message. No message is posted twice."""
    hold = room.hold_model()
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()
    with away(room.settings.database_url.get_secret_value()):
        hold.release()
        await room.until(lambda: bool(talk.messages()))
        await logged(caplog, "database_unavailable")
    assert await talk.answers(1) == ["a held answer"]
    assert len(room.model.requests) == 1

    talk.says("and now?")
    assert (await talk.answers(2))[-1] == "I was shown: my VPN is down | a held answer | and now?"


async def test_a_command_during_a_database_outage(room: Room) -> None:
    """A slash command gets a plain sentence while Slack waits. The same command works later."""
    await room.guest("Ana").mentions("my VPN is down").answers(1)
    await room.settled()
    with away(room.settings.database_url.get_secret_value()):
        assert (await room.guest("Ana").commands("/reset")).text == texts.SOMETHING_BROKE

    assert (await room.guest("Ana").commands("/reset")).text == texts.reset_count(1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_full_disk(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """A message that does not fit is refused and delivered again. With room, all messages are answered."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.model.script(says("Noted."), says("You are welcome."))
    with full_disk(room.services.store.engine):
        long = talk.says("this is the log: " + "x" * 20_000)
        await delivered_in_vain(room, long.ts)
    assert (await talk.answers(2))[-1] == "Noted."
    assert any("database or disk is full" in getattr(record, "error", "") for record in caplog.records)

    with closing(sqlite3.connect(room.database)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    talk.says("thank you")
    assert (await talk.answers(3))[-1] == "You are welcome."


async def delivered_in_vain(room: Room, ts: str) -> None:
    """Wait until Slack has delivered a message more than once without an acknowledgement."""
    await room.until(lambda: any(len(sent.attempts) > 1 for sent in room.server.deliveries.events("message", ts=ts)))
    assert not any(sent.acknowledged for sent in room.server.deliveries.events("message", ts=ts))


async def reads(room: Room, talk: Talk, words: str) -> None:
    """Wait until the thread shows this text."""
    await room.until(lambda: any(words in text for text in talk.texts()))


async def logged(caplog: pytest.LogCaptureFixture, *events: str) -> None:
    """Wait until the log has one of these events."""
    async with asyncio.timeout(GENEROUS_S):
        while not any(event in caplog.text for event in events):  # noqa: ASYNC110 - a log tells nobody that it grew
            await asyncio.sleep(0)
