"""A request for a completion: its body is received, parsed and validated."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from aiohttp import web

from bot.config.settings import Settings
from bot.gateway.inbound.request_models import CompletionBody, PassedOn, RequestMessage, completion_body
from bot.gateway.inbound.validation import validate
from bot.gateway.outbound.errors import invalid, request_timeout, too_large, unsupported_media_type
from bot.turns.cpu import compute

MAX_DEPTH = 64
PLAIN = "identity"  # the Content-Encoding of a body that is not compressed
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # either header (zlib.net/manual.html, inflateInit2)
# The most values in a body, objects and arrays included. Checking 20,000 of them takes 10 ms.
VALUES, VALUES_PER_MESSAGE = 10_000, 10
_TEXT_OR_VALUE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([,\[{])', re.DOTALL)  # also a text that does not end
NOT_AS_ENCODED = "The request's body does not match its Content-Encoding or Transfer-Encoding."
NOT_JSON = "The request's body is not valid JSON."
TOO_DEEP = f"The request's body is nested deeper than {MAX_DEPTH} levels."
NOT_A_NUMBER = "The request's body has NaN, Infinity or a number that is too large, which is not valid JSON."
NOT_UNICODE = "The request's body has an unpaired surrogate, which is not valid Unicode."


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A valid request for a completion.

    `parameters` go to the model as the client wrote them.
    `digest` identifies the request. It is the same for a streamed and for a whole answer.
    """

    messages: Sequence[RequestMessage]
    model: str
    parameters: Mapping[str, Any]
    stream: bool
    include_usage: bool
    digest: str
    size: int  # of the body in bytes


async def read(request: web.Request, settings: Settings) -> CompletionRequest:
    """Receive and validate a request. Raises ApiError."""
    if request.content_type != "application/json":
        raise unsupported_media_type()
    data = await _receive(request, settings)
    encoding = request.headers.get("Content-Encoding", PLAIN).strip().lower()
    size = len(data) if encoding == PLAIN else settings.gateway_max_body_bytes
    return await compute(size, _read, data, encoding, settings)


def _read(received: bytes, encoding: str, settings: Settings) -> CompletionRequest:
    data = _decoded(received, encoding, settings.gateway_max_body_bytes)
    body = _parse(data, most_values=VALUES + VALUES_PER_MESSAGE * settings.gateway_max_messages)
    valid = validate(completion_body(settings.gateway_max_messages), body)
    if valid.stream_options is not None and not valid.stream:
        raise invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    return _request(valid, body, len(data), settings)


def _request(valid: CompletionBody, body: Mapping[str, Any], size: int, settings: Settings) -> CompletionRequest:
    allowed_model = valid.model if valid.model in settings.gateway_models else None
    passed_on = {name: body[name] for name in PassedOn.model_fields if body.get(name) is not None}
    return CompletionRequest(
        messages=valid.messages,
        model=allowed_model or settings.openai_model,
        parameters=({"model": allowed_model} if allowed_model else {}) | passed_on,
        stream=bool(valid.stream),
        include_usage=valid.stream_options is not None and valid.stream_options.include_usage,
        digest=_digest(body),
        size=size,
    )


async def _receive(request: web.Request, settings: Settings) -> bytes:
    try:
        async with asyncio.timeout(settings.gateway_client_timeout_seconds):
            return await request.read()
    except TimeoutError:
        raise request_timeout() from None
    except web.HTTPRequestEntityTooLarge:
        raise too_large(settings.gateway_max_body_bytes) from None
    except web.RequestPayloadError:
        raise invalid(NOT_AS_ENCODED) from None


def _decoded(data: bytes, encoding: str, most_bytes: int) -> bytes:
    """Decompress a body, no further than to its limit. Raises ApiError."""
    if encoding == PLAIN:
        return data
    if encoding not in {"gzip", "deflate"}:
        raise unsupported_media_type()
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        decoded = decoder.decompress(data, most_bytes + 1)
    except zlib.error:
        raise invalid(NOT_AS_ENCODED) from None
    if len(decoded) > most_bytes:
        raise too_large(most_bytes)
    if not decoder.eof:
        raise invalid(NOT_AS_ENCODED)
    return decoded


def _parse(data: bytes, most_values: int) -> Any:
    """Parse JSON. Raises ApiError before it builds the values, if there are too many."""
    if _has_more_values(data, most_values):
        raise invalid(f"The request's body has more than {most_values} values.")
    try:
        body = json.loads(data, parse_constant=_refuse_constant)
    except RecursionError:
        raise invalid(TOO_DEEP) from None
    except ValueError:
        raise invalid(NOT_JSON) from None
    _check_depth(body, MAX_DEPTH)
    return body


def _refuse_constant(_: str) -> None:
    raise invalid(NOT_A_NUMBER)


def _has_more_values(data: bytes, most: int) -> bool:
    """Return whether a JSON text has more values: each comma, and each beginning of an object or an array, counts."""
    if sum(map(data.count, (b",", b"[", b"{"))) <= most:  # texts may hold these characters as well
        return False
    outside_texts = (match for match in _TEXT_OR_VALUE.finditer(data) if match.lastindex)
    return next(islice(outside_texts, most, None), None) is not None


def _check_depth(value: object, levels: int) -> None:
    """Refuse a deeply nested body. Encoding it for the model would exceed Python's recursion limit."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if children and not levels:
        raise invalid(TOO_DEEP)
    for child in children:
        _check_depth(child, levels - 1)


def _digest(body: Mapping[str, Any]) -> str:
    """Hash a request without its nulls and without its fields about streaming.

    Raises ApiError for values that Python's parser accepts and JSON does not: numbers that are infinite for Python, and
    unpaired surrogates.
    """
    fields = {
        name: each for name, each in body.items() if each is not None and name not in {"stream", "stream_options"}
    }
    try:
        text = json.dumps(fields, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise invalid(NOT_UNICODE) from None
    except ValueError:
        raise invalid(NOT_A_NUMBER) from None
    return hashlib.sha256(text).hexdigest()
