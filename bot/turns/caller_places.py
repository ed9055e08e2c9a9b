"""The threads of callers' sessions, over HTTP and in Python. Their names are keyed hashes of the callers' own names.

Rule: a caller may name a session by a customer number. Without the installation's secret nobody can find the number by
trying all of them against the log or against a copy of the rows.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from bot.domain.events import Thread
from bot.store import chat_turns
from bot.store.repeated_turns import IdempotencyKey


@dataclass(frozen=True, slots=True)
class CallerPlaces:
    """Finds the thread of a session by the caller's name for it."""

    secret: bytes = field(repr=False)

    def session(self, owner: str, name: str) -> Thread:
        """Return the thread of the session that its owner calls by this name: the session header, or the chat's id."""
        return Thread(chat_turns.PLATFORM, owner, "", self._hash(name), direct=True)

    def single(self, owner: str, idempotency_key: str) -> Thread:
        """Return the thread of a question without a session, where its idempotency key is stored."""
        return Thread(chat_turns.PLATFORM, owner, "once", self._hash(idempotency_key), direct=True)

    def idempotency_key(self, key: str, request_digest: str) -> IdempotencyKey:
        """Return a request's idempotency key as it is stored."""
        return IdempotencyKey(self._hash(key), self._keyed(request_digest))

    def _hash(self, text: str) -> str:
        return self._keyed(hashlib.sha256(text.encode()).hexdigest())

    def _keyed(self, digest: str) -> str:
        """Return the keyed hash of a digest. Migration 0011 made the older rows' hashes out of their digests."""
        return hmac.new(self.secret, digest.encode(), hashlib.sha256).hexdigest()
