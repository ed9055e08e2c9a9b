"""The names that a client gives: a session's, by a header in any of four spellings, and the key of a request."""

from __future__ import annotations

import re

from aiohttp import web

from bot.gateway.errors import invalid

SESSION_HEADERS = ("sessionId", "session-id", "x-session-id", "session_id")  # the first is the one we recommend
IDEMPOTENCY_HEADER = "Idempotency-Key"
MOST_CHARACTERS = 200
PATTERN = r"[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]*"


def session(http: web.Request) -> str | None:
    """The session that a request names. Raises Refusal for what is no name, and for two that disagree."""
    given = {_text(value) for header in SESSION_HEADERS for value in http.headers.getall(header, ())}
    if len(given) > 1:
        raise invalid("The request names two different sessions.", SESSION_HEADERS[0], "conflicting_session_ids")
    return checked(given.pop(), SESSION_HEADERS[0]) if given else None


def idempotency_key(http: web.Request) -> str | None:
    """What the client calls this request, so that it is answered once. Raises Refusal for what is no name."""
    given = {_text(value) for value in http.headers.getall(IDEMPOTENCY_HEADER, ())}
    if len(given) > 1:
        raise invalid("The request has two different keys.", IDEMPOTENCY_HEADER)
    return checked(given.pop(), IDEMPOTENCY_HEADER) if given else None


def _text(value: str) -> str:
    """A header's text: UTF-8, as curl sends it, or else Latin-1, as fetch and requests do (fetch.spec.whatwg.org)."""
    data = value.encode(errors="surrogateescape")  # as it came: what is not UTF-8, aiohttp reads so
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        return data.decode("latin-1").strip()


def checked(text: str, where: str) -> str:
    """The name. Raises Refusal when it cannot be one."""
    if not re.fullmatch(PATTERN, text):
        raise invalid(f"'{where}' holds control characters.", where)
    if not 0 < len(text) <= MOST_CHARACTERS:
        raise invalid(f"'{where}' must have from 1 to {MOST_CHARACTERS} characters.", where)
    return text
