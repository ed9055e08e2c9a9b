"""The headers that name a session, in any of four spellings, and the idempotency key of a request."""

from __future__ import annotations

import re

from aiohttp import web

from bot.gateway.outbound.errors import invalid

SESSION_HEADERS = ("sessionId", "session-id", "x-session-id", "session_id")  # the documentation recommends the first
IDEMPOTENCY_HEADER = "Idempotency-Key"
MAX_LENGTH = 200
PATTERN = r"[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]*"


def session_of(http: web.Request) -> str | None:
    """Return the id of the request's session. Raises ApiError for an invalid id, and for two different ones."""
    values = {_decode(value) for header in SESSION_HEADERS for value in http.headers.getall(header, ())}
    if len(values) > 1:
        raise invalid("The request names two different sessions.", SESSION_HEADERS[0], "conflicting_session_ids")
    return checked(values.pop(), SESSION_HEADERS[0]) if values else None


def idempotency_key_of(http: web.Request) -> str | None:
    """Return the request's idempotency key. Raises ApiError for an invalid key, and for two different ones."""
    values = {_decode(value) for value in http.headers.getall(IDEMPOTENCY_HEADER, ())}
    if len(values) > 1:
        raise invalid("The request has two different idempotency keys.", IDEMPOTENCY_HEADER)
    return checked(values.pop(), IDEMPOTENCY_HEADER) if values else None


def _decode(value: str) -> str:
    """Decode UTF-8, which curl sends, or else Latin-1, which fetch and requests send (fetch.spec.whatwg.org)."""
    data = value.encode(errors="surrogateescape")  # aiohttp has decoded the bytes so
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        return data.decode("latin-1").strip()


def checked(value: str, param: str) -> str:
    """Return the value. Raises ApiError if its characters or its length are not allowed."""
    if not re.fullmatch(PATTERN, value):
        raise invalid(f"'{param}' must not contain control characters.", param)
    if not 0 < len(value) <= MAX_LENGTH:
        raise invalid(f"'{param}' must have from 1 to {MAX_LENGTH} characters.", param)
    return value
