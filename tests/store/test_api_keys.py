"""API keys in the store: found by their secret, revoked at once, and counted by the minute. On both databases."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta

import pytest
from sqlalchemy import event

from bot.domain.api_keys import Key, Secret, create_secret
from bot.errors import OutOfTokens
from bot.store import api_keys, tables
from bot.store.api_keys import Reservation, Spent, TokenNeed
from tests.support.store_driver import MINUTE, StoreDriver

SECRET = create_secret(secrets.token_bytes)


@pytest.fixture
async def key(driver: StoreDriver) -> Key:
    """Return a key with its own limits and expiry."""
    made = Key(SECRET.id, "website", driver.now, driver.now + timedelta(days=1), None, 5, 500)
    await driver.store.run(api_keys.add, made, SECRET)
    return made


async def test_a_key_is_found_by_its_secret(driver: StoreDriver, key: Key) -> None:
    """The stored key is returned for its complete secret only. Its id alone, or another id, finds nothing."""
    other = create_secret(secrets.token_bytes)
    keys = [
        await driver.store.run(api_keys.find, secret)
        for secret in (SECRET, other, Secret(SECRET.id, other.text), Secret(other.id, SECRET.text))
    ]

    assert keys == [key, None, None, None]
    assert await driver.store.run(api_keys.every) == [key]


async def test_a_secret_is_not_stored(driver: StoreDriver, key: Key) -> None:
    """The row holds nothing from which the secret can be restored."""
    (row,) = await driver.rows(tables.API_KEYS)

    assert key.id in str(row)
    assert SECRET.text.rpartition("-")[2] not in str(row)


async def test_a_key_is_revoked_once(driver: StoreDriver, key: Key) -> None:
    """A revoked key is still found, so that the caller learns why it is refused. An unknown key cannot be revoked."""
    done = [await driver.store.run(api_keys.revoke, key_id, now=driver.now) for key_id in (key.id, key.id, "nobody")]
    revoked = await driver.store.run(api_keys.find, SECRET)

    assert done == [True, False, False]
    assert revoked is not None
    assert not revoked.is_valid(driver.now)


async def test_replicas_share_the_counts_of_a_minute(driver: StoreDriver, key: Key) -> None:
    """All requests and tokens of a minute add up. The next minute starts from 0."""
    driver.now += timedelta(seconds=20)
    spent = [await driver.store.run(api_keys.spend, key.id, requests=1, tokens=7, now=driver.now) for _ in range(3)]
    driver.now += MINUTE
    spent.append(await driver.store.run(api_keys.spend, key.id, tokens=1, now=driver.now))

    assert spent == [Spent(1, 7, 40), Spent(2, 14, 40), Spent(3, 21, 40), Spent(0, 1, 40)]


async def test_replicas_with_different_clocks_count_together(driver: StoreDriver, key: Key) -> None:
    """At the edge of a minute, two replicas do not reset each other's count. Both know when the minute ends."""
    edge = driver.now.replace(second=0, microsecond=0)
    behind, ahead = edge - timedelta(seconds=3), edge
    spent = [await driver.store.run(api_keys.spend, key.id, requests=1, now=now) for now in [behind, ahead] * 2]

    assert spent == [Spent(1, 0, 3), Spent(1, 0, 60), Spent(2, 0, 63), Spent(3, 0, 60)]


async def test_a_clock_that_was_far_ahead_blocks_no_key(driver: StoreDriver, key: Key) -> None:
    """The counts that a wrong clock made end as soon as the clock is right again."""
    await driver.store.run(api_keys.spend, key.id, requests=1, now=driver.now + timedelta(hours=2))

    assert await driver.store.run(api_keys.spend, key.id, requests=1, now=driver.now) == Spent(1, 0, 60)


async def test_a_refused_request_is_not_counted(driver: StoreDriver, key: Key) -> None:
    """Requests with an unknown or expired key are not counted."""
    assert await driver.store.run(api_keys.admit, create_secret(secrets.token_bytes), now=driver.now) is None
    assert await driver.store.run(api_keys.admit, SECRET, now=driver.now) == (key, Spent(1, 0, 60))
    driver.now += timedelta(days=2)
    assert await driver.store.run(api_keys.admit, SECRET, now=driver.now) == (key, None)


async def reserved(driver: StoreDriver, key: Key, least: int, most: int, *, half_will_do: bool = False) -> Reservation:
    """Reserve tokens of a key."""
    need = TokenNeed(least, most, half_will_do=half_will_do)
    made = await driver.store.run(api_keys.reserve, key.id, need, default_limit=1, now=driver.now)
    assert made is not None
    return made


async def spent(driver: StoreDriver, key: Key) -> int:
    """Return the tokens that the key has spent in this minute, reservations included."""
    return (await driver.store.run(api_keys.spend, key.id, now=driver.now)).tokens


async def test_reservations_cannot_pass_the_limit_together(driver: StoreDriver, key: Key) -> None:
    """Of several at once only those succeed that fit into the limit of 500."""
    made = await asyncio.gather(*(reserved(driver, key, 200, 200) for _ in range(5)), return_exceptions=True)
    refused = [each for each in made if isinstance(each, OutOfTokens)]

    assert len(refused) == 3
    assert {(each.needed, each.limit, each.remaining) for each in refused} == {(200, 500, 100)}
    assert await spent(driver, key) == 400


async def test_a_request_that_can_do_with_less_takes_what_is_left(driver: StoreDriver, key: Key) -> None:
    """It takes the most that it may use, or the rest of the minute, or nothing if even the least is not left."""
    made = [await reserved(driver, key, 100, 300) for _ in range(2)]
    with pytest.raises(OutOfTokens):
        await reserved(driver, key, 1, 300)

    assert [each.tokens for each in made] == [300, 200]


async def test_half_of_the_limit_will_do_for_a_summary(driver: StoreDriver, key: Key) -> None:
    """A need above the limit is met by what is left, if that is at least half of the limit."""
    await reserved(driver, key, 240, 240)
    assert (await reserved(driver, key, 9_000, 9_000, half_will_do=True)).tokens == 260
    driver.now += MINUTE
    await reserved(driver, key, 260, 260)

    with pytest.raises(OutOfTokens):
        await reserved(driver, key, 9_000, 9_000, half_will_do=True)


@pytest.mark.parametrize("used", [0, 50, 700])
async def test_the_tokens_that_were_used_take_the_place_of_a_reservation(
    driver: StoreDriver, key: Key, used: int
) -> None:
    """Unused tokens are free again, and more than the reserved ones count, too."""
    made = await reserved(driver, key, 200, 200)
    await driver.store.run(api_keys.settle, made, used, now=driver.now)

    assert await spent(driver, key) == used


@pytest.mark.parametrize(("used", "counted"), [(50, 0), (700, 500)])
async def test_a_later_minute_counts_only_what_was_not_reserved(
    driver: StoreDriver, key: Key, used: int, counted: int
) -> None:
    """The reservation has counted in its own minute, which is over."""
    made = await reserved(driver, key, 200, 200)
    driver.now += MINUTE
    await driver.store.run(api_keys.settle, made, used, now=driver.now)

    assert await spent(driver, key) == counted


async def test_an_owner_without_a_key_has_no_limit(driver: StoreDriver) -> None:
    """Nothing is reserved for chats in Python without a key."""
    need = TokenNeed(9_000, 9_000)

    assert await driver.store.run(api_keys.reserve, "local", need, default_limit=1, now=driver.now) is None


async def test_a_reservation_by_a_wrong_clock_gives_no_tokens_away(driver: StoreDriver, key: Key) -> None:
    """When the clock is right again, the unused tokens are not subtracted from another minute."""
    driver.now += timedelta(hours=2)
    made = await reserved(driver, key, 200, 200)
    driver.now -= timedelta(hours=2)
    assert await spent(driver, key) == 0
    await driver.store.run(api_keys.settle, made, 50, now=driver.now)

    assert await spent(driver, key) == 0


async def test_a_refused_request_costs_no_write(driver: StoreDriver, key: Key) -> None:
    """Beyond a limit, and after the revocation of the key, requests change no row. The next minute starts from 0."""
    limits = {"requests": 5, "tokens": 500}
    admitted = [await driver.store.run(api_keys.admit, SECRET, now=driver.now, **limits) for _ in range(5)]
    assert [spent.requests for _, spent in filter(None, admitted) if spent] == [1, 2, 3, 4, 5]
    written: list[str] = []
    event.listen(driver.store.engine, "before_cursor_execute", lambda *arguments: written.append(arguments[2]))

    refused = [await driver.store.run(api_keys.admit, SECRET, now=driver.now, **limits) for _ in range(3)]
    assert refused == [(key, Spent(6, 0, 60))] * 3
    assert [statement for statement in written if not statement.startswith(("SELECT", "BEGIN"))] == []
    driver.now += MINUTE
    assert await driver.store.run(api_keys.admit, SECRET, now=driver.now, **limits) == (key, Spent(1, 0, 60))
    await driver.store.run(api_keys.spend, key.id, tokens=500, now=driver.now)
    assert await driver.store.run(api_keys.admit, SECRET, now=driver.now, **limits) == (key, Spent(2, 500, 60))
    assert (await driver.rows(tables.API_KEYS))[0].requests == 1
    await driver.store.run(api_keys.revoke, key.id, now=driver.now)
    written.clear()
    found = await driver.store.run(api_keys.admit, SECRET, now=driver.now, **limits)
    assert found is not None
    assert found[1] is None
    assert [statement for statement in written if not statement.startswith(("SELECT", "BEGIN"))] == []
