"""Keys: made, listed, revoked; and what each has spent of its minute, counted for all replicas together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.api_keys import Key, Secret, matches
from bot.store.tables import API_KEYS

SECONDS = 60
AHEAD = 1  # minutes: by so much the clock of whoever counted before may be ahead; further off, it was wrong


@dataclass(frozen=True, slots=True)
class Spent:
    """What a key has spent of this minute, the request that asks included, and how long the minute still lasts."""

    requests: int
    tokens: int
    seconds_left: int


def add(connection: Connection, key: Key, secret: Secret) -> None:
    """Store a new key."""
    values = {name: getattr(key, name) for name in _FACTS}
    connection.execute(sa.insert(API_KEYS).values(digest=secret.digest, **values))


def every(connection: Connection) -> list[Key]:
    """All keys, the newest last; also those that may not be used any more."""
    found = connection.execute(sa.select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.id))
    return [_key(row) for row in found]


def revoke(connection: Connection, key_id: str, *, now: datetime) -> bool:
    """From now on this key is refused; False when there is none that could be used."""
    usable = sa.update(API_KEYS).where(API_KEYS.c.id == key_id, API_KEYS.c.revoked_at.is_(None))
    return connection.execute(usable.values(revoked_at=now)).rowcount == 1


def find(connection: Connection, secret: Secret) -> Key | None:
    """The key with this secret, whether or not it may still be used; None when there is none."""
    row = connection.execute(_FIND, {"known_as": secret.id}).first()
    known = matches(secret, row.digest if row is not None else None)
    return _key(row) if row is not None and known else None


def admit(connection: Connection, secret: Secret, *, now: datetime) -> tuple[Key, Spent | None] | None:
    """The key with this secret and, if it may be used, what is spent with one more request."""
    if (key := find(connection, secret)) is None:
        return None
    return key, spend(connection, key.id, requests=1, now=now) if key.is_valid(now) else None


def spend(connection: Connection, key_id: str, *, requests: int = 0, tokens: int = 0, now: datetime) -> Spent:
    """Count this against the key's minute; what is spent of it now.

    A minute that another replica has begun is not begun again: their clocks differ, and a clock may be set back.
    """
    second = int(now.timestamp())
    values = {"of_key": key_id, "now": second // SECONDS, "more_requests": requests, "more_tokens": tokens}
    row = connection.execute(_SPEND, values).one()
    return Spent(row.requests, row.tokens, (row.minute + 1) * SECONDS - second)


_FACTS = ("id", "name", "created_at", "expires_at", "revoked_at", "requests_per_minute", "tokens_per_minute")
_FIND = sa.select(API_KEYS).where(API_KEYS.c.id == sa.bindparam("known_as"))
_MINUTE = sa.bindparam("now", type_=sa.BigInteger)


_LASTS = API_KEYS.c.minute.between(_MINUTE, _MINUTE + AHEAD)


def _counted(column: sa.Column[int], more: str) -> sa.ColumnElement[int]:
    """The count with so many more, from nothing when its minute is over."""
    return sa.case((_LASTS, column), else_=0) + sa.bindparam(more, type_=sa.BigInteger)


_SPEND = (
    sa.update(API_KEYS)
    .where(API_KEYS.c.id == sa.bindparam("of_key"))
    .values(
        minute=sa.case((_LASTS, API_KEYS.c.minute), else_=_MINUTE),
        requests=_counted(API_KEYS.c.requests, "more_requests"),
        tokens=_counted(API_KEYS.c.tokens, "more_tokens"),
    )
    .returning(API_KEYS.c.minute, API_KEYS.c.requests, API_KEYS.c.tokens)
)


def _key(row: Row[*tuple[Any, ...]]) -> Key:
    return Key(**{name: getattr(row, name) for name in _FACTS})
