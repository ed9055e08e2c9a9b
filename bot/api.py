"""The attendant in Python, for scripts and tests that want no server: chats by id, each apart from the others.

async with Attendant.open() as attendant:
    chat_id = await attendant.create_chat()
    answer = await attendant.send_message(chat_id, "My VPN is down.")
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, nullcontext
from uuid import UUID

from bot.app import with_model
from bot.config.settings import ENV_FILE, Settings
from bot.domain import api_keys
from bot.domain.sessions import Memory, ResetOutcome
from bot.domain.texts import TRUNCATED
from bot.errors import SessionNotFound, StartupError
from bot.llm import LLM, Done
from bot.services import Services, new_id, open_services, utc_now
from bot.store import api_keys as key_rows
from bot.turns.chat_question import Question, place

LOCAL = "local"  # whose the chats are when no key is given

ChatId = str | UUID


class Attendant:
    """Answers in chats; made by `open`, used inside its block.

    Every method may raise StoreUnavailable, and Overloaded when too many ask.
    """

    def __init__(self, parts: Services, owner: str) -> None:
        self._open: Services | None = parts
        self._owner = owner

    @property
    def _parts(self) -> Services:
        if self._open is None:
            raise RuntimeError("The attendant is closed: call it inside 'async with Attendant.open() as attendant:'.")
        return self._open

    @staticmethod
    @asynccontextmanager
    async def open(
        settings: Settings | None = None, *, key: str | None = None, llm: LLM | None = None
    ) -> AsyncIterator[Attendant]:
        """The attendant with its database and model, inside the block.

        Without `settings` they are those of the environment and `.env`. With a gateway's `key` the chats are that
        key's, and go on over HTTP by their id. `llm` takes the place of the model. Raises ConfigError and StartupError.
        """
        settings = settings or Settings.load(os.environ, ENV_FILE, without_slack=True)
        model = with_model(settings) if llm is None else nullcontext(settings)
        async with model as effective, open_services(effective, llm=llm) as parts:
            attendant = Attendant(parts, await _owner(parts, key))
            try:
                yield attendant
            finally:
                attendant._open = None

    async def create_chat(self) -> str:
        """A new chat; its id, a UUID. It is known for ever, unless it is used and expires."""
        chat_id = new_id()
        await self._parts.chat_sessions.make(place(self._owner, chat_id))
        return chat_id

    async def send_message(self, chat_id: ChatId, text: str) -> str:
        """The answer to a message in this chat. Raises what stream_message does."""
        async with aclosing(self.stream_message(chat_id, text)) as pieces:
            return "".join([piece async for piece in pieces])

    async def stream_message(self, chat_id: ChatId, text: str) -> AsyncGenerator[str, None]:
        """The answer piece by piece; it is remembered when the last was read.

        Raises SessionNotFound for a chat that was never created, or expired more than RETENTION_DAYS ago, SessionBusy
        when another message is being answered in it for too long, SessionClosed when it was reset meanwhile,
        SessionLost when another process took it over, ModelError when there is no whole answer, and TypeError for
        what is no text.
        """
        if not isinstance(text, str):
            raise TypeError(f"a message is a str, not {type(text).__name__}")
        thread = place(self._owner, str(chat_id))
        if not await self._parts.chat_sessions.knows(thread):
            raise SessionNotFound
        async with (
            self._parts.chat_service.ask(Question(self._owner, thread, texts=(text,))) as reply,
            aclosing(reply.words()) as words,
        ):
            async for piece in words:
                text = piece if not isinstance(piece, Done) else f"\n\n{TRUNCATED}" if piece.truncated else ""
                if text:
                    with self._parts.chat_service.uncancelled():
                        yield text
                    _ = self._parts  # whoever reads on when it is closed shall be told so

    async def memory(self, chat_id: ChatId) -> Memory | None:
        """What is remembered of this chat, in figures; None when that is nothing."""
        return await self._parts.chat_sessions.memory(place(self._owner, str(chat_id)))

    async def reset_chat(self, chat_id: ChatId) -> ResetOutcome:
        """Forget what was said in this chat; the next message begins anew."""
        return await self._parts.chat_sessions.reset(place(self._owner, str(chat_id)))


async def _owner(parts: Services, text: str | None) -> str:
    if text is None:
        return LOCAL
    secret = api_keys.read(text)
    key = await parts.store.run(key_rows.find, secret) if secret is not None else None
    if key is None or not key.is_valid(utc_now()):
        raise StartupError(
            "The key is not in this database (DATABASE_URL), was revoked or has expired. "
            "Make one with: attendant keys create NAME"
        )
    return key.id
