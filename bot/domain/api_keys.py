"""API keys of the gateway: create, parse and verify them.

Rule: pure. The secret is 32 random bytes, which cannot be guessed, so a fast hash without salt is enough.
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
    """A key as its owner has it: `sk-att-<id>-<secret>`. It is shown once and never stored."""

    id: str
    text: str = field(repr=False)

    @property
    def digest(self) -> str:
        """The hash that is stored in its place."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored. A limit of None means the limit from the settings."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create_secret(random_bytes: Callable[[int], bytes]) -> Secret:
    """Create the secret of a new key."""
    key_id = random_bytes(ID_BYTES).hex()
    return Secret(key_id, f"sk-att-{key_id}-{random_bytes(SECRET_BYTES).hex()}")


def parse_key(text: str) -> Secret | None:
    """Parse a key; None when the text does not have the form of one."""
    match = _KEY.fullmatch(text)
    return Secret(match["id"], text) if match else None


def matches(secret: Secret, digest: str | None) -> bool:
    """Compare a secret with a stored digest in constant time, even when there is none (None)."""
    return hmac.compare_digest(secret.digest, digest or "0" * 64)


_KEY = re.compile(rf"sk-att-(?P<id>[0-9a-f]{{{2 * ID_BYTES}}})-[0-9a-f]{{{2 * SECRET_BYTES}}}")
