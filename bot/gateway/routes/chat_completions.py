"""POST chat/completions: a question over HTTP, and its answer, whole or as server-sent events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import replace

from aiohttp import web

from bot.config.settings import Settings
from bot.errors import OutOfTokens
from bot.gateway.inbound import request_messages
from bot.gateway.inbound.auth import Admission, Authenticator
from bot.gateway.inbound.headers import IDEMPOTENCY_HEADER, idempotency_key_of, session_of
from bot.gateway.inbound.request import CompletionRequest, read
from bot.gateway.inbound.running_requests import RunningRequests
from bot.gateway.outbound import access_log
from bot.gateway.outbound.client_timeout import ClientTimeout
from bot.gateway.outbound.completion import envelope
from bot.gateway.outbound.errors import invalid, unsupported
from bot.llm import Done, Retry, Usage
from bot.turns.caller_places import CallerPlaces
from bot.turns.chat_question import Question
from bot.turns.chat_reply import ChatReply, Reply
from bot.turns.chat_service import ChatService
from bot.turns.cpu import compute


class ChatCompletions:
    """Answers requests for completions."""

    def __init__(
        self,
        chat: ChatService,
        places: CallerPlaces,
        authenticator: Authenticator,
        settings: Settings,
        new_id: Callable[[], str],
    ) -> None:
        self._chat = chat
        self._places = places
        self._authenticator = authenticator
        self._settings = settings
        self._new_id = new_id
        self._running = RunningRequests(settings.gateway_max_running_per_key)

    async def complete(self, http: web.Request) -> web.StreamResponse:
        """Answer one request. Raises ApiError and AttendantError, also in the middle of a stream."""
        admission = await self._authenticator.admit(http)
        await self._chat.pacer.step()
        with self._running.admit(admission.key.id):
            response = await self._complete(http, admission)
            await self._send(http, response)
            return response

    async def _complete(self, http: web.Request, admission: Admission) -> web.StreamResponse:
        session, key = session_of(http), idempotency_key_of(http)
        request = await read(http, self._settings)
        question = await compute(request.size, self._question, admission.key.id, request, session, key)
        question = replace(
            question,
            request=http[access_log.ID],
            reads_whole=not request.stream,
            tokens_left=admission.tokens_left,
        )
        try:
            async with self._chat.ask(question) as reply:
                headers = dict(admission.headers)
                if session is not None and reply.opened is not None:
                    headers |= {"x-session-id": session, "x-session-state": reply.opened.value}
                client_timeout = ClientTimeout(self._settings.gateway_client_timeout_seconds)
                answer = CompletionResponse(request, reply, self._new_id(), client_timeout)
                try:
                    return await (answer.stream(http, headers) if request.stream else answer.whole(headers))
                finally:
                    if not reply.repeated:
                        http[access_log.TOKENS] = reply.cost()
        except OutOfTokens as error:
            raise await self._authenticator.out_of_tokens(admission, error) from None

    async def _send(self, http: web.Request, response: web.StreamResponse) -> None:
        """Send the rest of a response, so that its request counts until the client has read it."""
        async with ClientTimeout(self._settings.gateway_client_timeout_seconds).writing():
            await response.prepare(http)
            await response.write_eof()

    def _question(self, owner: str, request: CompletionRequest, session: str | None, key: str | None) -> Question:
        instructions = request_messages.instructions(request.messages)
        if instructions and self._settings.gateway_system_messages == "refuse":
            raise invalid("System messages are not accepted here.", "messages", "system_message_refused")
        if key is not None and "tools" in request.parameters:  # an answer that calls them is not stored
            raise unsupported("tools", f"together with '{IDEMPOTENCY_HEADER}'")
        idempotency_key = self._places.idempotency_key(key, request.digest) if key is not None else None
        most_bytes = self._settings.gateway_stored_mb_per_key * 1_000_000
        if session is None:
            return Question(
                owner,
                self._places.single(owner, key) if key is not None else None,
                messages=request_messages.compose_verbatim(request.messages),
                instructions=instructions,
                parameters=request.parameters,
                idempotency_key=idempotency_key,
                size=request.size,
                most_bytes=most_bytes,
            )
        messages = request_messages.in_session(request.messages)
        return Question(
            owner,
            self._places.session(owner, session),
            texts=messages.questions,
            earlier=messages.earlier,
            following=messages.following,
            instructions=instructions,
            parameters=request.parameters,
            idempotency_key=idempotency_key,
            size=request.size,
            most_bytes=most_bytes,
        )


class CompletionResponse:
    """One answer on its way to the client."""

    def __init__(
        self, request: CompletionRequest, reply: ChatReply, new_id: str, client_timeout: ClientTimeout
    ) -> None:
        self._request = request
        self._reply = reply
        self._envelope = envelope(reply.began_at, request.model, reply.name or new_id)
        self._client_timeout = client_timeout

    async def whole(self, headers: Mapping[str, str]) -> web.Response:
        """Return the answer as one JSON object."""
        text: list[str] = []
        async with aclosing(self._reply.words()) as words:
            async for piece in words:
                match piece:
                    case Done():
                        body = self._envelope.whole("".join(text), piece, piece.usage or Usage())
                        return web.json_response(body, headers=headers)
                    case Retry():
                        text.clear()
                    case str():
                        text.append(piece)
        raise AssertionError("a reply ends with its Done")

    async def stream(self, http: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
        """Send the answer as server-sent events. A failure is raised, for the caller to send as the last event."""
        async with aclosing(self._reply.words()) as words:
            first = await anext(words)
            stream = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
            response = web.StreamResponse(headers={**headers, **stream})
            await response.prepare(http)
            await self._send(response, self._envelope.opening(with_usage=self._request.include_usage))
            await self._send_piece(response, first)
            async for piece in words:
                await self._send_piece(response, piece)
            return response

    async def _send_piece(self, response: web.StreamResponse, piece: Reply) -> None:
        with_usage = self._request.include_usage
        match piece:
            case str():
                await self._send(response, self._envelope.delta(piece, with_usage=with_usage))
            case Done():
                for chunk in self._envelope.ending(piece, piece.usage or Usage(), with_usage=with_usage):
                    await self._send(response, chunk)

    async def _send(self, response: web.StreamResponse, data: bytes) -> None:
        async with self._client_timeout.writing():
            await response.write(data)
