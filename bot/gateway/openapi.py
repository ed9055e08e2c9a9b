"""The OpenAPI document: the gateway's paths and every status they answer with, made from the schemas that are checked.

Rule: pure. OpenAPI 3.1 (spec.openapis.org/oas/v3.1.1), whose schemas are JSON Schema's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.config.settings import Settings
from bot.gateway import headers, schemas
from bot.gateway.auth import LIMIT_HEADERS
from bot.gateway.sessions import PARAMETER

Json = dict[str, Any]

_ERRORS = {
    400: "the request is not what it should be, or asks for what is not supported",
    401: "no key, or a wrong one",
    403: "the key was revoked, or has expired",
    404: "there is no such thing",
    405: "there is no such method here",
    408: "the body did not arrive in time",
    409: "another request is being answered in the session, or the session was reset meanwhile",
    413: "the body is too long",
    415: "the body is no JSON",
    417: "nothing but '100-continue' may be expected",
    429: "the key's minute is spent, or too many attempts failed",
    500: "something broke",
    502: "the model gave no whole answer",
    503: "the model or the database is away, or there is too much to do",
    504: "the model took too long",
}
_OF_ALL = (400, 405, 417, 500)
_OF_ANY = (*_OF_ALL, 401, 403, 429, 503)
_OF_CHAT = (*_OF_ANY, 408, 409, 413, 415, 502, 504)
_TRY_AGAIN = (409, 429, 503)
_VERSION = "1"


def _headers(told: Mapping[str, str]) -> Json:
    return {name: {"schema": {"type": "string"}, "description": what} for name, what in told.items()}


_SESSION_HEADERS = _headers(
    {"x-session-id": "the session, when one was named", "x-session-state": "created, continued or expired"}
)
_LIMIT_HEADERS = _headers(dict.fromkeys(LIMIT_HEADERS, "of the key's minute"))
_RETRY = _headers({"Retry-After": "for how many seconds to wait"})


def document(prefix: str, settings: Settings) -> Json:
    """The document of the paths that begin with this prefix."""
    chat = {"post": _chat(settings)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Attendant",
            "version": _VERSION,
            "description": "Chat completions in OpenAI's shape. A header names a session, whose history is remembered.",
        },
        "security": [{"key": []}],
        "paths": {
            prefix: chat,
            f"{prefix}/chat/completions": chat,
            f"{prefix}/models": {"get": _operation("List the models that may be asked for.", schemas.MODELS)},
            f"{prefix}/sessions/{{{PARAMETER}}}": {
                "parameters": [_name(PARAMETER, "path", "The session's id, as the header gave it.", required=True)],
                "get": _operation("Tell of a session, without its words.", schemas.SESSION, (*_OF_ANY, 404)),
                "delete": _operation("Reset a session.", schemas.DELETED, (*_OF_ANY, 404)),
            },
            f"{prefix}/openapi.json": {"get": _open("Show this document.", {"type": "object"})},
            "/healthz": {"get": _open("Tell that the process lives.", schemas.ALIVE)},
        },
        "components": {
            "schemas": {"Error": schemas.ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "sk-att-..."}},
        },
    }


def _chat(settings: Settings) -> Json:
    operation = _operation("Answer a question.", schemas.COMPLETION, _OF_CHAT)
    answered = operation["responses"]["200"]
    answered["content"]["text/event-stream"] = {"schema": schemas.EVENT}
    answered["headers"] = _SESSION_HEADERS | _LIMIT_HEADERS
    operation["responses"]["429"]["headers"] = _RETRY | _LIMIT_HEADERS
    session = "Names the session. Without any of its spellings nothing is remembered."
    operation["parameters"] = [
        *(_name(header, "header", session) for header in headers.SESSION_HEADERS),
        _name(
            headers.IDEMPOTENCY_HEADER,
            "header",
            "A repeated request with this key gets the same answer. Not with tools.",
        ),
    ]
    body = {"application/json": {"schema": schemas.request(settings.gateway_max_messages)}}
    operation["requestBody"] = {"required": True, "content": body}
    return operation


def _operation(what: str, answer: Json, errors: tuple[int, ...] = _OF_ANY) -> Json:
    return {
        "summary": what,
        "responses": {"200": _response("done", answer)} | {str(status): _refused(status) for status in errors},
    }


def _open(what: str, answer: Json) -> Json:
    """An operation for which no key is needed."""
    return _operation(what, answer, _OF_ALL) | {"security": []}


def _refused(status: int) -> Json:
    told = _response(_ERRORS[status], {"$ref": "#/components/schemas/Error"})
    return told | ({"headers": _RETRY} if status in _TRY_AGAIN else {})


def _response(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _name(name: str, where: str, what: str, *, required: bool = False) -> Json:
    schema = {"type": "string", "minLength": 1, "maxLength": headers.MOST_CHARACTERS, "pattern": f"^{headers.PATTERN}$"}
    return {"name": name, "in": where, "description": what, "required": required, "schema": schema}
