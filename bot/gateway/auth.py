"""Doorman: who may ask, and how much in a minute.

Rule: whether a key's id is unknown or its secret is wrong, the refusal is the same, and it takes as long.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from bot.config.settings import Settings
from bot.domain import api_keys
from bot.domain.api_keys import Key, Secret
from bot.errors import StoreUnavailable
from bot.gateway import access_log, client_address
from bot.gateway.auth_throttle import AuthThrottle
from bot.gateway.errors import ApiError, forbidden, limited, slowed, unauthorized
from bot.store import api_keys as key_rows
from bot.store.engine import Store

log = logging.getLogger(__name__)

HELD_BACK = 200  # refusals at once; beyond that they are not slow but short
HELD_BACK_OF_ONE = 20  # the share of each address

LIMIT_HEADERS = tuple(
    f"x-ratelimit-{which}-{what}" for what in ("requests", "tokens") for which in ("limit", "remaining", "reset")
)

MISSING = "You didn't provide an API key. Send it as 'Authorization: Bearer sk-att-...'."
WRONG = "Incorrect API key provided. Keys are made with 'attendant keys create'."
OVER = "This API key was revoked, or has expired."


@dataclass(frozen=True, slots=True)
class Admission:
    """Somebody who may ask, and the headers that tell how much is left."""

    key: Key
    headers: Mapping[str, str]


class Authenticator:
    """Looks at keys."""

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._brake = AuthThrottle()
        self._held_back: Counter[str] = Counter()  # by address

    async def know(self, request: web.Request) -> Key:
        """The key that the request presents, which is counted. It may have no tokens left: nothing here costs any.

        Raises Refusal, and StoreUnavailable.
        """
        return (await self._let_in(request, "requests")).key

    async def admit(self, request: web.Request) -> Admission:
        """Let a request for a completion in and count it. Raises Refusal, and StoreUnavailable."""
        return await self._let_in(request, "requests", "tokens")

    async def _let_in(self, request: web.Request, *needed: str) -> Admission:
        found = await self._store.run(key_rows.admit, await self._secret(request), now=self._clock())
        if found is None:
            raise await self._slowly(request, unauthorized(WRONG))
        key, spent = found
        request[access_log.KEY_ID] = key.id
        if spent is None:
            raise forbidden(OVER)
        most = {
            "requests": key.requests_per_minute or self._settings.gateway_requests_per_minute,
            "tokens": key.tokens_per_minute or self._settings.gateway_tokens_per_minute,
        }
        left = {"requests": most["requests"] - spent.requests, "tokens": most["tokens"] - spent.tokens}
        headers = _limit_headers(most, left, spent.seconds_left)
        for what, over in (("requests", left["requests"] < 0), ("tokens", left["tokens"] <= 0)):
            if over and what in needed:
                raise limited(what, most[what], spent.seconds_left, headers)
        return Admission(key, headers)

    async def charge(self, key: Key, tokens: int) -> None:
        """Count what an answer cost. It never raises: the answer was given."""
        try:
            # Shielded, because it is counted as well when the client has gone away.
            await asyncio.shield(self._store.run(key_rows.spend, key.id, tokens=tokens, now=self._clock()))
        except StoreUnavailable as error:
            log.warning("an answer's tokens were not counted (%s)", error)

    async def _secret(self, request: web.Request) -> Secret:
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not text.strip():
            raise await self._slowly(request, unauthorized(MISSING))
        if (secret := api_keys.read(text.strip())) is None:
            raise await self._slowly(request, unauthorized(WRONG))
        return secret

    async def _slowly(self, request: web.Request, refusal: ApiError) -> ApiError:
        request[access_log.CLIENT] = source = client_address.client(request, self._settings.gateway_trusted_proxies)
        pause_s = self._brake.failed(source, self._clock())
        if self._held_back.total() >= HELD_BACK or self._held_back[source] >= HELD_BACK_OF_ONE:
            return slowed(int(pause_s) + 1)
        self._held_back[source] += 1
        try:
            await asyncio.sleep(pause_s)
        finally:
            self._held_back -= Counter([source])  # it keeps none that has come to nothing
        return refusal


def _limit_headers(most: Mapping[str, int], left: Mapping[str, int], seconds_left: int) -> dict[str, str]:
    """OpenAI's rate-limit headers (developers.openai.com/api/docs/guides/rate-limits)."""
    told: dict[str, str] = {}
    for what, limit in most.items():
        told |= {
            f"x-ratelimit-limit-{what}": str(limit),
            f"x-ratelimit-remaining-{what}": str(max(left[what], 0)),
            f"x-ratelimit-reset-{what}": f"{seconds_left}s",
        }
    return told
