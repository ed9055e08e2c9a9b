"""A gateway key: how it is made and read, and what of it may be stored.

Rule: pure. The secret is 32 random bytes, so nobody can guess it from its hash, and a quick hash without salt is
enough: slow ones are for what people choose.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

SECRET_BYTES = 32
ID_BYTES = 6
NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Secret:
    """A key as its owner holds it: `sk-att-<id>-<secret>`. Its text is shown once."""

    id: str
    text: str = field(repr=False)

    @property
    def digest(self) -> str:
        """What is stored of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored. Limits that are None are the settings'."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it may be used now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def mint(random_bytes: Callable[[int], bytes]) -> Secret:
    """A new key's secret."""
    key_id = random_bytes(ID_BYTES).hex()
    return Secret(key_id, f"sk-att-{key_id}-{random_bytes(SECRET_BYTES).hex()}")


def read(text: str) -> Secret | None:
    """What somebody presents as a key, or None when it cannot be one."""
    found = _KEY.fullmatch(text)
    return Secret(found["id"], text) if found else None


def matches(secret: Secret, digest: str | None) -> bool:
    """Whether this is the secret whose digest is stored; without one it takes as long to say no."""
    return hmac.compare_digest(secret.digest, digest or "0" * 64)


_KEY = re.compile(rf"sk-att-(?P<id>[0-9a-f]{{{2 * ID_BYTES}}})-[0-9a-f]{{{2 * SECRET_BYTES}}}")
