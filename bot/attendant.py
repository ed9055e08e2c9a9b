"""What to do about a claimed turn: let the model answer it, or say the fixed line that it is owed."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

from bot import history, wording
from bot.adapter import Adapter, Asked
from bot.errors import PlatformError
from bot.history import Turn
from bot.responder import Answer, Responder
from bot.store import claims
from bot.store import history as past
from bot.store.claims import Claim, Settled, State
from bot.store.engine import Store

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3  # at one turn, each by a worker that died or broke before it was settled


class Attendant:
    """Answers claimed turns on whichever platform they came from, and settles them."""

    def __init__(
        self, store: Store, responder: Responder, adapters: Sequence[Adapter], clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._responder = responder
        self._adapters = {adapter.platform: adapter for adapter in adapters}
        self._clock = clock

    @property
    def platforms(self) -> list[str]:
        """The platforms it can answer on."""
        return list(self._adapters)

    async def answer(self, claim: Claim, started: Callable[[Answer], None]) -> None:
        """Answer the turn in its thread and settle it. `started` is handed the answer, which may be abandoned."""
        if claim.attempt > MAX_ATTEMPTS:
            await self._give_up(claim)
            return
        if claim.fixed_reply is not None:
            settled = await self._say(claim, wording.reset(claim.fixed_reply))
        else:
            settled = await self._let_model_answer(claim, started)
        if await self._store.run(claims.settle, claim, settled, now=self._clock()):
            log.info("turn %s", settled.state.value, extra=_where(claim) | _figures(settled))
        else:
            log.info("the answer came too late and is not remembered", extra=_where(claim))

    async def _give_up(self, claim: Claim) -> None:
        """Settle a turn that broke its worker again and again, and only then say so: this may break as well."""
        log.error("gave up on a turn", extra=_where(claim))
        await self._store.run(claims.settle, claim, Settled(State.FAILED, wording.FAILED_TURN), now=self._clock())
        await self._say(claim, wording.SOMETHING_BROKE)

    async def _say(self, claim: Claim, line: str) -> Settled:
        async def deltas() -> AsyncIterator[str]:
            yield line

        return Settled(State.ANSWERED if await self._reply(claim, deltas()) else State.FAILED)

    async def _let_model_answer(self, claim: Claim, started: Callable[[Answer], None]) -> Settled:
        turns = await self._turns(claim)
        answer = self._responder.answer(turns, await self._names(claim, turns))
        started(answer)
        async with aclosing(_announced(answer, claim)) as deltas:
            shown = await self._reply(claim, deltas)
        return _settled(answer, shown=shown)

    async def _turns(self, claim: Claim) -> list[Turn]:
        if claim.session_id is None:  # only a fixed reply has none
            return [Turn(claim.said)]
        budget = self._responder.history_tokens
        earlier = await self._store.run(past.before, claim.session_id, claim.turn_id, budget_tokens=budget)
        return [*earlier, Turn(claim.said)]

    async def _names(self, claim: Claim, turns: Sequence[Turn]) -> Mapping[str, str]:
        """The names that the model will read: none are looked up where one person alone is speaking."""
        speakers, spoken_of = history.speakers(turns), history.spoken_of(turns)
        wanted = spoken_of | (speakers if len(speakers) > 1 else frozenset())
        if not wanted:
            return {}
        return await self._adapters[claim.thread.platform].names(claim.thread.workspace, wanted)

    async def _reply(self, claim: Claim, deltas: AsyncIterator[str]) -> bool:
        async def posted(answer_id: str) -> None:
            await self._store.run(claims.posted, claim, answer_id)

        try:
            await self._adapters[claim.thread.platform].reply(_asked(claim), deltas, posted)
        except PlatformError as error:
            log.error("the answer could not be shown: %s", error, extra=_where(claim))  # noqa: TRY400 - expected
            return False
        return True


async def _announced(answer: Answer, claim: Claim) -> AsyncGenerator[str, None]:
    """The answer's text; before a session that follows an expired one, the line that says so."""
    notice = f"{wording.STARTED_FRESH}\n\n" if claim.follows_expired else ""
    async with aclosing(answer.deltas()) as deltas:
        async for delta in deltas:
            yield notice + delta
            notice = ""


def _settled(answer: Answer, *, shown: bool) -> Settled:
    said, done = answer.said, answer.said.done
    failed = said.trouble is not None or not shown
    remembered = "\n\n".join(part for part in (said.text, wording.FAILED_TURN if failed else "") if part)
    usage = done.usage if done else None
    return Settled(
        State.FAILED if failed else State.ANSWERED,
        answer=remembered,
        trouble=said.trouble.value if said.trouble else None,
        model=done.model if done else None,
        prompt_tokens=usage.prompt if usage else None,
        cached_tokens=usage.cached if usage else None,
        completion_tokens=usage.completion if usage else None,
    )


def _asked(claim: Claim) -> Asked:
    return Asked(claim.thread, claim.author, claim.message_id)


def _figures(settled: Settled) -> dict[str, object]:
    return {
        "trouble": settled.trouble,
        "model": settled.model,
        "prompt_tokens": settled.prompt_tokens,
        "cached_tokens": settled.cached_tokens,
        "completion_tokens": settled.completion_tokens,
    }


def _where(claim: Claim) -> dict[str, object]:
    return {"place": str(claim.thread), "session": claim.session_id, "turn": claim.turn_id, "attempt": claim.attempt}
