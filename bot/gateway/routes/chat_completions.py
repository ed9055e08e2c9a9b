"""POST chat/completions: a question by HTTP, and its answer, whole or as server-sent events."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import replace

from aiohttp import web

from bot.config.settings import Settings
from bot.gateway.inbound import headers as names
from bot.gateway.inbound import request_messages
from bot.gateway.inbound.auth import Authenticator
from bot.gateway.inbound.request import CompletionRequest, read
from bot.gateway.outbound import access_log
from bot.gateway.outbound.completion import envelope
from bot.gateway.outbound.errors import invalid, unsupported
from bot.llm import Done, Usage
from bot.prompt.tokens import estimate_tokens
from bot.store.chat_turns import IdempotencyKey
from bot.turns.chat_reply import ChatReply
from bot.turns.chat_service import ChatService, Question, place, place_of_one


class ChatCompletions:
    """Answers requests for completions."""

    def __init__(
        self, exchange: ChatService, doorman: Authenticator, settings: Settings, new_id: Callable[[], str]
    ) -> None:
        self._exchange = exchange
        self._doorman = doorman
        self._settings = settings
        self._new_id = new_id

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Answer one request. Raises Refusal and AttendantError, also in the middle of a stream."""
        admission = await self._doorman.admit(http)
        session, key = names.session(http), names.idempotency_key(http)
        asked = await read(http, self._settings)
        question = replace(self._question(admission.key.id, asked, session, key), request=http[access_log.ID])
        async with self._exchange.ask(question) as reply:
            headers = dict(admission.headers)
            if session is not None and reply.opened is not None:
                headers |= {"x-session-id": session, "x-session-state": reply.opened.value}
            answer = CompletionResponse(asked, reply, self._new_id(), self._settings.gateway_client_timeout_seconds)
            try:
                return await (answer.stream(http, headers) if asked.stream else answer.whole(headers))
            finally:
                if not reply.repeated:
                    http[access_log.TOKENS] = answer.cost
                    await self._doorman.charge(admission.key, answer.cost)

    def _question(self, owner: str, asked: CompletionRequest, session: str | None, key: str | None) -> Question:
        instructions = request_messages.instructions(asked.messages)
        if instructions and self._settings.gateway_system_messages == "refuse":
            raise invalid("System messages are not accepted here.", "messages", "system_message_refused")
        if key is not None and "tools" in asked.parameters:  # an answer that calls them is not kept
            raise unsupported("tools", f"together with '{names.IDEMPOTENCY_HEADER}'")
        known_by = IdempotencyKey(hashlib.sha256(key.encode()).hexdigest(), asked.digest) if key is not None else None
        if session is None:
            return Question(
                owner,
                place_of_one(owner, key) if key is not None else None,
                messages=request_messages.as_they_are(asked.messages),
                instructions=instructions,
                parameters=asked.parameters,
                idempotency_key=known_by,
            )
        told = request_messages.in_session(asked.messages)
        return Question(
            owner,
            place(owner, session),
            said=told.said,
            recalled=told.recalled,
            following=told.following,
            instructions=instructions,
            parameters=asked.parameters,
            idempotency_key=known_by,
        )


class CompletionResponse:
    """One answer on its way to the client."""

    def __init__(self, asked: CompletionRequest, reply: ChatReply, new_id: str, write_within_s: float) -> None:
        """`write_within_s`: a client that reads nothing for so long is gone."""
        self._asked = asked
        self._reply = reply
        self._envelope = envelope(reply.began_at, asked.model, reply.name or new_id)
        self._write_within_s = write_within_s
        self._text: list[str] = []
        self._usage: Usage | None = None

    @property
    def cost(self) -> int:
        """Its tokens. What the backend did not tell is estimated: all that the model was asked with, and what it said.

        So it costs as much to go away in the middle, or before the first word.
        """
        if self._usage is not None:
            return self._usage.prompt + self._usage.completion
        return self._reply.prompt_tokens() + estimate_tokens("".join(self._text))

    async def whole(self, headers: Mapping[str, str]) -> web.Response:
        """The answer as one JSON object."""
        async with aclosing(self._reply.words()) as words:
            async for piece in words:
                if isinstance(piece, Done):
                    self._usage = piece.usage or Usage()
                    body = self._envelope.whole("".join(self._text), piece, self._usage)
                    return web.json_response(body, headers=headers)
                self._text.append(piece)
        raise AssertionError("a reply ends with its Done")

    async def stream(self, http: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
        """The answer as server-sent events. What fails is raised."""
        async with aclosing(self._reply.words()) as words:
            first = await anext(words)
            stream = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
            response = web.StreamResponse(headers={**headers, **stream})
            await response.prepare(http)
            await self._send(response, self._envelope.opening(with_usage=self._asked.include_usage))
            await self._pass_on(response, first)
            async for piece in words:
                await self._pass_on(response, piece)
            return response

    async def _pass_on(self, response: web.StreamResponse, piece: str | Done) -> None:
        with_usage = self._asked.include_usage
        if isinstance(piece, str):
            self._text.append(piece)
            await self._send(response, self._envelope.delta(piece, with_usage=with_usage))
            return
        self._usage = piece.usage or Usage()
        for chunk in self._envelope.ending(piece, self._usage, with_usage=with_usage):
            await self._send(response, chunk)

    async def _send(self, response: web.StreamResponse, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._write_within_s):
                await response.write(data)
        except TimeoutError:
            raise ConnectionResetError("the client does not read") from None
