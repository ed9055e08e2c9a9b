"""What to do about a claimed turn: let the model answer, say the fixed line that it is owed, or bring it to its end."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from datetime import datetime

from bot import history, wording
from bot.adapter import Adapter, Asked
from bot.errors import PlatformError
from bot.history import Turn
from bot.responder import Answer, Responder
from bot.sessions import Interrupted
from bot.store import answers, claims
from bot.store import history as past
from bot.store.claims import Claim, Settled, State
from bot.store.engine import Store

log = logging.getLogger(__name__)


class Clerk:
    """Answers claimed turns on whichever platform they came from, and settles them."""

    def __init__(
        self,
        store: Store,
        responder: Responder,
        adapters: Sequence[Adapter],
        clock: Callable[[], datetime],
        max_attempts: int = 3,
    ) -> None:
        """`max_attempts`: after so many attempts that broke their worker, a turn is closed as failed."""
        self._store = store
        self._responder = responder
        self._adapters = {adapter.platform: adapter for adapter in adapters}
        self._clock = clock
        self._max_attempts = max_attempts

    @property
    def places(self) -> list[tuple[str, str]]:
        """The platforms and workspaces it can answer in: others' messages are not its own to read."""
        return [(adapter.platform, adapter.workspace) for adapter in self._adapters.values()]

    async def show_waiting(self, asked: Asked) -> None:
        """Let the person see that their message was taken up, though it has to wait."""
        await self._adapters[asked.thread.platform].show_waiting(asked)

    async def answer(self, claim: Claim, begin: Callable[[Answer], None]) -> None:
        """Answer the turn in its thread and settle it. `begin` is handed the answer, which may be interrupted."""
        if claim.failures >= self._max_attempts:
            await self._give_up(claim)
        elif claim.fixed_reply is not None:
            await self._settle(claim, await self._say(claim, wording.fixed(claim.fixed_reply)))
        elif claim.interrupted is not None:
            await self._settle(claim, await self._end(claim, claim.interrupted))
        else:
            await self._settle(claim, await self._let_model_answer(claim, begin))

    async def _settle(self, claim: Claim, settled: Settled) -> None:
        if await self._store.insist(claims.settle, claim, settled, now=self._clock()):
            log.info("turn %s", settled.state.value, extra=_where(claim) | _figures(settled))
        else:
            log.info("the answer came too late and is not remembered", extra=_where(claim))

    async def _give_up(self, claim: Claim) -> None:
        """Close a turn that broke its worker again and again. Saying so is tried once, for it may break as well."""
        log.error("gave up on a turn", extra=_where(claim))
        if claim.failures == self._max_attempts:
            await self._say(claim, wording.SOMETHING_BROKE)
        await self._settle(claim, Settled(State.FAILED, wording.FAILED_TURN))

    async def _end(self, claim: Claim, why: Interrupted) -> Settled:
        """Bring a turn to its end whose worker died after it was interrupted: no fragment is left standing."""
        line = wording.interrupted(why) if why is Interrupted.STOPPED else ""
        await self._say(claim, line)
        return Settled(State.STOPPED if line else State.SUPERSEDED, line or None)

    async def _say(self, claim: Claim, line: str) -> Settled:
        async def deltas() -> AsyncIterator[str]:
            if line:
                yield line

        return Settled(State.ANSWERED if await self._reply(claim, deltas()) else State.FAILED)

    async def _let_model_answer(self, claim: Claim, begin: Callable[[Answer], None]) -> Settled:
        answer: Answer | None = None

        async def deltas() -> AsyncGenerator[str, None]:
            # Within the reply, which shows that the bot works before it asks for the first piece.
            nonlocal answer
            turns = await self._turns(claim)
            answer = self._responder.answer(turns, await self._names(claim, turns))
            begin(answer)
            async with aclosing(_announced(answer, claim)) as announced:
                async for delta in announced:
                    yield delta

        async with aclosing(deltas()) as pieces:
            shown = await self._reply(claim, pieces)
        if answer is not None and (said := answer.said).trouble is not None:
            trouble = {"trouble": said.trouble.value, "detail": said.detail}
            log.error("no whole answer from the model", extra=_where(claim) | trouble)
        return _settled(answer, shown=shown) if answer is not None else Settled(State.FAILED, wording.FAILED_TURN)

    async def _turns(self, claim: Claim) -> list[Turn]:
        if claim.session_id is None:  # only a fixed reply has none
            return [Turn(claim.said)]
        budget = self._responder.history_tokens
        earlier = await self._store.insist(past.before, claim.session_id, claim.turn_id, budget_tokens=budget)
        return [*earlier, Turn(claim.said)]

    async def _names(self, claim: Claim, turns: Sequence[Turn]) -> Mapping[str, str]:
        """The names that the model will read: none are looked up where one person alone is speaking."""
        speakers, spoken_of = history.speakers(turns), history.spoken_of(turns)
        wanted = spoken_of | (speakers if len(speakers) > 1 else frozenset())
        if not wanted:
            return {}
        return await self._adapters[claim.thread.platform].names(claim.thread.workspace, wanted)

    async def _reply(self, claim: Claim, deltas: AsyncIterator[str]) -> bool:
        try:
            await self._adapters[claim.thread.platform].reply(_asked(claim), deltas, _Ledger(self._store, claim))
        except PlatformError as error:
            log.error("the answer could not be shown: %s", error, extra=_where(claim))  # noqa: TRY400 - expected
            return False
        return True


class _Ledger:
    """What the store knows of the messages that hold a turn's answer. Implements adapter.Ledger."""

    def __init__(self, store: Store, claim: Claim) -> None:
        self._store = store
        self._claim = claim

    async def posted(self, answer_id: str) -> None:
        await self._store.insist(answers.posted, self._claim, answer_id)

    async def mine(self) -> Sequence[str]:
        return await self._store.insist(answers.of_turn, self._claim)

    async def settled(self, answer_ids: Sequence[str]) -> AbstractSet[str]:
        return await self._store.insist(answers.of_other_turns, self._claim, answer_ids)


async def _announced(answer: Answer, claim: Claim) -> AsyncGenerator[str, None]:
    """The answer's text; before a session that follows an expired one, the line that says so."""
    notice = f"{wording.STARTED_FRESH}\n\n" if claim.follows_expired else ""
    async with aclosing(answer.deltas()) as deltas:
        async for delta in deltas:
            yield notice + delta
            notice = ""


def _settled(answer: Answer, *, shown: bool) -> Settled:
    said, done = answer.said, answer.said.done
    usage = done.usage if done else None
    state, note = _ending(said.interrupted, failed=said.trouble is not None or not shown)
    return Settled(
        state,
        answer="\n\n".join(part for part in (said.text, note) if part),
        trouble=said.trouble.value if said.trouble else None,
        model=done.model if done else None,
        prompt_tokens=usage.prompt if usage else None,
        cached_tokens=usage.cached if usage else None,
        completion_tokens=usage.completion if usage else None,
    )


def _ending(interrupted: Interrupted | None, *, failed: bool) -> tuple[State, str]:
    """How a turn ended, and what the model is told of it later, besides what it said."""
    if interrupted is Interrupted.STOPPED:
        return State.STOPPED, wording.interrupted(interrupted)
    if interrupted is not None:
        return State.SUPERSEDED, ""
    return (State.FAILED, wording.FAILED_TURN) if failed else (State.ANSWERED, "")


def _asked(claim: Claim) -> Asked:
    return Asked(claim.thread, claim.author, claim.message_id, claim.attempt)


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
