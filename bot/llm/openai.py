"""The language model behind any OpenAI-compatible chat-completions endpoint.

Rule: the only home of the openai library, whose import takes about a second: nothing imports this module by the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai
from openai.types import Model

from bot.errors import ModelError, StartupError, Trouble
from bot.llm import NO_PARAMETERS, OFFERED, Done, Offer, Parameters, may_be_empty
from bot.llm.errors import PROBLEMS, BackendFault
from bot.llm.stream_parser import StreamParser
from bot.llm.timeouts import TimedReader
from bot.prompt.history import ChatMessage

log = logging.getLogger(__name__)

OPENAI_URL = "https://api.openai.com/v1/"
RETRIES = 2  # the client's own: on 408, 409, 429, 5xx and lost connections, until the first byte of an answer
CONNECT_S = 5.0
CHECK_S = 10.0  # silence allowed to a backend asked for its models
KEEP_ALIVE_S = 30.0  # spares the next turn a TLS handshake
# How long one answer is waited for in all: a model that goes on and on must not hold a turn for ever. Never less than
# ten minutes, because a short limit on silence says nothing of how long an answer may be.
WHOLE_SILENCES = 15
WHOLE_S = 600.0
_DRAIN_S = 0.25
_MOST_ATTEMPTS = 3  # a first one, and one after each thing that a backend objects to
# What not every backend knows: left out where it objects, and for good where it answers without.
_EXTRAS: dict[str, Any] = {"stream_options": {"include_usage": True}}

_FAILURES = (openai.APIError, httpx2.HTTPError, aiohttp.ClientError, TimeoutError, ModelError)
_WORTH_ANOTHER = {Trouble.EMPTY, Trouble.CUT}  # as long as nothing was said
_NOT_FATAL = {Trouble.RATE_LIMITED, Trouble.EMPTY, Trouble.REFUSED}  # the key, the address and the model are right


class OpenAI:
    """An LLM that asks one model of one backend. Make it inside the running event loop; close it in the end."""

    def __init__(
        self,
        *,
        model: str,
        silence_s: float,
        max_streams: int,
        api_key: str | None = None,
        base_url: str | None = None,
        whole_s: float | None = None,
        tools: bool = True,
    ) -> None:
        """Without `base_url` it is OpenAI's own; without `api_key` the backend is taken to need none.

        Without `tools` none are offered to the model, as if the backend had refused them.

        A backend may be silent for `silence_s` seconds, before its answer and between two pieces of it (words or
        thoughts). An answer is waited for `whole_s` seconds in all: by default many silences, some minutes at least.
        """
        self._model = model
        self._silence_s = silence_s
        self._whole_s = whole_s or max(WHOLE_SILENCES * silence_s, WHOLE_S)
        self._key = api_key or "unused"  # the client insists on one
        address = urlsplit(base_url or OPENAI_URL)
        self._where = address.netloc.rpartition("@")[2]  # without a password
        self._extras = frozenset(_EXTRAS)
        self._takes_tools = tools
        self._client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=base_url or OPENAI_URL,
            max_retries=RETRIES,
            timeout=httpx2.Timeout(silence_s, connect=CONNECT_S, pool=2 * CONNECT_S),
            # aiohttp below the client costs less CPU a stream. By itself the library opens 1,000 connections at most.
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=max_streams + 1, keepalive_expiry=KEEP_ALIVE_S),
                trust_env=not _is_loopback(address.hostname or ""),  # a proxy cannot reach a model on this machine
            ),
        )

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """See LLM.stream. A request that ended before its first word is made once more where that may help."""
        said, extras = False, self._extras
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            try:
                async with self._request(messages, parameters, extras) as answer:
                    while (text := await answer.next()) is not None:
                        said, self._extras = True, self._extras if said else self._extras & extras
                        yield text
                    done = answer.completion.end()
                    await _drain(answer.body)
            except _FAILURES as error:
                asked, extras = extras, _not_blamed(extras, error)
                if said or attempt >= self._attempts_worth(error, parameters, objected=extras != asked):
                    # From None: the backend's own words may repeat what a person wrote.
                    raise self._as_model_error(error, parameters) from None
            else:
                self._extras &= extras
                yield done
                return

    async def check(self) -> None:
        """Find out whether this key, address and model can be used; raises StartupError with the remedy if not.

        Asks for the model's card, which is free. Not every backend has one, or shows it to every key (OpenAI's
        restricted keys need the scope api.model.read, Azure lists no deployments): then the model itself is asked.
        """
        if not self._key.isascii() or not self._key.isprintable():
            raise StartupError("OPENAI_API_KEY holds characters that no key has. Copy it from your provider again.")
        try:
            if not await self._has_card():
                await self._say_hello()
        except _FAILURES as error:
            trouble = self._as_model_error(error)
            if trouble.trouble not in _NOT_FATAL:
                raise StartupError(f"The model at {self._where} cannot be used: {trouble.detail}.") from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    @asynccontextmanager
    async def _request(
        self, messages: Sequence[ChatMessage], parameters: Parameters, extras: frozenset[str]
    ) -> AsyncIterator[TimedReader]:
        """Make one request; its answer can be read within the block."""
        completion = StreamParser(self._model, may_be_empty=may_be_empty(parameters))
        # A quarter of the CPU of the library's typed stream: the events are read here, and the messages pass by its
        # arguments, because it would walk through each by reflection, at a cost that grows with the history.
        request = self._client.chat.completions.with_streaming_response.create(
            model=self._model,
            messages=[],
            stream=True,
            extra_body={
                **self._taken(parameters),
                "messages": list(messages),
                **{name: _EXTRAS[name] for name in extras},
            },
        )
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._whole_s):  # the client reads an error's body as slowly as it comes
                response = await stack.enter_async_context(request)
            body = await stack.enter_async_context(aclosing(response.http_response.aiter_bytes()))
            yield TimedReader(body, completion, silence_s=self._silence_s, whole_s=self._whole_s)

    async def _has_card(self) -> bool:
        try:
            card = await self._client.models.retrieve(self._model, timeout=CHECK_S)
        except openai.APIStatusError:
            return False
        return isinstance(card, Model)  # the client hands a web page through as text

    async def _say_hello(self) -> None:
        async with aclosing(self.stream([{"role": "user", "content": "Hello"}])) as pieces:
            await anext(pieces)

    def _taken(self, parameters: Parameters) -> Parameters:
        """The parameters without what this backend refused and the answer can do without."""
        if self._takes_tools or not isinstance(parameters.get("tools"), Offer):
            return parameters
        return {name: value for name, value in parameters.items() if name not in OFFERED}

    def _attempts_worth(self, error: Exception, parameters: Parameters, *, objected: bool) -> int:
        """How many attempts may help after this; `objected`: to something that the next one is made without."""
        if objected or self._gives_tools_up(error, parameters):
            return _MOST_ATTEMPTS
        return 2 if self._as_model_error(error, parameters).trouble in _WORTH_ANOTHER else 1

    def _gives_tools_up(self, error: Exception, parameters: Parameters) -> bool:
        """Whether the backend objected to the tools that are offered to the model; from now on none are."""
        fault = _fault(error)
        if fault is None or not fault.refuses_tools or not isinstance(parameters.get("tools"), Offer):
            return False
        if self._takes_tools:
            log.warning("the backend takes no tools with this model: from now on it answers without them")
        self._takes_tools = False
        return True

    def _as_model_error(self, error: Exception, parameters: Parameters = NO_PARAMETERS) -> ModelError:
        match error:
            case ModelError():
                return error
            case openai.APIStatusError():
                return BackendFault.read(error.body, error.status_code).error(parameters.get("model", self._model))
            case TimeoutError():
                return ModelError(Trouble.TIMEOUT, PROBLEMS[Trouble.TIMEOUT])
        causes = list(_causes(error))
        if any(isinstance(cause, httpx2.ReadTimeout) for cause in causes):
            return ModelError(Trouble.TIMEOUT, PROBLEMS[Trouble.TIMEOUT])
        if isinstance(error, openai.APIError):
            return ModelError(
                Trouble.UNAVAILABLE, f"cannot reach {self._where} ({_reason(causes)}); check OPENAI_BASE_URL"
            )
        return ModelError(Trouble.CUT, f"{PROBLEMS[Trouble.CUT]} ({_reason(causes)})")


def _fault(error: Exception) -> BackendFault | None:
    """What the backend said of it, where it answered at all."""
    return BackendFault.read(error.body, error.status_code) if isinstance(error, openai.APIStatusError) else None


def _not_blamed(extras: frozenset[str], error: Exception) -> frozenset[str]:
    fault = _fault(error)
    return extras if fault is None else frozenset(name for name in extras if not fault.blames(name))


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


async def _drain(body: AsyncGenerator[bytes]) -> None:
    """Read what stands after the last event, so that the connection can serve the next turn."""
    with contextlib.suppress(TimeoutError, httpx2.HTTPError, aiohttp.ClientError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in body:
                pass


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _reason(causes: Sequence[BaseException]) -> str:
    """What the operating system said, else the kind of the deepest error."""
    said = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return said[-1] if said else type(causes[-1]).__name__
