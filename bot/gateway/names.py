"""The names that a client gives: of a session, by a header in any of four spellings, and of a request."""

from __future__ import annotations

import re

from aiohttp import web

from bot.gateway.refusals import invalid

SESSION_HEADERS = ("sessionId", "session-id", "x-session-id", "session_id")  # the first is the one we recommend
REQUEST_HEADER = "Idempotency-Key"
MOST_CHARACTERS = 200
PATTERN = r"[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]*"  # what was not UTF-8 arrives as halves of characters


def session(http: web.Request) -> str | None:
    """The session that a request names. Raises Refusal for what is no name, and for two that disagree."""
    given = {value.strip() for header in SESSION_HEADERS for value in http.headers.getall(header, ())}
    if len(given) > 1:
        raise invalid("The request names two different sessions.", SESSION_HEADERS[0], "conflicting_session_ids")
    return checked(given.pop(), SESSION_HEADERS[0]) if given else None


def request(http: web.Request) -> str | None:
    """The request's own name, under which it is answered once. Raises Refusal for what is no name."""
    given = {value.strip() for value in http.headers.getall(REQUEST_HEADER, ())}
    if len(given) > 1:
        raise invalid("The request has two different names.", REQUEST_HEADER)
    return checked(given.pop(), REQUEST_HEADER) if given else None


def checked(text: str, where: str) -> str:
    """The name. Raises Refusal when it cannot be one."""
    if not re.fullmatch(PATTERN, text, re.DOTALL):
        raise invalid(f"'{where}' holds control characters, or is not UTF-8.", where)
    if not 0 < len(text) <= MOST_CHARACTERS:
        raise invalid(f"'{where}' must have from 1 to {MOST_CHARACTERS} characters.", where)
    return text
