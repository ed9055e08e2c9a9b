"""Writes summaries of the turns that no longer fit into a session's prompt, in the background.

Rule: no answer waits for a summary. On all replicas together, one process at a time writes a session's summary. While
that fails, the turns are left out of the prompt without one. A caller's key pays for the summaries of its sessions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from bot.errors import ModelError, OutOfTokens, StoreUnavailable, Trouble, trace
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters, Retry
from bot.llm.callers import CallersParameters, PerCaller
from bot.prompt import summary_request
from bot.prompt.budget import Budget
from bot.prompt.summary_parts import SummaryPart, is_void, most_tokens, next_to_write, text_of
from bot.prompt.summary_request import INSTRUCTIONS_TOKENS, SummaryRequest
from bot.prompt.tokens import MOST_CHARACTERS, shorten
from bot.store import history, summaries
from bot.store.api_keys import TokenNeed
from bot.store.engine import Store
from bot.store.history import PAGE
from bot.store.summaries import CompactionClaim
from bot.turns.cpu import compute
from bot.turns.leases import LeaseKeeper
from bot.turns.summary_queue import SummaryJob, SummaryQueue
from bot.turns.token_accounts import HeldTokens, RequestCost, TokenAccounts

log = logging.getLogger(__name__)

REQUESTS_AT_ONCE = 3  # for one session, one after the other; the rest follows after its next turn
TIMEOUT_S = 120.0  # of one request
LEASE = timedelta(minutes=5)  # longer than the timeout, so it needs no renewal
RETRY = timedelta(minutes=1)  # the pause after a failure


class Summariser:
    """Writes summaries with the model that answers, within the same budget."""

    def __init__(
        self,
        store: Store,
        llm: LLM,
        budget: Budget,
        leases: LeaseKeeper,
        accounts: TokenAccounts,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._leases = leases
        self._accounts = accounts
        self._llm = llm
        self._budgets = PerCaller(budget, lambda _, model: budget.for_caller(model))
        self._clock = clock
        self._queue = SummaryQueue()
        self._tasks: set[asyncio.Task[None]] = set()

    def compact(self, job: SummaryJob) -> None:
        """Summarise the job's turns in the background, now or when its queue comes to it."""
        self._queue.add(job)
        self._start()

    async def idle(self) -> None:
        """Return when no summary is being written here, and none waits."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def stop(self) -> None:
        """Cancel the summaries that are being written. They are written after some later turn."""
        self._queue.clear()
        for task in (running := tuple(self._tasks)):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _start(self) -> None:
        while (job := self._queue.start()) is not None:
            self._tasks.add(task := asyncio.create_task(self._compact(job)))
            task.add_done_callback(partial(self._ended, job))

    def _ended(self, job: SummaryJob, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._queue.end(job)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("summary_broke", extra={"session": job.session_id, "traceback": trace(error)})
        self._start()

    async def _compact(self, job: SummaryJob) -> None:
        try:
            for _ in range(REQUESTS_AT_ONCE):
                claim = await self._leases.take(LEASE, summaries.give_up, summaries.begin, job.session_id)
                if claim is None or not await self._compact_under(claim, job):
                    return
        except StoreUnavailable as error:
            log.warning("summary_postponed", extra={"session": job.session_id, "error": str(error)})

    async def _compact_under(self, claim: CompactionClaim, job: SummaryJob) -> bool:
        """Write one part, and give its lease up when the task is cancelled meanwhile."""
        try:
            return await self._compact_some(claim, job)
        except asyncio.CancelledError:
            await self._leases.undo(summaries.give_up, claim)
            raise

    async def _compact_some(self, claim: CompactionClaim, job: SummaryJob) -> bool:
        """Write one part of the summary; return whether there may be more to write."""
        room = self._budgets.of(_parameters(job.owner)).room(INSTRUCTIONS_TOKENS).tokens
        part = await compute(len(text_of(claim.parts)), next_to_write, claim.parts, job.compaction.until, room)
        if part is None:
            await self._store.run(summaries.give_up, claim)
            return False
        try:
            written = await self._written(part, claim, job, room)
        except (ModelError, TimeoutError, OutOfTokens) as error:
            return await self._failed(claim, error)
        several = claim.window.several or job.compaction.several
        return await self._store.run(summaries.finish, claim, written, several=several)

    async def _failed(self, claim: CompactionClaim, error: ModelError | TimeoutError | OutOfTokens) -> bool:
        fields = {"session": claim.session_id, "error": str(error) or "it took too long"}
        if isinstance(error, OutOfTokens):
            log.info("summary_postponed", extra=fields)
        else:
            log.warning("summary_failed", extra=fields)
        again = isinstance(error, ModelError) and error.trouble is Trouble.WINDOW_EXCEEDED  # with fewer turns
        if again:
            await self._store.run(summaries.give_up, claim)
        else:
            await self._store.run(summaries.release_with_pause, claim, now=self._clock(), pause=RETRY)
        return again

    async def _written(self, part: SummaryPart, claim: CompactionClaim, job: SummaryJob, room: int) -> SummaryPart:
        """Return the part with its text. Where all its turns were deleted, there is none."""
        most = await compute(len(text_of(claim.parts)), most_tokens, part, claim.parts, room)
        if part.merges:
            texts = [each.text for each in part.merges if each.text]
            request = await compute(sum(map(len, texts)), summary_request.of_parts, texts, room, most)
            text = await self._ask(request, most, job.owner) if len(texts) > 1 else "".join(texts)
            return replace(part, text=text)
        turns = await self._store.run(history.oldest, claim.session_id, after=part.after, until=part.reaches)
        if not turns:
            return replace(part, text="")
        whole = is_void(part, claim.parts)
        names, size = await job.names(turns), sum(turn.size for turn in turns)
        request = await compute(size, summary_request.of_turns, turns, names, room, most, whole=whole)
        text = await self._ask(request, most, job.owner) if request.messages else ""
        is_rest = request.reaches == turns[-1].id and len(turns) < PAGE
        return replace(part, text=text, reaches=part.reaches if whole or is_rest else request.reaches)

    async def _ask(self, request: SummaryRequest, most_tokens: int, owner: str | None) -> str:
        """Return the model's summary. Its owner's key pays for it. Raises OutOfTokens."""
        budget = self._budgets.of(_parameters(owner))
        cost = RequestCost(int(request.tokens * budget.ratio))
        tokens = cost.prompt_tokens + most_tokens
        need = TokenNeed(tokens, tokens, half_will_do=True)  # a key with a low limit gets its summaries, too
        async with self._accounts.reserved(owner, need, lambda: cost.tokens) as held:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    text = await self._read(request, most_tokens, cost, owner, held)
            except ModelError as error:
                cost.trouble = error.trouble
                if error.trouble is Trouble.WINDOW_EXCEEDED:
                    budget.exceeded(request.tokens, error.window)
                raise
        if not text:
            raise ModelError(Trouble.EMPTY, "an empty summary")
        return shorten(text, most_tokens)

    async def _read(
        self, request: SummaryRequest, most_tokens: int, cost: RequestCost, owner: str | None, held: HeldTokens
    ) -> str:
        parameters, text = _parameters(owner), ""
        async with aclosing(self._llm.stream(request.messages, parameters)) as pieces:
            async for piece in pieces:
                match piece:
                    case Done(usage=usage):
                        cost.usage = usage
                        self._budgets.of(parameters).learn(request.tokens, usage.prompt if usage else 0)
                    case str():
                        text += piece
                        cost.add(piece)
                    case Retry(why):
                        text, before = "", cost.earlier
                        cost.retry(why)
                        if not await held.extend(cost.earlier - before):
                            raise why
                if len(text) > most_tokens * MOST_CHARACTERS:  # the model ignores the limit that it was given
                    break
        return text[: most_tokens * MOST_CHARACTERS].strip()


def _parameters(owner: str | None) -> Parameters:
    return CallersParameters({}, owner) if owner is not None else NO_PARAMETERS
