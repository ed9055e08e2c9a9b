"""The language model behind any OpenAI-compatible chat-completions endpoint.

Rule: the only home of the openai library. Its import is slow, so that other modules import this one where they open a
model (bot/llm/from_settings.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai
from openai.types.model import Model

from bot.errors import ModelError, StartupError, Trouble
from bot.llm import NO_PARAMETERS, OFFERED, Offer, Parameters, Piece, Thinking, may_be_empty
from bot.llm.callers import PerCaller, caller_of, own_limit
from bot.llm.errors import PROBLEMS, BackendFault, retry_after_s
from bot.llm.image_parts import ImageLatch, RequestImages
from bot.llm.stream_parser import StreamParser
from bot.llm.timeouts import TimedReader
from bot.prompt.history import ChatMessage

log = logging.getLogger(__name__)

OPENAI_URL = "https://api.openai.com/v1/"
CHECK_RETRIES = 2  # the client's own, while it reads a model's description; bot/llm/patience.py retries answers
CONNECT_S = 5.0
CHECK_S = 10.0  # how long the check at the start waits for a description, and for a word of the model
KEEP_ALIVE_S = 30.0  # spares the next turn a TLS handshake
# The timeout of a whole answer: a model that does not stop must not occupy a turn for ever. It is at least ten minutes,
# because a short limit on silence does not mean that answers are short.
WHOLE_SILENCES = 15
WHOLE_S = 600.0
_DRAIN_S = 0.25
_MAX_ATTEMPTS = 3  # the first, and one after each thing that a backend refuses
# Parameters that some backends refuse. The next attempt omits a refused one, and all later requests do if it succeeds.
_USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}
_LIMIT = "max_completion_tokens"
_EXTRAS = {*_USAGE, _LIMIT}

_FAILURES = (openai.APIError, httpx2.HTTPError, aiohttp.ClientError, TimeoutError, ModelError)
# Failures of a backend that is there: key, address and model may be right.
_NOT_FATAL = {Trouble.RATE_LIMITED, Trouble.EMPTY, Trouble.REFUSED, Trouble.UNAVAILABLE, Trouble.TIMEOUT}


class OpenAI:
    """An LLM that asks one model of one backend. Create it in the running event loop, and close it."""

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
        images: bool = True,
    ) -> None:
        """Without `base_url` the backend is OpenAI's; a backend without `api_key` needs none.

        Without `tools` the model is offered none, and without `images` it is shown none, as if the backend had refused
        them. The backend may send nothing for
        `silence_s` seconds, before its answer and between two pieces of text or reasoning. An answer may take `whole_s`
        seconds in all: by default a multiple of `silence_s`, at least ten minutes.
        """
        self._model = model
        self._silence_s = silence_s
        self._whole_s = whole_s or max(WHOLE_SILENCES * silence_s, WHOLE_S)
        self._key = api_key or "unused"  # the client requires one
        address = urlsplit(base_url or OPENAI_URL)
        self._where = address.netloc.rpartition("@")[2]  # without a password
        self._extras = PerCaller(set(_EXTRAS), lambda *_: set(_EXTRAS))  # those that were not refused
        self._takes_tools = tools
        self._images = ImageLatch(allowed=images)
        trusts_env = not _is_loopback(address.hostname or "")  # a proxy cannot reach a model on this machine
        self._client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=base_url or OPENAI_URL,
            max_retries=0,
            timeout=httpx2.Timeout(silence_s, connect=CONNECT_S, pool=2 * CONNECT_S),
            # aiohttp below the client costs less CPU a stream. By itself the library opens 1,000 connections at most.
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=max_streams + 1, keepalive_expiry=KEEP_ALIVE_S),
                trust_env=trusts_env,
                verify=_tls(trusts_env),
            ),
        )

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[Piece]:
        """See LLM.stream. A request is made once more without a parameter that the backend refuses."""
        accepted = self._extras.of(parameters)
        has_text, extras = False, frozenset(accepted & self._extras.ours & _extras(parameters).keys())
        offered = extras
        images = RequestImages(messages, self._images)
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                async with self._request(images.messages, parameters, extras) as answer:
                    while (text := await answer.next()) is not None:
                        if not text:
                            yield Thinking()
                            continue
                        has_text = True
                        accepted -= offered - extras
                        yield text
                    done = answer.completion.end()
                    await _drain(answer.body)
            except _FAILURES as error:
                sent, extras = extras, _not_blamed(extras, error, parameters)
                may_help = extras != sent or self._gives_tools_up(error, parameters)
                may_help = may_help or images.give_up(_fault(error, parameters))
                if has_text or not may_help or attempt == _MAX_ATTEMPTS:
                    # From None: the backend's own words may repeat a person's text.
                    raise self._as_model_error(error, parameters) from None
            else:
                accepted -= offered - extras
                yield images.done(done)
                return

    async def check(self) -> bool:
        """Check that this key, address and model can be used. Raises StartupError with the remedy.

        Return whether the backend answers. One that is busy or slow does not stop the start, because the bot would ask
        it again for each message, and people would hear of it.

        The check reads the model's description, which is free. Some backends have none, or do not show it to every key
        (OpenAI's restricted keys need the scope api.model.read, Azure lists no deployments): then it asks the model.
        """
        if not self._key.isascii() or not self._key.isprintable():
            raise StartupError("OPENAI_API_KEY holds characters that no key has. Copy it from your provider again.")
        try:
            if not await self._has_description():
                async with asyncio.timeout(CHECK_S):
                    await self._ask_hello()
        except _FAILURES as error:
            trouble = self._as_model_error(error)
            if trouble.trouble in _NOT_FATAL and not isinstance(error, openai.APIConnectionError):
                log.warning("model_busy", extra={"trouble": trouble.trouble.value, "error": trouble.detail})
                return False
            raise StartupError(f"The model at {self._where} cannot be used: {trouble.detail}.") from None
        return True

    async def first_piece_s(self) -> float:
        """Ask the model a trifle; return the seconds until its first text or reasoning. Raises ModelError."""
        began = (loop := asyncio.get_running_loop()).time()
        await self._ask_hello()
        return loop.time() - began

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    @asynccontextmanager
    async def _request(
        self, messages: Sequence[Mapping[str, Any]], parameters: Parameters, extras: frozenset[str]
    ) -> AsyncIterator[TimedReader]:
        """Make one request; its answer can be read within the block."""
        completion = StreamParser(
            self._model,
            may_be_empty=may_be_empty(parameters),
            most_tokens=own_limit(parameters),
            quotes_caller=caller_of(parameters) is not None,
        )
        # A quarter of the CPU of the library's typed stream: the events are read here, and the messages pass by its
        # arguments, because it would walk through each by reflection, at a cost that grows with the history.
        request = self._client.chat.completions.with_streaming_response.create(
            model=self._model,
            messages=[],
            stream=True,
            extra_body={
                **self._supported(parameters),
                "messages": list(messages),
                **{name: value for name, value in _extras(parameters).items() if name in extras},
            },
        )
        async with AsyncExitStack() as stack:
            began = (loop := asyncio.get_running_loop()).time()
            async with asyncio.timeout(self._whole_s):  # the client reads an error's body as slowly as it comes
                response = await stack.enter_async_context(request)
            body = await stack.enter_async_context(aclosing(response.http_response.aiter_bytes()))
            # A backend that sends headers late and then nothing is silent from the start of the request.
            first_s = max(self._silence_s - (loop.time() - began), self._silence_s / 10)
            yield TimedReader(body, completion, silence_s=self._silence_s, whole_s=self._whole_s, first_s=first_s)

    async def _has_description(self) -> bool:
        try:
            client = self._client.with_options(max_retries=CHECK_RETRIES, timeout=CHECK_S)
            async with asyncio.timeout(CHECK_S):
                description = await client.models.retrieve(self._model)
        except (openai.APIStatusError, TimeoutError):  # a backend may list hundreds of models slowly
            return False
        return isinstance(description, Model)  # the client returns a web page as text

    async def _ask_hello(self) -> None:
        async with aclosing(self.stream([{"role": "user", "content": "Hello"}])) as pieces:
            await anext(pieces)

    def _supported(self, parameters: Parameters) -> Parameters:
        """Return the parameters without the tools that this backend refused."""
        if self._takes_tools or not isinstance(parameters.get("tools"), Offer):
            return parameters
        return {name: value for name, value in parameters.items() if name not in OFFERED}

    def _gives_tools_up(self, error: Exception, parameters: Parameters) -> bool:
        """Return whether the backend refused the offered tools; if so, offer none from now on."""
        fault = _fault(error, parameters)
        if fault is None or not fault.refuses_tools or not isinstance(parameters.get("tools"), Offer):
            return False
        if self._takes_tools:
            log.warning("tools_refused", extra={"model": self._model})
        self._takes_tools = False
        return True

    def _as_model_error(self, error: Exception, parameters: Parameters = NO_PARAMETERS) -> ModelError:
        match error:
            case ModelError():
                return error
            case openai.APIStatusError():
                fault, model = _read(error, parameters), parameters.get("model", self._model)
                return fault.error(model, retry_after_s=retry_after_s(error.response.headers))
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


def _extras(parameters: Parameters) -> dict[str, Any]:
    """Return the parameters that we add to a request. A caller's own limit replaces ours."""
    limit = own_limit(parameters)
    return _USAGE if limit is None else {**_USAGE, _LIMIT: limit}


def _fault(error: Exception, parameters: Parameters) -> BackendFault | None:
    """Return the backend's own account of an error, if it sent one."""
    return _read(error, parameters) if isinstance(error, openai.APIStatusError) else None


def _read(error: openai.APIStatusError, parameters: Parameters) -> BackendFault:
    return BackendFault.read(error.body, error.status_code, quotes_caller=caller_of(parameters) is not None)


def _not_blamed(extras: frozenset[str], error: Exception, parameters: Parameters) -> frozenset[str]:
    fault = _fault(error, parameters)
    if fault is None:
        return extras
    blamed = {name for name in extras if fault.blames(name)}
    if fault.blames("max_tokens"):  # the parameter's older name, which some backends use in errors
        blamed.add(_LIMIT)
    return extras - blamed


@cache
def _tls(trusts_env: bool) -> ssl.SSLContext:  # noqa: FBT001 - it is the cache's key
    """Return the TLS context of every client in this process: reading the certificates takes 25 ms."""
    return httpx2.create_ssl_context(trust_env=trusts_env)


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


async def _drain(body: AsyncGenerator[bytes]) -> None:
    """Read the bytes after the last event, so that the connection can serve the next turn."""
    with contextlib.suppress(TimeoutError, httpx2.HTTPError, aiohttp.ClientError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in body:
                pass


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _reason(causes: Sequence[BaseException]) -> str:
    """Return the operating system's message, or else the class of the deepest error."""
    messages = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return messages[-1] if messages else type(causes[-1]).__name__
