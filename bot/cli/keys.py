"""The keyring: what `attendant keys` does. A key is made and shown once; what is kept of it cannot show it again."""

from __future__ import annotations

import secrets
from datetime import timedelta

from bot.config.settings import Settings
from bot.domain import api_keys
from bot.domain.api_keys import Key
from bot.services import open_store, utc_now
from bot.store import api_keys as key_rows


async def create(
    settings: Settings,
    name: str,
    *,
    days: int | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
) -> str:
    """A new key's text, for this time only; it is valid for so many days, or until it is revoked."""
    secret, now = api_keys.mint(secrets.token_bytes), utc_now()
    key = Key(
        secret.id,
        name,
        now,
        expires_at=None if days is None else now + timedelta(days=days),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )
    async with open_store(settings) as store:
        await store.run(key_rows.add, key, secret)
    return secret.text


async def lines(settings: Settings) -> list[str]:
    """The keys, a line each: id, name, since when, whether they may be used, their own limits."""
    async with open_store(settings) as store:
        return [_line(key) for key in await store.run(key_rows.every)]


async def revoke(settings: Settings, key_id: str) -> bool:
    """Refuse this key from now on; False when there is none that could be used."""
    async with open_store(settings) as store:
        return await store.run(key_rows.revoke, key_id, now=utc_now())


def _line(key: Key) -> str:
    limits = [
        f"{most} {what} a minute"
        for most, what in ((key.requests_per_minute, "requests"), (key.tokens_per_minute, "tokens"))
        if most is not None
    ]
    return "  ".join([key.id, f"{key.created_at:%Y-%m-%d}", _state(key), key.name, *limits])


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "valid"
    return f"{'valid until' if key.is_valid(utc_now()) else 'expired'} {key.expires_at:%Y-%m-%d}"
