"""Authentication by API key, and the rate limits of a key.

Rule: an unknown key and a wrong secret get the same error response after the same time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from bot.config.settings import Settings
from bot.domain.api_keys import Key, Secret, parse_key
from bot.errors import OutOfTokens
from bot.gateway.inbound.auth_throttle import MAX_NAMES, AuthThrottle
from bot.gateway.inbound.client_address import client_address
from bot.gateway.outbound import access_log
from bot.gateway.outbound.errors import (
    ApiError,
    forbidden,
    out_of_tokens,
    rate_limited,
    too_many_failures,
    unauthorized,
)
from bot.ops.http_server import keep_connection
from bot.store import api_keys
from bot.store.engine import Store

MAX_DELAYED = 200  # error responses that are delayed at once; above that the gateway answers 429 without a delay
MAX_DELAYED_BY_NAME = 20  # an address, or a key that is no longer valid or over a limit

LIMIT_HEADERS = tuple(
    f"x-ratelimit-{part}-{unit}" for unit in ("requests", "tokens") for part in ("limit", "remaining", "reset")
)

MISSING = "You didn't provide an API key. Send it as 'Authorization: Bearer sk-att-...'."
WRONG = "Incorrect API key provided. Create keys with 'attendant keys create'."
NO_LONGER_VALID = "This API key was revoked, or has expired."


@dataclass(frozen=True, slots=True)
class Admission:
    """A valid key, the tokens that it has left in this minute, and the rate-limit headers of the response."""

    key: Key
    tokens_left: int
    headers: Mapping[str, str]


class Authenticator:
    """Checks keys, and enforces their rate limits."""

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._throttle = AuthThrottle()
        self._invalid: set[str] = set()  # digests of keys that were revoked or have expired, which no command undoes
        self._delayed: Counter[str] = Counter()  # error responses that are being delayed, by name

    async def authenticate(self, request: web.Request) -> Key:
        """Return the key of a request that costs no tokens, and count the request.

        Raises ApiError, and StoreUnavailable.
        """
        return (await self._check(request, "requests")).key

    async def admit(self, request: web.Request) -> Admission:
        """Admit a request for a completion, and count it. Raises ApiError, and StoreUnavailable."""
        return await self._check(request, "requests", "tokens")

    async def out_of_tokens(self, admission: Admission, error: OutOfTokens) -> ApiError:
        """Return the error for a request whose key has too few tokens for it. Each one delays the next."""
        refusal = out_of_tokens(error, admission.headers)
        return await self._after_delay(f"spent:{admission.key.id}", refusal, at_once=refusal)

    async def _check(self, request: web.Request, *limited_units: str) -> Admission:
        defaults = {
            "requests": self._settings.gateway_requests_per_minute,
            "tokens": self._settings.gateway_tokens_per_minute,
        }
        secret = await self._secret(request)
        if secret.digest in self._invalid:
            raise await self._no_longer_valid(request, secret)
        limited = {unit: defaults[unit] for unit in limited_units}
        row = await self._store.run(api_keys.admit, secret, now=self._clock(), **limited)
        if row is None:
            raise await self._after_delay(self._client(request), unauthorized(WRONG))
        key, spent = row
        if spent is None:
            raise await self._no_longer_valid(request, secret)
        request[access_log.KEY_ID] = key.id
        limits = {
            "requests": key.requests_per_minute or defaults["requests"],
            "tokens": key.tokens_per_minute or defaults["tokens"],
        }
        remaining = {"requests": limits["requests"] - spent.requests, "tokens": limits["tokens"] - spent.tokens}
        headers = _limit_headers(limits, remaining, spent.seconds_left)
        for unit, exceeded in (("requests", remaining["requests"] < 0), ("tokens", remaining["tokens"] <= 0)):
            if exceeded and unit in limited_units:
                error = rate_limited(unit, limits[unit], spent.seconds_left, headers)
                raise await self._after_delay(f"spent:{key.id}", error, at_once=error)
        keep_connection(request)
        return Admission(key, remaining["tokens"], headers)

    async def _secret(self, request: web.Request) -> Secret:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not credentials.strip():
            raise await self._after_delay(self._client(request), unauthorized(MISSING))
        if (secret := parse_key(credentials.strip())) is None:
            raise await self._after_delay(self._client(request), unauthorized(WRONG))
        return secret

    async def _no_longer_valid(self, request: web.Request, secret: Secret) -> ApiError:
        """Return the error for a key that was revoked or has expired. Its later requests cost no query."""
        request[access_log.KEY_ID] = secret.id
        if len(self._invalid) >= MAX_NAMES:
            self._invalid.clear()
        self._invalid.add(secret.digest)
        return await self._after_delay(f"invalid:{secret.id}", forbidden(NO_LONGER_VALID))

    def _client(self, request: web.Request) -> str:
        """Return the address of a client without a key, and note it for the log."""
        request[access_log.CLIENT] = address = client_address(request, self._settings.gateway_trusted_proxies)
        return address

    async def _after_delay(self, name: str, error: ApiError, *, at_once: ApiError | None = None) -> ApiError:
        """Return the error when the throttle's delay is over.

        `name` is an address, or a key that is revoked or over a limit. If too many responses are delayed, return
        `at_once` without a delay, by default a 429.
        """
        delay_s = self._throttle.record_failure(name, self._clock())
        if self._delayed.total() >= MAX_DELAYED or self._delayed[name] >= MAX_DELAYED_BY_NAME:
            return at_once or too_many_failures(int(delay_s) + 1)
        self._delayed[name] += 1
        try:
            await asyncio.sleep(delay_s)
        finally:
            self._delayed -= Counter([name])  # also removes a name whose count is zero
        return error


def _limit_headers(limits: Mapping[str, int], remaining: Mapping[str, int], seconds_left: int) -> dict[str, str]:
    """Return OpenAI's rate-limit headers (developers.openai.com/api/docs/guides/rate-limits)."""
    headers: dict[str, str] = {}
    for unit, limit in limits.items():
        headers |= {
            f"x-ratelimit-limit-{unit}": str(limit),
            f"x-ratelimit-remaining-{unit}": str(max(remaining[unit], 0)),
            f"x-ratelimit-reset-{unit}": f"{seconds_left}s",
        }
    return headers
