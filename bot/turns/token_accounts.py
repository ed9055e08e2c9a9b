"""The accounts of API keys: tokens are reserved before the model is asked, and settled by the real usage.

Rule: a reservation counts in the key's minute, over all replicas, so that requests that run at once cannot pass the
limit together. If the process dies, the reservation ends with its minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from bot.errors import ModelError, OutOfTokens, StoreUnavailable, Trouble
from bot.llm import Usage
from bot.prompt.tokens import TOKENS_PER_MESSAGE, estimate_piece
from bot.store import api_keys
from bot.store.api_keys import Reservation, TokenNeed
from bot.store.engine import Store

log = logging.getLogger(__name__)

# The backend refused the request before it read the prompt.
_UNREAD = {
    Trouble.REFUSED_KEY,
    Trouble.NO_QUOTA,
    Trouble.RATE_LIMITED,
    Trouble.UNAVAILABLE,
    Trouble.BAD_REQUEST,
    Trouble.NOT_FOUND,
    Trouble.WINDOW_EXCEEDED,
}

_COUNTED = 16_000  # characters: of a longer piece the rest is taken for as dense as its beginning


@dataclass(slots=True)
class RequestCost:
    """What is known of a request's cost: its estimated prompt and text so far, the usage, and why it failed.

    `earlier` are the tokens of attempts that failed before it.
    """

    prompt_tokens: int
    text_tokens: int = 0  # estimated, of the text so far
    usage: Usage | None = None
    trouble: Trouble | None = None
    earlier: int = 0

    def retry(self, why: ModelError) -> None:
        """Count an attempt that failed; a new one begins."""
        self.trouble = why.trouble
        self.earlier, self.text_tokens, self.trouble = self.tokens, 0, None

    def add(self, piece: str) -> None:
        """Count a piece of the text. Nothing is left to be counted when many answers end at once."""
        beginning = piece[:_COUNTED]
        if beginning:
            self.text_tokens += ceil(estimate_piece(beginning) * len(piece) / len(beginning))

    @property
    def completion_tokens(self) -> int:
        """The estimated tokens of the text so far, with those that wrap each message."""
        return TOKENS_PER_MESSAGE + self.text_tokens

    @property
    def tokens(self) -> int:
        """Its tokens, estimated when the backend reported no usage: the whole prompt, and the text so far.

        So a caller that goes away early pays for the prompt, too.
        """
        if self.usage is not None:
            return self.earlier + self.usage.prompt + self.usage.completion
        if self.trouble in _UNREAD and not self.text_tokens:
            return self.earlier
        return self.earlier + self.prompt_tokens + self.completion_tokens


class HeldTokens:
    """The tokens that are reserved for one request."""

    def __init__(self, accounts: TokenAccounts, first: Reservation | None) -> None:
        """Without a first reservation the owner has no limit."""
        self._accounts = accounts
        self._reservations = [first] if first is not None else []

    @property
    def tokens(self) -> int | None:
        """How many are reserved; None without a limit."""
        return sum(each.tokens for each in self._reservations) if self._reservations else None

    async def extend(self, tokens: int) -> bool:
        """Reserve more tokens; False when the key has too few, or the database is away."""
        if not self._reservations or not tokens:
            return True
        more = await self._accounts.more(self._reservations[0].key_id, tokens)
        if more is not None:
            self._reservations.append(more)
        return more is not None

    async def settle(self, used: int) -> None:
        """Replace the reservations by the tokens that were used. The last one takes the excess."""
        for each in self._reservations:
            share = used if each is self._reservations[-1] else min(used, each.tokens)
            await self._accounts.settle(each, share)
            used -= share


class TokenAccounts:
    """Reserves and settles the tokens of keys. An owner without a key, as in Python, has no limit."""

    def __init__(self, store: Store, *, tokens_per_minute: int, clock: Callable[[], datetime]) -> None:
        """`tokens_per_minute`: the limit of a key that has none of its own."""
        self._store = store
        self._tokens_per_minute = tokens_per_minute
        self._clock = clock

    @asynccontextmanager
    async def reserved(self, owner: str | None, need: TokenNeed, used: Callable[[], int]) -> AsyncIterator[HeldTokens]:
        """Hold a reservation while the block runs; then replace it by the tokens that were used.

        The block may extend it. Raises OutOfTokens, and StoreUnavailable.
        """
        held = HeldTokens(self, await self._reserve(owner, need) if owner is not None else None)
        try:
            yield held
        finally:
            await held.settle(used())

    async def more(self, owner: str, tokens: int) -> Reservation | None:
        """Reserve so many more tokens; None when the key has too few, or the database is away."""
        try:
            return await self._reserve(owner, TokenNeed(tokens, tokens))
        except (OutOfTokens, StoreUnavailable):
            return None

    async def settle(self, reservation: Reservation, used: int) -> None:
        """Count the used tokens. It never raises, because the caller already has the answer."""
        try:
            # Shielded: a client that disconnects cancels the request, but not the count.
            await asyncio.shield(self._store.run(api_keys.settle, reservation, used, now=self._clock()))
        except StoreUnavailable as error:
            fields = {"key": reservation.key_id, "tokens": used, "error": str(error)}
            log.warning("tokens_not_counted", extra=fields)

    async def _reserve(self, owner: str, need: TokenNeed) -> Reservation | None:
        now, default = self._clock(), self._tokens_per_minute
        return await self._store.run(api_keys.reserve, owner, need, default_limit=default, now=now)
