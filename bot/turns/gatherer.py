"""The first step of a turn: gather the parts of its prompt, from the store and from the platform."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from bot.domain.preferences import for_model
from bot.prompt.compose import PromptParts
from bot.prompt.history import Past, Turn, named
from bot.prompt.thread_context import ContextState, bots, bounded
from bot.store import preferences, thread_context
from bot.store.claims import PlatformClaim
from bot.store.engine import Store
from bot.turns.adapter import Adapter
from bot.turns.assistant import Assistant
from bot.turns.file_reader import FileReader
from bot.turns.interruption import Interruption
from bot.turns.participants import Participants
from bot.turns.service import TurnService


class Gatherer:
    """Gathers the parts of the prompts of claimed turns."""

    def __init__(
        self,
        store: Store,
        turns: TurnService[PlatformClaim],
        assistant: Assistant,
        adapters: Mapping[str, Adapter],
        files: FileReader,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """`adapters` are by platform."""
        self._store = store
        self._turns = turns
        self._assistant = assistant
        self._adapters = adapters
        self._files = files
        self._clock = clock
        self._participants = Participants(store)

    async def gather(self, claim: PlatformClaim, interruption: Interruption) -> PromptParts:
        """Return the parts of the prompt: history, thread context, question, files, names, the note on its author.

        Raises TurnInterrupted while files are read.
        """
        past, newest = await self._turns_of(claim)
        past, newest = await interruption.limit(partial(self._files.read, claim, past, newest))
        names = await self.names(claim, [*past.turns, newest], several=past.window.several)
        return PromptParts(past, newest, names, about=await self._about(claim, names))

    async def names(self, claim: PlatformClaim, turns: Sequence[Turn], *, several: bool) -> Mapping[str, str]:
        """Return the names that the model reads in these turns.

        `several`: more than one person has written. The name of a single author is not looked up.
        """
        if claim.session_id is None:
            return {}
        adapter = self._adapters[claim.thread.platform]
        look_up = partial(adapter.names, claim.thread.workspace)
        bot_names = {bot: name for turn in turns for bot, name in bots(turn.thread_context).items()}
        people = named(turns, several=several)
        return await self._participants.names(claim.session_id, people, look_up, bot_names, own_name=adapter.bot_name)

    async def _turns_of(self, claim: PlatformClaim) -> tuple[Past, Turn]:
        """Return the session's earlier turns, and the one to answer."""
        newest = Turn(claim.utterances, id=claim.turn_id)
        if claim.session_id is None:  # only a fixed reply has none
            return Past(), newest
        if claim.thread_context is ContextState.UNREAD:
            await self._read_thread_context(claim, claim.session_id)
        past = await self._turns.past(claim.session_id, claim.turn_id)
        if claim.thread_context is not None:
            attached = thread_context.attached
            [newest] = await self._store.run_until_available(attached, claim.session_id, [newest])
        return past, newest

    async def _read_thread_context(self, claim: PlatformClaim, session_id: str) -> None:
        """Read and store the thread's messages from before the bot was mentioned. It is tried once."""
        context = await self._adapters[claim.thread.platform].earlier(claim.thread, claim.oldest_id)
        redactor = self._assistant.redactor
        messages = [
            replace(each, text=redactor.text(each.text), forwarded=redactor.forwarded(each.forwarded))
            for each in context.messages
        ]
        shown = bounded(messages, whole=context.complete, tokens=self._assistant.room // 3)
        save = thread_context.save
        await self._store.run_until_available(save, claim.thread_id, session_id, claim.turn_id, shown)

    async def _about(self, claim: PlatformClaim, names: Mapping[str, str]) -> str:
        """Return the note on the author of the newest message, for this answer only."""
        place, person = claim.thread, claim.author.id
        wishes, profile = await asyncio.gather(
            self._store.run_until_available(preferences.of_person, place.platform, place.workspace, person),
            self._adapters[place.platform].profile(place.workspace, person),
        )
        return for_model(wishes, profile, name=names.get(person, ""), now=self._clock())
