"""Keys in the store, on both databases: found by their secret, revoked at once, and counted by the minute."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest

from bot.domain import api_keys
from bot.domain.api_keys import Key, Secret
from bot.store import api_keys as key_rows
from bot.store import tables
from bot.store.api_keys import Spent
from tests.support.store_driver import MINUTE, Books

SECRET = api_keys.mint(secrets.token_bytes)


@pytest.fixture
async def key(books: Books) -> Key:
    """A key with limits and an end of its own."""
    made = Key(SECRET.id, "website", books.now, books.now + timedelta(days=1), None, 5, 500)
    await books.store.run(key_rows.add, made, SECRET)
    return made


async def test_a_key_is_found_by_its_secret(books: Books, key: Key) -> None:
    """As it was made; not by its id alone, and not under another id."""
    other = api_keys.mint(secrets.token_bytes)
    found = [
        await books.store.run(key_rows.find, secret)
        for secret in (SECRET, other, Secret(SECRET.id, other.text), Secret(other.id, SECRET.text))
    ]

    assert found == [key, None, None, None]
    assert await books.store.run(key_rows.every) == [key]


async def test_a_secret_is_not_stored(books: Books, key: Key) -> None:
    """Nothing in its row leads back to it."""
    (row,) = await books.rows(tables.API_KEYS)

    assert key.id in str(row)
    assert SECRET.text.rpartition("-")[2] not in str(row)


async def test_a_key_is_revoked_once(books: Books, key: Key) -> None:
    """It is still known, so that it can be told why it is refused; what is not there cannot be revoked."""
    done = [await books.store.run(key_rows.revoke, key_id, now=books.now) for key_id in (key.id, key.id, "nobody")]
    found = await books.store.run(key_rows.find, SECRET)

    assert done == [True, False, False]
    assert found is not None
    assert not found.is_valid(books.now)


async def test_a_minute_is_counted_for_all_together(books: Books, key: Key) -> None:
    """Requests and tokens, whoever counts them; the next minute begins with nothing."""
    books.now += timedelta(seconds=20)
    spent = [await books.store.run(key_rows.spend, key.id, requests=1, tokens=7, now=books.now) for _ in range(3)]
    books.now += MINUTE
    spent.append(await books.store.run(key_rows.spend, key.id, tokens=1, now=books.now))

    assert spent == [Spent(1, 7, 40), Spent(2, 14, 40), Spent(3, 21, 40), Spent(0, 1, 40)]


async def test_replicas_whose_clocks_differ_count_together(books: Books, key: Key) -> None:
    """At a minute's edge they do not begin it again in turns, and tell when it is over for both."""
    edge = books.now.replace(second=0, microsecond=0)
    behind, ahead = edge - timedelta(seconds=3), edge
    spent = [await books.store.run(key_rows.spend, key.id, requests=1, now=now) for now in [behind, ahead] * 2]

    assert spent == [Spent(1, 0, 3), Spent(1, 0, 60), Spent(2, 0, 63), Spent(3, 0, 60)]


async def test_a_clock_that_was_far_ahead_locks_no_key(books: Books, key: Key) -> None:
    """What was counted by it is over as soon as the clock is right again."""
    await books.store.run(key_rows.spend, key.id, requests=1, now=books.now + timedelta(hours=2))

    assert await books.store.run(key_rows.spend, key.id, requests=1, now=books.now) == Spent(1, 0, 60)


async def test_who_may_not_ask_is_not_counted(books: Books, key: Key) -> None:
    """Neither a stranger nor a key that has expired."""
    assert await books.store.run(key_rows.admit, api_keys.mint(secrets.token_bytes), now=books.now) is None
    assert await books.store.run(key_rows.admit, SECRET, now=books.now) == (key, Spent(1, 0, 60))
    books.now += timedelta(days=2)
    assert await books.store.run(key_rows.admit, SECRET, now=books.now) == (key, None)
