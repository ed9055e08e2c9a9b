"""API keys: random, parsed strictly, compared in constant time, and hidden in every repr."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest

from bot.domain import api_keys
from bot.domain.api_keys import Key
from tests.support.builders import NOON

SECRET = api_keys.create_secret(lambda size: b"\xa5" * size)


def test_a_key_contains_its_id_and_its_digest_covers_it() -> None:
    """The key contains its id. The digest covers the whole key, and two keys are never equal."""
    made = api_keys.create_secret(lambda size: bytes(range(size)))

    assert made.text == "sk-att-000102030405-" + bytes(range(32)).hex()
    assert api_keys.parse_key(made.text) == made
    assert (made.id, len(made.digest)) == ("000102030405", 64)
    assert made.digest != SECRET.digest


@pytest.mark.parametrize(
    "text",
    ["", "sk-att-", "nonsense", SECRET.text + "0", SECRET.text[:-1], SECRET.text.upper(), SECRET.text + "\n"],
)
def test_text_that_is_no_key_is_refused(text: str) -> None:
    """The parser refuses a text that is not a key, so that it never reaches the database."""
    assert api_keys.parse_key(text) is None


def test_a_key_matches_its_digest_alone() -> None:
    """A key matches its own digest. It matches neither another key's digest nor a missing one."""
    other = api_keys.create_secret(secrets.token_bytes)

    assert [api_keys.matches(SECRET, digest) for digest in (SECRET.digest, other.digest, None)] == [True, False, False]


def test_a_secret_does_not_show() -> None:
    """Neither the repr of a key nor its digest contains the secret."""
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
