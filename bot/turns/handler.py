"""Handles a claimed turn: gathers its prompt, asks the model, shows the answer, and settles the turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from bot.access.redaction import Redactor
from bot.domain import file_texts, quiet_texts, redaction_texts, session_texts, texts
from bot.domain.language import speaking, translated
from bot.domain.listening import QuietOutcome
from bot.domain.sessions import Interrupted, StatusReply
from bot.errors import PlatformError, StoreUnavailable
from bot.llm import Retry, Thinking
from bot.metrics import FIRST_WORD, WHOLE_ANSWER, Duration
from bot.prompt.compose import PromptParts
from bot.prompt.history import files_in
from bot.store import claims, file_contents, preferences, sessions
from bot.store.claims import PlatformClaim
from bot.store.engine import Store
from bot.store.fixed_replies import FixedReply
from bot.store.settlement import Settlement, TurnState
from bot.tools.set_preferences import set_preferences
from bot.turns.adapter import Adapter, AnswerTarget, AnswerWriter
from bot.turns.answer import AnswerStream
from bot.turns.assistant import Assistant
from bot.turns.file_reader import FileReader
from bot.turns.gatherer import Gatherer
from bot.turns.interruption import TurnInterrupted
from bot.turns.ledger import StoredLedger
from bot.turns.policies import Policy
from bot.turns.reader_languages import Addressee, ReaderLanguages
from bot.turns.refusals import Refusals
from bot.turns.running_turn import RunningTurn
from bot.turns.service import TurnService, log_trouble

log = logging.getLogger(__name__)

Running = RunningTurn[PlatformClaim]


class TurnHandler:
    """Answers claimed turns on the platforms that they came from."""

    def __init__(
        self,
        store: Store,
        turns: TurnService[PlatformClaim],
        assistant: Assistant,
        adapters: Sequence[Adapter],
        files: FileReader,
        *,
        clock: Callable[[], datetime],
        max_attempts: int = 3,
    ) -> None:
        """`max_attempts`: the number of attempts that may break their worker before the turn is closed as failed."""
        self._store = store
        self._turns = turns
        self._assistant = assistant
        self._adapters = {adapter.platform: adapter for adapter in adapters}
        self._clock = clock
        self._max_attempts = max_attempts
        self.languages = ReaderLanguages(store, self._adapters)
        self.refusals = Refusals(store, self._adapters, self.languages, clock=clock)
        self._gatherer = Gatherer(store, turns, assistant, self._adapters, files, clock=clock)

    @property
    def policy(self) -> Policy[PlatformClaim]:
        """The policy by which turns are claimed and settled."""
        return self._turns.policy

    @property
    def places(self) -> list[tuple[str, str]]:
        """The platforms and workspaces that it can answer in."""
        return [(adapter.platform, adapter.workspace) for adapter in self._adapters.values()]

    async def show_waiting(self, target: AnswerTarget, waited: timedelta = timedelta()) -> None:
        """Show the person that their message is accepted, but has to wait, and for how long it has."""
        with speaking(self.languages.last_known(target.thread, target.author.id)):
            await self._adapters[target.thread.platform].show_waiting(target, waited)

    async def end_waiting(self, target: AnswerTarget) -> None:
        """End that status, where no answer will end it."""
        await self._adapters[target.thread.platform].end_waiting(target)

    async def handle(self, turn: Running) -> None:
        """Bring the turn to its end. Raises PlatformUnavailable when it has to be tried again later."""
        claim = turn.claim
        async with self.languages.speaking_to(claim.thread, claim.author) as addressee:
            is_question = claim.fixed_reply is None and claim.interrupted is None
            if is_question and claim.failures < self._max_attempts:
                await self._answer(turn, addressee)
                return
            await addressee.found()
            if claim.failures >= self._max_attempts:
                await self._give_up(turn)
            elif claim.fixed_reply is not None:
                await self._turns.settle(turn, await self._post(turn, await self._text_of(claim, claim.fixed_reply)))
            elif claim.interrupted is not None:
                await self._turns.settle(turn, await self._end(turn, claim.interrupted))

    async def _answer(self, turn: Running, addressee: Addressee) -> None:
        claim, ledger, answer = turn.claim, StoredLedger(self._store, turn), None
        try:
            async with (
                self.refusals.during(turn),
                self._keeping(claim) as keep,
                self._adapters[claim.thread.platform].writer(_target(claim), ledger) as writer,
            ):
                answer = await self._begin(turn, addressee)
                if addressee.is_other:
                    writer.speak_anew()
                opening = f"{translated(texts.STARTED_FRESH)}\n\n" if claim.follows_expired else ""
                await _write(answer, writer, opening, partial(_observe, FIRST_WORD, claim, self._clock))
                keep(answer)
                await turn.interruption.limit(writer.finish, ignores=ledger.finishes_despite)
        except PlatformError as error:
            _log_refusal(claim, error)
            settlement = _settlement(answer, shown=False)
        except TurnInterrupted:  # the model had ended, but the platform was slow
            answer, settlement = None, await self._end_slow_answer(turn)
        else:
            settlement = _settlement(answer, shown=True)
        if answer is not None:
            log_trouble(answer.result, claim.log_fields)
        await self._turns.settle(turn, settlement)
        if settlement.state is TurnState.ANSWERED:
            _observe(WHOLE_ANSWER, claim, self._clock)
        self._turns.compact(claim, answer, partial(self._gatherer.names, claim, several=True))
        await self._show_kept_preferences(claim, answer)

    async def _show_kept_preferences(self, claim: PlatformClaim, answer: AnswerStream | None) -> None:
        """Show the author what the model changed in their preferences in this turn, with a way to undo it."""
        done = None if answer is None else answer.result.done
        if done is not None and done.rounds == 1 and claim.attempt == 1:  # no tool has run
            return
        place, person = claim.thread, claim.author.id
        with suppress(StoreUnavailable):  # the Home tab shows it, too
            change = await self._store.run(preferences.last_change, place.platform, place.workspace, person)
            if change is not None and change.turn_id == claim.turn_id and change.wishes:
                await self._adapters[place.platform].show_kept(_target(claim), change)

    async def _begin(self, turn: Running, addressee: Addressee) -> AnswerStream:
        claim = turn.claim
        parts = await self._gatherer.gather(claim, turn.interruption)
        await addressee.found()

        def answer() -> AnswerStream:
            return self._assistant.answer(
                parts,
                tools=set_preferences(self._store, claim, parts, self._clock),
                kept=claim.kept,
                can_restart=True,
                interruption=turn.interruption,
                compute=self.policy.compute,
            )

        begun = await self.policy.compute(parts.size, answer)
        begun.notes = _notes(parts, self._assistant.redactor)
        return begun

    @asynccontextmanager
    async def _keeping(self, claim: PlatformClaim) -> AsyncIterator[Callable[[AnswerStream], None]]:
        """Yield a function that keeps a whole answer, while the platform shows it. Leave when it is kept.

        The lease is held until then, because a later attempt must find the answer.
        """
        tasks: list[asyncio.Task[None]] = []

        def keep(answer: AnswerStream) -> None:
            if claim.kept is None and answer.result.done is not None and answer.result.interrupted is None:
                tasks.append(asyncio.create_task(_keep(self._store, claim, answer)))

        try:
            yield keep
        finally:
            if tasks:
                await asyncio.wait(tasks)

    async def _give_up(self, turn: Running) -> None:
        """Close a turn that broke its worker again and again.

        A message says so. It is tried once, because posting it may break the worker too.
        """
        log.error("turn_abandoned", extra=turn.claim.log_fields)
        if turn.claim.failures == self._max_attempts:
            await self._post(turn, translated(texts.SOMETHING_BROKE))
        await self._turns.settle(turn, Settlement(TurnState.FAILED, texts.FAILED_TURN))

    async def _end_slow_answer(self, turn: Running) -> Settlement:
        """Replace an answer that is not wanted any more before it was shown whole."""
        why = turn.interruption.why
        if why is None or why is Interrupted.EDITED:  # the next attempt writes into the same messages
            return Settlement(TurnState.SUPERSEDED, fragment=True)
        return await self._end(turn, why, attempt=turn.claim.attempt + 1)

    async def _end(self, turn: Running, why: Interrupted, *, attempt: int | None = None) -> Settlement:
        """End an interrupted turn, and remove any fragment of its answer. Only a stop is confirmed in the thread."""
        is_stop = why is Interrupted.STOPPED
        await self._post(turn, texts.interrupted(why) if is_stop else "", attempt=attempt)
        return Settlement(TurnState.STOPPED, texts.ANSWER_STOPPED) if is_stop else Settlement(TurnState.SUPERSEDED)

    async def _text_of(self, claim: PlatformClaim, reply: FixedReply) -> str:
        if isinstance(reply, QuietOutcome) or reply is StatusReply.UNKNOWN:
            return quiet_texts.reply(reply)
        if not isinstance(reply, StatusReply):
            return texts.fixed_reply(reply)
        session = await self._store.run_until_available(sessions.open_in, claim.thread_id)
        return session_texts.memory(await self._turns.memory(session, claim.turn_id))

    async def _post(self, turn: Running, sentence: str, *, attempt: int | None = None) -> Settlement:
        """Post a sentence of the bot's own as the turn's answer; an empty one only removes an earlier fragment."""
        claim = turn.claim
        target = _target(claim) if attempt is None else replace(_target(claim), attempt=attempt)
        try:
            async with self._adapters[claim.thread.platform].writer(target, StoredLedger(self._store, turn)) as writer:
                writer.write(sentence)
                await writer.finish()
        except PlatformError as error:
            _log_refusal(claim, error)
            return Settlement(TurnState.FAILED)
        return Settlement(TurnState.ANSWERED)


def _observe(histogram: Duration, claim: PlatformClaim, clock: Callable[[], datetime]) -> None:
    histogram.observe((clock() - claim.accepted_at).total_seconds())


def _nothing() -> None:
    """Take the place of a call that is made once."""


async def _keep(store: Store, claim: PlatformClaim, answer: AnswerStream) -> None:
    done, session_id = answer.result.done, claim.session_id
    with suppress(StoreUnavailable):  # then a later attempt asks the model again
        if done is not None and done.images_unseen and session_id is not None:  # so that the next attempt says so, too
            await store.run(file_contents.drop_unseen_images, session_id)
        await store.run(claims.keep, claim, _settlement(answer, shown=True))


async def _write(answer: AnswerStream, writer: AnswerWriter, opening: str, begun: Callable[[], None]) -> None:
    """Write the answer as the model gives it, after an opening of the bot's own. `begun` is called once it begins."""
    before = opening  # the next text
    async with aclosing(answer.words(writer.drain)) as words:
        async for piece in words:
            match piece:
                case str():
                    writer.write(before + piece)
                    begun()
                    before, begun = "", _nothing
                case Thinking():
                    writer.think()
                case Retry():
                    writer.restart()
                    before = opening
    if ending := answer.ending():
        writer.write(before)
    writer.close_with(ending, wanted=answer.result.interrupted in {None, Interrupted.STOPPED})


def _notes(parts: PromptParts, redactor: Redactor) -> list[str]:
    """Return the lines below the answer. That a secret was removed is said until the conversation remembers one."""
    files = [file for message in parts.newest.messages for file in files_in(message)]
    is_told = any(redactor.has_placeholder(turn.texts) for turn in parts.past.turns)
    is_removed = redactor.has_placeholder(parts.newest.texts) and not is_told
    return [*file_texts.unread_files(files), *[translated(redaction_texts.REMOVED)] * is_removed]


def _settlement(answer: AnswerStream | None, *, shown: bool) -> Settlement:
    if answer is None:
        return Settlement(TurnState.FAILED, texts.FAILED_TURN)
    result = answer.result
    if result.interrupted is Interrupted.EDITED:
        return Settlement(TurnState.SUPERSEDED, fragment=True)
    state, note = _state(result.interrupted, failed=result.trouble is not None or not shown)
    remembered = "\n\n".join(part for part in (result.text, note) if part)
    return Settlement.by(result.done, state, remembered, trouble=result.trouble, new_window=answer.new_window)


def _state(interrupted: Interrupted | None, *, failed: bool) -> tuple[TurnState, str]:
    """Return how a turn ended, and the note on it that the model reads later, after its own words."""
    if interrupted is Interrupted.STOPPED:
        return TurnState.STOPPED, texts.ANSWER_STOPPED
    if interrupted is not None:
        return TurnState.SUPERSEDED, ""
    return (TurnState.FAILED, texts.FAILED_TURN) if failed else (TurnState.ANSWERED, "")


def _log_refusal(claim: PlatformClaim, error: PlatformError) -> None:
    log.error("answer_refused_by_platform", extra={**claim.log_fields, "error": str(error)})


def _target(claim: PlatformClaim) -> AnswerTarget:
    return AnswerTarget(claim.thread, claim.author, claim.message_id, claim.attempt)
