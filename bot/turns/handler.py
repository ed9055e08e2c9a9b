"""What to do about a claimed turn: let the model answer, say the fixed line that it is owed, or bring it to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import partial

from bot.domain import preferences, texts
from bot.domain.sessions import IdleLimits, Interrupted, Memory, ResetOutcome, StopOutcome, Told
from bot.errors import PlatformError
from bot.prompt import history, thread_context
from bot.prompt.compose import Compaction
from bot.prompt.history import NOTHING_CUT, HistoryWindow, Past, Turn
from bot.prompt.thread_context import Known
from bot.store import claims
from bot.store import history as settled_turns
from bot.store import preferences as preference_rows
from bot.store import sessions as session_rows
from bot.store import thread_context as background_rows
from bot.store.claims import Claim, Settlement, TurnState
from bot.store.engine import Store
from bot.tools.set_preferences import set_preferences
from bot.turns.adapter import Adapter, Asked
from bot.turns.answer import AnswerStream, Responder
from bot.turns.participants import Participants
from bot.turns.running_turn import KeptLedger, RunningTurn
from bot.turns.summariser import Summariser

log = logging.getLogger(__name__)


class TurnHandler:
    """Answers claimed turns on whichever platform they came from, and settles them."""

    def __init__(
        self,
        store: Store,
        responder: Responder,
        adapters: Sequence[Adapter],
        clock: Callable[[], datetime],
        max_attempts: int = 3,
        *,
        idle: IdleLimits,
        summariser: Summariser,
    ) -> None:
        """`max_attempts`: after so many attempts that broke their worker, a turn is closed as failed."""
        self._store = store
        self._responder = responder
        self._adapters = {adapter.platform: adapter for adapter in adapters}
        self._clock = clock
        self._max_attempts = max_attempts
        self._idle = idle
        self._roster = Participants(store)
        self._summariser = summariser

    @property
    def places(self) -> list[tuple[str, str]]:
        """The platforms and workspaces it can answer in: others' messages are not its own to read."""
        return [(adapter.platform, adapter.workspace) for adapter in self._adapters.values()]

    async def show_waiting(self, asked: Asked) -> None:
        """Let the person see that their message was taken up, though it has to wait."""
        await self._adapters[asked.thread.platform].show_waiting(asked)

    async def end_waiting(self, asked: Asked) -> None:
        """Take that back, where no answer will."""
        await self._adapters[asked.thread.platform].end_waiting(asked)

    async def answer(self, claim: Claim, running: RunningTurn) -> None:
        """Answer the turn in its thread and settle it. `running` tells whether it may go on."""
        if claim.failures >= self._max_attempts:
            await self._give_up(claim, running)
        elif claim.fixed_reply is not None:
            line = await self._line(claim, claim.fixed_reply)
            await self._settle(claim, await self._say(claim, running, line))
        elif claim.interrupted is not None:
            await self._settle(claim, await self._end(claim, running, claim.interrupted))
        else:
            settled, fold = await self._let_model_answer(claim, running)
            await self._settle(claim, settled)
            self._fold(claim, fold)

    async def _settle(self, claim: Claim, settled: Settlement) -> None:
        if await self._store.run_until_available(claims.settle, claim, settled, now=self._clock()):
            log.info("turn %s", settled.state.value, extra=_where(claim) | settled.figures)
        else:
            log.info(
                "the answer is not remembered: its question changed or is gone, or the turn is somebody else's now",
                extra=_where(claim),
            )

    async def _give_up(self, claim: Claim, running: RunningTurn) -> None:
        """Close a turn that broke its worker again and again. Saying so is tried once, for it may break as well."""
        log.error("gave up on a turn", extra=_where(claim))
        if claim.failures == self._max_attempts:
            await self._say(claim, running, texts.SOMETHING_BROKE)
        await self._settle(claim, Settlement(TurnState.FAILED, texts.FAILED_TURN))

    async def _end(self, claim: Claim, running: RunningTurn, why: Interrupted) -> Settlement:
        """Bring a turn to its end whose answer is not wanted any more: no fragment is left standing."""
        line = texts.interrupted(why) if why is Interrupted.STOPPED else ""
        await self._say(claim, running, line)
        return Settlement(TurnState.STOPPED if line else TurnState.SUPERSEDED, line or None)

    async def _line(self, claim: Claim, owed: ResetOutcome | StopOutcome | Told) -> str:
        return texts.memory(await self._memory(claim)) if isinstance(owed, Told) else texts.fixed(owed)

    async def _memory(self, claim: Claim) -> Memory | None:
        """What is remembered in the thread now; None when its session has expired, or there is none."""
        session = await self._store.run_until_available(session_rows.open_in, claim.thread_id)
        if session is None:
            return None
        filled = self._responder.filled(past := await self._past(session.id, claim.turn_id))
        idle_after, in_short = self._idle.of(claim.thread.channel), past.cut.after > 0
        return Memory.of(session, filled, in_short=in_short, now=self._clock(), idle_after=idle_after)

    async def _say(self, claim: Claim, running: RunningTurn, line: str) -> Settlement:
        async def deltas() -> AsyncIterator[str]:
            if line:
                yield line

        return Settlement(TurnState.ANSWERED if await self._reply(claim, running, deltas()) else TurnState.FAILED)

    async def _let_model_answer(self, claim: Claim, running: RunningTurn) -> tuple[Settlement, Compaction | None]:
        """How the turn ended, and what is to be folded into the summary now."""
        answer: AnswerStream | None = None

        async def deltas() -> AsyncGenerator[str, None]:
            # Within the reply, which shows that the bot works before it asks for the first piece.
            nonlocal answer
            turns, cut = await self._turns(claim)
            names = await self._names(claim, turns, several=cut.several)
            about, tools = await self._about(claim, names), set_preferences(self._store, claim, self._clock)
            answer = self._responder.answer(turns, names, cut=cut, about=about, tools=tools)
            running.begin(answer)
            async with aclosing(_announced(answer, claim)) as announced:
                async for delta in announced:
                    yield delta

        async with aclosing(deltas()) as pieces:
            shown = await self._reply_unless_outdated(claim, running, pieces)
        if shown is None and running.interrupted is Interrupted.EDITED:  # it begins again, in what stands there
            return Settlement(TurnState.SUPERSEDED), None
        if shown is None and running.interrupted is not None:
            return await self._end(replace(claim, attempt=claim.attempt + 1), running, running.interrupted), None
        if answer is not None and (said := answer.said).trouble is not None:
            trouble = {"trouble": said.trouble.value, "detail": said.detail}
            log.error("no whole answer from the model", extra=_where(claim) | trouble)
        if answer is None:
            return Settlement(TurnState.FAILED, texts.FAILED_TURN), None
        return _settled(answer, shown=bool(shown)), answer.prompt.fold

    def _fold(self, claim: Claim, fold: Compaction | None) -> None:
        """Have the oldest turns folded into the summary, when it is time to; nobody waits for it."""
        if fold is not None and claim.session_id is not None:
            self._summariser.fold(claim.session_id, fold, partial(self._names, claim, several=True))

    async def _turns(self, claim: Claim) -> tuple[Sequence[Turn], HistoryWindow]:
        """What the session holds that can be shown, the turn to be answered last, and where it is cut."""
        if claim.session_id is None:  # only a fixed reply has none
            return [Turn(claim.said)], NOTHING_CUT
        if claim.background is Known.NOTHING:
            await self._read_background(claim, claim.session_id)
        past = await self._past(claim.session_id, claim.turn_id)
        newest = [Turn(claim.said, id=claim.turn_id)]
        if claim.background is not None:
            newest = await self._store.run_until_available(background_rows.attached, claim.session_id, newest)
        return [*past.turns, *newest], past.cut

    async def _past(self, session_id: str, turn_id: int) -> Past:
        """The turns of a session before this one, with what was said before all of them."""
        budget = self._responder.budget.history_tokens
        return await self._store.run_until_available(settled_turns.before, session_id, turn_id, budget_tokens=budget)

    async def _read_background(self, claim: Claim, session_id: str) -> None:
        """Read what was said in the thread before the bot was called into it: once, whatever comes of it."""
        found = await self._adapters[claim.thread.platform].earlier(claim.thread, claim.oldest_id)
        kept = thread_context.bounded(found.earlier, whole=found.whole, tokens=self._responder.room // 3)
        await self._store.run_until_available(background_rows.keep, claim.thread_id, session_id, claim.turn_id, kept)

    async def _names(self, claim: Claim, turns: Sequence[Turn], *, several: bool) -> Mapping[str, str]:
        """The names that the model will read in these turns. Nobody is looked up while one person alone is speaking."""
        if claim.session_id is None:
            return {}
        look_up = partial(self._adapters[claim.thread.platform].names, claim.thread.workspace)
        told = {bot: name for turn in turns for bot, name in thread_context.bots(turn.background).items()}
        people = history.named(turns, several=several)
        return await self._roster.names(claim.session_id, people, look_up, told)

    async def _about(self, claim: Claim, names: Mapping[str, str]) -> str:
        """What the model reads about the author of the newest message, for this answer alone."""
        place, person = claim.thread, claim.author.id
        kept, profile = await asyncio.gather(
            self._store.run_until_available(preference_rows.of_person, place.platform, place.workspace, person),
            self._adapters[place.platform].profile(place.workspace, person),
        )
        return preferences.for_model(kept, profile, name=names.get(person, ""), now=self._clock())

    async def _reply_unless_outdated(
        self, claim: Claim, running: RunningTurn, deltas: AsyncIterator[str]
    ) -> bool | None:
        """Whether the answer was shown; None when the platform made it wait until it was not wanted any more.

        What a person stopped after the model had ended is given whole, if the first words of it stand there already.
        """
        replying = asyncio.create_task(self._reply(claim, running, deltas))
        outdated = asyncio.create_task(running.outdated.wait())
        try:
            await asyncio.wait({replying, outdated}, return_when=asyncio.FIRST_COMPLETED)
            stopped = running.interrupted is Interrupted.STOPPED
            if replying.done() or (stopped and await KeptLedger(self._store, claim, running).mine()):
                return await replying
        finally:
            for task in (replying, outdated):
                task.cancel()
            await asyncio.gather(replying, outdated, return_exceptions=True)
        return None

    async def _reply(self, claim: Claim, running: RunningTurn, deltas: AsyncIterator[str]) -> bool:
        ledger = KeptLedger(self._store, claim, running)
        try:
            await self._adapters[claim.thread.platform].reply(_asked(claim), deltas, ledger)
        except PlatformError as error:
            log.error("the answer could not be shown: %s", error, extra=_where(claim))  # noqa: TRY400 - expected
            return False
        return True


async def _announced(answer: AnswerStream, claim: Claim) -> AsyncGenerator[str, None]:
    """The answer's text; before a session that follows an expired one, the line that says so."""
    notice = f"{texts.STARTED_FRESH}\n\n" if claim.follows_expired else ""
    async with aclosing(answer.deltas()) as deltas:
        async for delta in deltas:
            yield notice + delta
            notice = ""


def _settled(answer: AnswerStream, *, shown: bool) -> Settlement:
    said = answer.said
    state, note = _ending(said.interrupted, failed=said.trouble is not None or not shown)
    remembered = "\n\n".join(part for part in (said.text, note) if part)
    return Settlement.by(said.done, state, remembered, trouble=said.trouble, cut=answer.cut)


def _ending(interrupted: Interrupted | None, *, failed: bool) -> tuple[TurnState, str]:
    """How a turn ended, and what the model is told of it later, besides what it said."""
    if interrupted is Interrupted.STOPPED:
        return TurnState.STOPPED, texts.interrupted(interrupted)
    if interrupted is not None:
        return TurnState.SUPERSEDED, ""
    return (TurnState.FAILED, texts.FAILED_TURN) if failed else (TurnState.ANSWERED, "")


def _asked(claim: Claim) -> Asked:
    return Asked(claim.thread, claim.author, claim.message_id, claim.attempt)


def _where(claim: Claim) -> dict[str, object]:
    return {"place": str(claim.thread), "session": claim.session_id, "turn": claim.turn_id, "attempt": claim.attempt}
