"""A request for a completion, read: its body within its bounds, then what it asks."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot.config.settings import Settings
from bot.gateway import schemas
from bot.gateway.errors import invalid, not_json, too_large, too_slow, unsupported
from bot.gateway.json_schema import check
from bot.llm import top

MOST_NESTED = 64
NO_JSON = "The request's body is not valid JSON."


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a request asks."""

    messages: Sequence[Mapping[str, Any]]
    model: str
    parameters: Mapping[str, Any]  # passed on to the model as they are
    stream: bool
    include_usage: bool
    digest: str  # of all that it asks, but for how the answer is to come


async def read(request: web.Request, settings: Settings) -> CompletionRequest:
    """What this request asks. Raises Refusal."""
    if request.content_type != "application/json":
        raise not_json()
    body = _parsed(await _bytes(request, settings))
    problem = check(body, schemas.request(settings.gateway_max_messages))
    if problem is not None:
        name = top(problem.where)
        if problem.unknown or name in schemas.ASKS_FOR_NOTHING:
            raise unsupported(problem.where)
        if not name:
            raise invalid("The request's body must be a JSON object.")
        raise invalid(f"Invalid value: '{problem.where}' {problem.what}.", problem.where)
    return _asked(body, settings)


def _asked(body: dict[str, Any], settings: Settings) -> CompletionRequest:
    options = body.get("stream_options")
    if options is not None and not body.get("stream"):
        raise invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    named = body.get("model")
    chosen = {"model": named} if named in settings.gateway_models else {}
    passed_on = {name: body[name] for name in schemas.PASSED_ON if body.get(name) is not None}
    asked = {name: each for name, each in body.items() if each is not None and name not in {"stream", "stream_options"}}
    return CompletionRequest(
        messages=body["messages"],
        model=chosen.get("model", settings.openai_model),
        parameters=chosen | passed_on,
        stream=bool(body.get("stream")),
        include_usage=bool(options and options.get("include_usage")),
        digest=_digest(asked),
    )


async def _bytes(request: web.Request, settings: Settings) -> bytes:
    try:
        async with asyncio.timeout(settings.gateway_client_timeout_seconds):
            return await request.read()
    except TimeoutError:
        raise too_slow() from None
    except web.HTTPRequestEntityTooLarge:
        raise too_large(settings.gateway_max_body_bytes) from None
    except web.RequestPayloadError:
        raise invalid("The request's body is broken: it is not encoded as its headers say.") from None


def _parsed(data: bytes) -> Any:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise invalid(NO_JSON) from None
    _bound(body, MOST_NESTED)
    return body


def _bound(value: object, levels: int) -> None:
    """Refuse what is nested deeper: whoever encodes it again would break on it."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if inside and not levels:
        raise invalid(f"The request's body is nested deeper than {MOST_NESTED} levels.")
    for each in inside:
        _bound(each, levels - 1)


def _digest(asked: Mapping[str, Any]) -> str:
    """Refuses what Python reads as JSON and no backend takes: infinite numbers, halves of characters."""
    try:
        text = json.dumps(asked, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # (UnicodeError is one)
        raise invalid(NO_JSON) from None
    return hashlib.sha256(text).hexdigest()
