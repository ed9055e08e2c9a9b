"""The attendant in Python, for scripts and tests without a server: separate chats, each with its id.

async with Attendant.open() as attendant:
    chat_id = await attendant.create_chat()
    answer = await attendant.send_message(chat_id, "My VPN is down.")
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, nullcontext
from uuid import UUID

from bot.config.settings import ENV_FILE, Settings
from bot.domain.api_keys import parse_key
from bot.domain.events import Thread
from bot.domain.sessions import Memory, ResetOutcome
from bot.domain.texts import TRUNCATED
from bot.errors import SessionNotFound, StartupError
from bot.llm import LLM, Done
from bot.llm.from_settings import with_demo_model
from bot.services import Services, new_id, open_services, utc_now
from bot.store import api_keys
from bot.turns.chat_question import Question

LOCAL = "local"  # the owner of the chats when no key is given

ChatId = str | UUID


class Attendant:
    """Answers in chats. `open` makes it, for use inside its block.

    Every method may raise StoreUnavailable, and Overloaded when too many answers run. The chats of a key share its
    limit of tokens per minute: a message beyond it raises OutOfTokens.
    """

    def __init__(self, services: Services, owner: str, most_bytes: int | None = None) -> None:
        self._opened: Services | None = services
        self._owner = owner
        self._most_bytes = most_bytes  # of text in the sessions of the owner's key

    @property
    def _services(self) -> Services:
        if self._opened is None:
            raise RuntimeError("The attendant is closed: call it inside 'async with Attendant.open() as attendant:'.")
        return self._opened

    def _place(self, chat_id: ChatId) -> Thread:
        return self._services.chat_sessions.places.session(self._owner, str(chat_id))

    @staticmethod
    @asynccontextmanager
    async def open(
        settings: Settings | None = None, *, key: str | None = None, llm: LLM | None = None
    ) -> AsyncIterator[Attendant]:
        """Open the attendant with its database and model, and close both at the block's end.

        `settings` are by default those of the environment and `.env`. With a `key` of the HTTP API the chats belong to
        that key, and can continue over HTTP by their id. `llm` replaces the model. Raises ConfigError and StartupError.
        """
        settings = settings or Settings.load(os.environ, ENV_FILE, without_slack=True)
        model = with_demo_model(settings) if llm is None else nullcontext(settings)
        async with model as effective, open_services(effective, llm=llm) as services:
            most_bytes = None if key is None else settings.gateway_stored_mb_per_key * 1_000_000
            attendant = Attendant(services, await _owner(services, key), most_bytes)
            try:
                yield attendant
            finally:
                attendant._opened = None

    async def create_chat(self) -> str:
        """Create a chat and return its id, a UUID. An unused chat never expires."""
        chat_id = new_id()
        await self._services.chat_sessions.make(self._place(chat_id))
        return chat_id

    async def send_message(self, chat_id: ChatId, text: str) -> str:
        """Return the answer to a message in this chat. Raises the same errors as stream_message."""
        async with aclosing(self.stream_message(chat_id, text)) as pieces:
            return "".join([piece async for piece in pieces])

    async def stream_message(self, chat_id: ChatId, text: str) -> AsyncGenerator[str, None]:
        """Yield the answer piece by piece. It is stored once the caller has read the last piece.

        Raises SessionNotFound for a chat that was never created, or expired more than RETENTION_DAYS ago, SessionBusy
        when another message is being answered in it for too long, SessionClosed when it was reset meanwhile,
        SessionLost when another process took it over, ModelError when there is no whole answer, StorageFull when the
        key's sessions hold too much text, and TypeError for a message that is not a str.
        """
        if not isinstance(text, str):
            raise TypeError(f"a message is a str, not {type(text).__name__}")
        thread = self._place(chat_id)
        if not await self._services.chat_sessions.knows(thread):
            raise SessionNotFound
        async with (
            self._services.chat_service.ask(
                Question(self._owner, thread, texts=(text,), most_bytes=self._most_bytes)
            ) as reply,
            aclosing(reply.words()) as words,
        ):
            async for piece in words:
                text = piece if isinstance(piece, str) else ""
                if isinstance(piece, Done) and piece.truncated:
                    text = f"\n\n{TRUNCATED}"
                if text:
                    with self._services.chat_service.uncancelled():
                        yield text
                    _ = self._services  # raises if the attendant has been closed

    async def memory(self, chat_id: ChatId) -> Memory | None:
        """Return figures of this chat's memory; None when nothing is remembered."""
        return await self._services.chat_sessions.memory(self._place(chat_id))

    async def reset_chat(self, chat_id: ChatId) -> ResetOutcome:
        """Forget this chat's history; the next message starts a new session."""
        return await self._services.chat_sessions.reset(self._place(chat_id))


async def _owner(services: Services, text: str | None) -> str:
    if text is None:
        return LOCAL
    secret = parse_key(text)
    key = await services.store.run(api_keys.find, secret) if secret is not None else None
    if key is None or not key.is_valid(utc_now()):
        raise StartupError(
            "The key is not in this database (DATABASE_URL), was revoked or has expired. "
            "Make one with: attendant keys create NAME"
        )
    return key.id
