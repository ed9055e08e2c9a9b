"""The limits of questions: how many are answered here at once, in all and for one owner, and the owner's tokens.

Rule: it counts the questions of API callers alone. Slack's turns have limits of their own (bot/turns/fair_queue.py).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from bot.errors import Overloaded
from bot.turns.answer import AnswerStream
from bot.turns.token_accounts import TokenAccounts


class RequestLimiter:
    """Counts the questions that are being answered, or wait for others in their session."""

    def __init__(self, accounts: TokenAccounts, *, most: int, most_of_one: int) -> None:
        """`most` in all, and `most_of_one` of one owner."""
        self._accounts = accounts
        self._most = most
        self._most_of_one = most_of_one
        self._by_owner: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()  # that answer a question, or wait to

    @property
    def running(self) -> int:
        """How many questions are counted now."""
        return self._by_owner.total()

    @contextmanager
    def admit(self, owner: str) -> Iterator[None]:
        """Count a question while the block runs. Raises Overloaded when a limit is reached."""
        if self._by_owner.total() >= self._most or self._by_owner[owner] >= self._most_of_one:
            raise Overloaded("too many questions are being answered here")
        self._by_owner[owner] += 1
        self._tasks.add(task := _this_task())
        try:
            yield
        finally:
            self._tasks -= {task, _this_task()}  # a stream may be read on in another task
            self._by_owner[owner] -= 1
            if not self._by_owner[owner]:
                del self._by_owner[owner]

    @asynccontextmanager
    async def reserved(self, owner: str, answer: AnswerStream) -> AsyncIterator[None]:
        """Reserve the answer's tokens while the block runs. Raises OutOfTokens, and StoreUnavailable.

        A retry needs the tokens that the failed attempt has used once more.
        """
        async with self._accounts.reserved(owner, answer.need, lambda: answer.cost.tokens) as held:
            answer.pay_from(held)
            yield

    async def check(self, owner: str, answer: AnswerStream) -> None:
        """Raise OutOfTokens when the owner has too few tokens for this answer now. Nothing is counted."""
        async with self._accounts.reserved(owner, answer.need, lambda: 0):
            pass

    @contextmanager
    def uncancelled(self) -> Iterator[None]:
        """Keep `cancel_all` from cancelling this task while the block runs, because the caller works on its own."""
        self._tasks.discard(_this_task())
        try:
            yield
        finally:
            self._tasks.add(_this_task())

    async def cancel_all(self) -> None:
        """Cancel every task with a question, but for this one; return when they have ended."""
        while others := {task for task in self._tasks - {_this_task()} if not task.done()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others)


def _this_task() -> asyncio.Task[Any]:
    if (task := asyncio.current_task()) is None:
        raise RuntimeError("called outside of a task")
    return task
