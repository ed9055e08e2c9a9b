"""The HTTP API's keys: create, list, revoke. A key's text is shown once; only its hash is stored."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from datetime import timedelta
from typing import Any

from bot.cli import output
from bot.config.settings import Settings
from bot.domain.api_keys import Key, create_secret
from bot.errors import NoDatabase
from bot.services import open_store, utc_now
from bot.store import api_keys

_DEFAULT = "default"  # the limit of GATEWAY_REQUESTS_PER_MINUTE or GATEWAY_TOKENS_PER_MINUTE


def create_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant keys create`."""
    creation = create(
        settings,
        options.name,
        days=options.days,
        requests_per_minute=options.requests_per_minute,
        tokens_per_minute=options.tokens_per_minute,
    )
    print(asyncio.run(creation))
    print("Keep it now: it is not shown again, and only its hash is stored.", file=sys.stderr)
    return 0


def list_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant keys list`."""
    try:
        keys = [_row(key) for key in asyncio.run(every(settings))]
    except NoDatabase as error:  # a newcomer has made nothing yet
        raise NoDatabase(f"{error} If there is no key yet, make one with: attendant keys create NAME") from None
    if options.json:
        output.print_json(keys)
    elif not keys:
        print("There is no key. Make one with: attendant keys create NAME", file=sys.stderr)
    elif output.is_terminal():
        title = f"{len(keys)} key{'s' * (len(keys) > 1)}"
        output.print_table([_for_person(key) for key in keys], _HEADINGS, title=title, wrapped=["name"])
    else:
        output.print_lines(keys)
    return 0


def revoke_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant keys revoke`."""
    if not asyncio.run(revoke(settings, options.id)):
        print(f"attendant: there is no usable key {options.id!r}. List them with: attendant keys list", file=sys.stderr)
        return 1
    print(f"The key {options.id} is refused from now on.")
    return 0


async def create(
    settings: Settings,
    name: str,
    *,
    days: int | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
) -> str:
    """Create a key and return its text. It is valid for the given number of days, or until it is revoked."""
    secret, now = create_secret(secrets.token_bytes), utc_now()
    key = Key(
        secret.id,
        name,
        now,
        expires_at=None if days is None else now + timedelta(days=days),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )
    async with open_store(settings) as store:
        await store.run(api_keys.add, key, secret)
    return secret.text


async def every(settings: Settings) -> list[Key]:
    """Return all keys, the newest last."""
    async with open_store(settings, must_exist=True) as store:
        return await store.run(api_keys.every)


async def revoke(settings: Settings, key_id: str) -> bool:
    """Refuse this key from now on; return False when there is no usable key of this id."""
    async with open_store(settings, must_exist=True) as store:
        return await store.run(api_keys.revoke, key_id, now=utc_now())


def _row(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "state": _state(key),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "requests_per_minute": key.requests_per_minute,
        "tokens_per_minute": key.tokens_per_minute,
    }


_REQUESTS, _TOKENS = "requests\nper min", "tokens\nper min"
_HEADINGS = ("id", "name", "state", "created", "until", _REQUESTS, _TOKENS)


def _for_person(row: dict[str, Any]) -> dict[str, Any]:
    ends_at = row["revoked_at"] or row["expires_at"]
    return {
        **row,
        "created": f"{row['created_at']:%Y-%m-%d}",
        "until": None if ends_at is None else f"{ends_at:%Y-%m-%d}",
        _REQUESTS: row["requests_per_minute"] or _DEFAULT,
        _TOKENS: row["tokens_per_minute"] or _DEFAULT,
    }


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "valid" if key.is_valid(utc_now()) else "expired"
