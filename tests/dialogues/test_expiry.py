"""Idle sessions expire: their texts are erased, and the bot says once that it started over."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot.domain import session_texts, texts
from bot.store.tables import MESSAGES, TURNS
from tests.support.room import Room

A_DAY = timedelta(hours=24, seconds=1)


async def test_after_a_day_a_thread_starts_over_and_says_so_once(room: Room) -> None:
    """The first answer after the expiry begins with a notice. The second does not."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.clock.advance(A_DAY)

    assert await room.services.scheduler.expire() == 1
    talk.says("hello again")
    assert (await talk.answers(2))[-1] == f"{texts.STARTED_FRESH}\n\nI was shown: hello again"
    talk.says("and again")

    assert texts.STARTED_FRESH not in (await talk.answers(3))[-1]


async def test_expiry_does_not_depend_on_the_sweep(room: Room) -> None:
    """A message after the limit opens a new session even if no sweep has run."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.clock.advance(A_DAY)

    talk.says("hello again")

    assert (await talk.answers(2))[-1] == f"{texts.STARTED_FRESH}\n\nI was shown: hello again"


async def test_a_session_in_use_does_not_expire(room: Room) -> None:
    """The limit counts from the last message, not from the first."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.clock.advance(timedelta(hours=20))
    talk.says("still down")
    await talk.answers(2)
    await room.settled()
    room.clock.advance(timedelta(hours=20))

    assert await room.services.scheduler.expire() == 0
    talk.says("and now?")

    assert "my VPN is down" in (await talk.answers(3))[-1]


async def test_the_words_of_an_expired_session_are_erased(room: Room) -> None:
    """After the sweep, the database holds neither people's messages nor the bot's answers."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.clock.advance(A_DAY)

    await room.services.scheduler.expire()

    with room.services.store.engine.connect() as connection:
        assert connection.execute(sa.select(MESSAGES.c.text)).scalars().all() == [""]
        assert connection.execute(sa.select(TURNS.c.answer)).scalars().all() == [None]


TWO_HOURS_HERE = {"session_idle_hours_by_channel": (("C0HELPDESK", 2.0),)}
WARNED = {"expiry_warning_minutes": 30.0}


@pytest.mark.parametrize("room_settings", [TWO_HOURS_HERE], ids=["two hours"])
@pytest.mark.parametrize("swept", [True, False], ids=["swept", "lazy"])
async def test_a_channel_may_have_a_limit_of_its_own(room: Room, *, swept: bool) -> None:
    """The help desk's thread expires after two hours. A direct message keeps the limit of a day."""
    ana = room.guest("Ana")
    talk, direct = ana.mentions("my VPN is down"), ana.writes("my screen flickers")
    await talk.answers(1)
    await direct.answers(1)
    await room.settled()
    room.clock.advance(timedelta(hours=2, seconds=1))
    assert not swept or await room.services.scheduler.expire() == 1

    talk.says("hello again")
    direct.says("still flickers")

    assert (await talk.answers(2))[-1] == f"{texts.STARTED_FRESH}\n\nI was shown: hello again"
    assert "my screen flickers" in (await direct.answers(2))[-1]


async def warn(room: Room) -> None:
    """Run the job that posts the warnings."""
    await next(job.func for job in room.services.scheduler._scheduler.get_jobs() if job.name == "warn_of_expiry")()  # noqa: SLF001 - not waiting for its time


@pytest.mark.parametrize("room_settings", [WARNED], ids=["half an hour"])
async def test_a_thread_is_warned_once_before_it_is_forgotten(room: Room) -> None:
    """Half an hour before the expiry, the bot posts one warning. The warning does not extend the session."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    await warn(room)
    room.clock.advance(timedelta(hours=23, minutes=40))
    await warn(room)
    await warn(room)

    assert talk.texts()[1:] == [session_texts.expires_soon(timedelta(minutes=20))]
    room.clock.advance(timedelta(minutes=20, seconds=1))
    assert await room.services.scheduler.expire() == 1


@pytest.mark.parametrize("room_settings", [WARNED], ids=["half an hour"])
async def test_a_message_after_the_warning_continues_the_session(room: Room) -> None:
    """After the next idle time, the bot warns again."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.clock.advance(timedelta(hours=23, minutes=40))
    await warn(room)
    talk.says("still down")

    assert (await talk.answers(3))[-1] == "I was shown: my VPN is down | I was shown: my VPN is down | still down"
    await room.settled()
    room.clock.advance(timedelta(hours=23, minutes=40))
    await warn(room)
    assert talk.texts()[3:] == [session_texts.expires_soon(timedelta(minutes=20))]


@pytest.mark.parametrize("room_settings", [WARNED], ids=["half an hour"])
@pytest.mark.parametrize("trouble", ["busy", "refused", "lost"])
async def test_a_warning_that_fails_loses_nothing(room: Room, trouble: str) -> None:
    """After a rate limit the warning is repeated. After a refusal or a lost confirmation it is not."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.clock.advance(timedelta(hours=23, minutes=40))
    faults = room.server.faults
    if trouble == "busy":
        faults.rate_limit("chat.postMessage", retry_after_s=60)
    elif trouble == "refused":
        faults.refuse("chat.postMessage", "restricted_action", times=1)
    else:
        faults.lose_answer("chat.postMessage")
    await warn(room)
    said = len(talk.messages())
    talk.says("still down")

    assert "my VPN is down" in (await talk.answers(said + 1))[-1]
    assert said == {"busy": 1, "refused": 1, "lost": 2}[trouble]


async def test_the_warning_is_off_by_default(room: Room) -> None:
    """The warning is off by default."""
    assert "warn_of_expiry" not in {job.name for job in room.services.scheduler._scheduler.get_jobs()}  # noqa: SLF001
