"""API keys: random, parsed strictly, compared in constant time, and hidden in every repr."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest

from bot.domain import api_keys
from bot.domain.api_keys import Key
from tests.support.builders import NOON

SECRET = api_keys.create_secret(lambda size: b"\xa5" * size)


def test_a_key_is_what_it_is_made_of() -> None:
    """The id is a part of the key, the digest covers all of it, and no two keys are alike."""
    made = api_keys.create_secret(lambda size: bytes(range(size)))

    assert made.text == "sk-att-000102030405-" + bytes(range(32)).hex()
    assert api_keys.parse_key(made.text) == made
    assert (made.id, len(made.digest)) == ("000102030405", 64)
    assert made.digest != SECRET.digest


@pytest.mark.parametrize(
    "text",
    ["", "sk-att-", "nonsense", SECRET.text + "0", SECRET.text[:-1], SECRET.text.upper(), SECRET.text + "\n"],
)
def test_what_is_no_key_is_not_read(text: str) -> None:
    """A text that is not a key never reaches the database."""
    assert api_keys.parse_key(text) is None


def test_a_key_matches_its_digest_alone() -> None:
    """It does not match another key's digest, or none."""
    other = api_keys.create_secret(secrets.token_bytes)

    assert [api_keys.matches(SECRET, digest) for digest in (SECRET.digest, other.digest, None)] == [True, False, False]


def test_a_secret_does_not_show() -> None:
    """The secret is neither in its repr nor in its digest."""
    assert SECRET.text not in repr(SECRET)
    assert SECRET.text.rpartition("-")[2] not in SECRET.digest


@pytest.mark.parametrize(
    ("key", "valid"),
    [
        (Key("1", "n", NOON), True),
        (Key("1", "n", NOON, revoked_at=NOON), False),
        (Key("1", "n", NOON, expires_at=NOON), False),
        (Key("1", "n", NOON, expires_at=NOON + timedelta(seconds=1)), True),
    ],
)
def test_a_key_is_valid_until_its_end(key: Key, *, valid: bool) -> None:
    """A key is valid until it is revoked or expires."""
    assert key.is_valid(NOON) is valid
