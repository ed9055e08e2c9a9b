"""Idle sessions expire: their words go, and the bot says once that it started over."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from bot import wording
from bot.store.tables import messages, turns
from tests.room import Room

A_DAY = timedelta(hours=24, seconds=1)


async def test_after_a_day_a_thread_starts_over_and_says_so_once(room: Room) -> None:
    """The first answer after the expiry opens with the line that says so; the second does not."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.clock.advance(A_DAY)

    assert await room.desk.scheduler.expire() == 1
    talk.says("hello again")
    assert (await talk.answers(2))[-1] == f"{wording.STARTED_FRESH}\n\nI was shown: hello again"
    talk.says("and again")

    assert wording.STARTED_FRESH not in (await talk.answers(3))[-1]


async def test_expiry_does_not_hang_on_the_sweep(room: Room) -> None:
    """A message after the limit finds a fresh session even when no sweep has run."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.clock.advance(A_DAY)

    talk.says("hello again")

    assert (await talk.answers(2))[-1] == f"{wording.STARTED_FRESH}\n\nI was shown: hello again"


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

    assert await room.desk.scheduler.expire() == 0
    talk.says("and now?")

    assert "my VPN is down" in (await talk.answers(3))[-1]


async def test_the_words_of_an_expired_session_are_erased(room: Room) -> None:
    """After the sweep neither what people wrote nor what the bot answered stands in the database."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    await room.settled()
    room.clock.advance(A_DAY)

    await room.desk.scheduler.expire()

    with room.desk.store.engine.connect() as connection:
        assert connection.execute(sa.select(messages.c.text)).scalars().all() == [""]
        assert connection.execute(sa.select(turns.c.answer)).scalars().all() == [None]
