"""API keys: add, list and revoke them, and count their requests and tokens by the minute, over all replicas."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.api_keys import Key, Secret, matches
from bot.errors import OutOfTokens
from bot.store.tables import API_KEYS

SECONDS = 60
SHARE = 8  # of a key's tokens, one request takes at most such a part more than it needs
MAX_CLOCK_SKEW = 1  # minutes that another replica's clock may be ahead; beyond that it is wrong


@dataclass(frozen=True, slots=True)
class Spent:
    """A key's usage in the current minute, including this request, and the seconds until the next minute."""

    requests: int
    tokens: int
    seconds_left: int
    minute: int = field(default=0, compare=False)  # since 1970


@dataclass(frozen=True, slots=True)
class TokenNeed:
    """The tokens of a request: how many it must have, and how many it takes if so many are left."""

    least: int
    most: int
    plenty: int | None = None  # it takes up to so many of a key that has SHARE times as many left
    half_will_do: bool = False  # half of the limit, where that is less than it must have


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens that are set aside for a request, in a minute of its key."""

    key_id: str
    tokens: int
    minute: int


def add(connection: Connection, key: Key, secret: Secret) -> None:
    """Store a new key."""
    values = {name: getattr(key, name) for name in _COLUMNS}
    connection.execute(sa.insert(API_KEYS).values(digest=secret.digest, **values))


def every(connection: Connection) -> list[Key]:
    """Return all keys, oldest first, including expired and revoked ones."""
    rows = connection.execute(sa.select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.id))
    return [_key(row) for row in rows]


def revoke(connection: Connection, key_id: str, *, now: datetime) -> bool:
    """Revoke this key. Return False when there is no such key, or it is revoked already."""
    key = sa.update(API_KEYS).where(API_KEYS.c.id == key_id, API_KEYS.c.revoked_at.is_(None))
    return connection.execute(key.values(revoked_at=now)).rowcount == 1


def find(connection: Connection, secret: Secret) -> Key | None:
    """Return the key with this secret, even if it is expired or revoked; None when there is none."""
    row = connection.execute(_FIND, {"this_key": secret.id}).first()
    is_right = matches(secret, row.digest if row is not None else None)
    return _key(row) if row is not None and is_right else None


def admit(
    connection: Connection, secret: Secret, *, now: datetime, requests: int | None = None, tokens: int | None = None
) -> tuple[Key, Spent | None] | None:
    """Find the key of this secret. If it is valid, count one request and return the key's usage too.

    `requests` and `tokens` are the limits of a key without its own; None: no limit. A request beyond a limit is in the
    returned usage, but is not stored, so that a refused request costs no write.
    """
    if (key := find(connection, secret)) is None:
        return None
    if not key.is_valid(now):
        return key, None
    used = _used(connection, key.id, now)
    beyond_requests = requests is not None and used.requests >= (key.requests_per_minute or requests)
    beyond_tokens = tokens is not None and used.tokens >= (key.tokens_per_minute or tokens)
    if beyond_requests or beyond_tokens:
        return key, replace(used, requests=used.requests + 1)
    return key, spend(connection, key.id, requests=1, now=now)


def _used(connection: Connection, key_id: str, now: datetime) -> Spent:
    """Return the key's usage in the current minute. It may be the minute that another replica has begun."""
    row, second = connection.execute(_FIND, {"this_key": key_id}).one(), int(now.timestamp())
    if row.minute - second // SECONDS not in range(MAX_CLOCK_SKEW + 1):
        return Spent(0, 0, SECONDS - second % SECONDS, second // SECONDS)
    return Spent(row.requests, row.tokens, (row.minute + 1) * SECONDS - second, row.minute)


def spend(connection: Connection, key_id: str, *, requests: int = 0, tokens: int = 0, now: datetime) -> Spent:
    """Add to the key's usage in the current minute, and return it.

    A minute that another replica has begun is not begun again, because clocks differ and may be set back.
    """
    values = {"this_key": key_id, "now": _minute_of(now), "more_requests": requests, "more_tokens": tokens}
    row = connection.execute(_SPEND, values).one()
    return Spent(row.requests, row.tokens, (row.minute + 1) * SECONDS - int(now.timestamp()), row.minute)


def reserve(
    connection: Connection, key_id: str, need: TokenNeed, *, default_limit: int, now: datetime
) -> Reservation | None:
    """Set tokens of the current minute aside; None when there is no such key. Raises OutOfTokens.

    The key's row is locked, so that requests on several replicas cannot pass the limit together.
    """
    key = connection.execute(_FIND.with_for_update(), {"this_key": key_id}).first()
    if key is None:
        return None
    limit = key.tokens_per_minute or default_limit
    least = min(need.least, limit // 2) if need.half_will_do else need.least
    before = _used(connection, key_id, now)
    remaining = max(limit - before.tokens, 0)
    if remaining < least:
        raise OutOfTokens(needed=least, limit=limit, remaining=remaining, seconds=before.seconds_left)
    tokens = min(max(need.most, min(need.plenty or 0, remaining // SHARE)), remaining)
    spend(connection, key_id, tokens=tokens, now=now)
    return Reservation(key_id, tokens, before.minute)


def settle(connection: Connection, reservation: Reservation, used: int, *, now: datetime) -> None:
    """Replace a reservation by the tokens that were used. After its minute only those count that it did not cover."""
    more = used - reservation.tokens
    same = {"this_key": reservation.key_id, "reserved_in": reservation.minute, "more_tokens": more}
    is_over = _minute_of(now) > reservation.minute or connection.execute(_SETTLE, same).rowcount == 0
    if is_over and more > 0:
        spend(connection, reservation.key_id, tokens=more, now=now)


def _minute_of(now: datetime) -> int:
    return int(now.timestamp()) // SECONDS


_COLUMNS = ("id", "name", "created_at", "expires_at", "revoked_at", "requests_per_minute", "tokens_per_minute")
_FIND = sa.select(API_KEYS).where(API_KEYS.c.id == sa.bindparam("this_key"))
_MINUTE = sa.bindparam("now", type_=sa.BigInteger)
_IS_CURRENT = API_KEYS.c.minute.between(_MINUTE, _MINUTE + MAX_CLOCK_SKEW)


def _counted(column: sa.Column[int], more: str) -> sa.ColumnElement[int]:
    """The count plus a parameter; it starts from 0 when its minute is over."""
    return sa.case((_IS_CURRENT, column), else_=0) + sa.bindparam(more, type_=sa.BigInteger)


_SPEND = (
    sa.update(API_KEYS)
    .where(API_KEYS.c.id == sa.bindparam("this_key"))
    .values(
        minute=sa.case((_IS_CURRENT, API_KEYS.c.minute), else_=_MINUTE),
        requests=_counted(API_KEYS.c.requests, "more_requests"),
        tokens=_counted(API_KEYS.c.tokens, "more_tokens"),
    )
    .returning(API_KEYS.c.minute, API_KEYS.c.requests, API_KEYS.c.tokens)
)
_SETTLE = (
    sa.update(API_KEYS)
    .where(API_KEYS.c.id == sa.bindparam("this_key"), API_KEYS.c.minute == sa.bindparam("reserved_in"))
    .values(tokens=API_KEYS.c.tokens + sa.bindparam("more_tokens", type_=sa.BigInteger))
)


def _key(row: Row[*tuple[Any, ...]]) -> Key:
    return Key(**{name: getattr(row, name) for name in _COLUMNS})
