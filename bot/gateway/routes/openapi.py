"""The OpenAPI document: the gateway's paths, every status that they return, and the models that validate requests.

Rule: pure. OpenAPI 3.1 (spec.openapis.org/oas/v3.1.1), whose schemas are JSON Schema's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from bot.config.settings import Settings
from bot.gateway.inbound import headers
from bot.gateway.inbound.auth import LIMIT_HEADERS
from bot.gateway.inbound.request_models import completion_body
from bot.gateway.outbound import response_models
from bot.gateway.routes.sessions import PARAMETER

Json = dict[str, Any]
Model = type[BaseModel]

_VERSION = "1"
_REF = "#/components/schemas/{model}"
_RESPONSES: tuple[Model, ...] = (
    response_models.Completion,
    response_models.ServerSentEvent,
    response_models.ModelList,
    response_models.SessionDescription,
    response_models.DeletedSession,
    response_models.ErrorBody,
    response_models.Liveness,
)

_ERRORS = {
    400: "the request is not valid, or uses an unsupported parameter",
    401: "the key is missing or wrong",
    403: "the key was revoked, or has expired",
    404: "not found",
    405: "the path does not support this method",
    408: "the body did not arrive in time",
    409: "another request is being answered in the session, or the session was reset meanwhile",
    413: "the body is too long",
    415: "the body is not JSON",
    417: "the only supported expectation is '100-continue'",
    429: "the key's rate limit is reached, or there were too many failed attempts",
    500: "unexpected error",
    502: "the model gave no complete answer",
    503: "the model or the database is not available, or the server is overloaded",
    504: "the model took too long",
}
_STATUSES_WITHOUT_KEY = (400, 405, 417, 500)
_STATUSES = (*_STATUSES_WITHOUT_KEY, 401, 403, 429, 503)
_STATUSES_OF_CHAT = (*_STATUSES, 408, 409, 413, 415, 502, 504)
_RETRYABLE = (409, 429, 503)


def _headers(descriptions: Mapping[str, str]) -> Json:
    return {name: {"schema": {"type": "string"}, "description": text} for name, text in descriptions.items()}


_SESSION_HEADERS = _headers(
    {"x-session-id": "the session, if the request names one", "x-session-state": "created, continued or expired"}
)
_LIMIT_HEADERS = _headers(dict.fromkeys(LIMIT_HEADERS, "the key's rate limit in this minute"))
_RETRY_AFTER = _headers({"Retry-After": "how many seconds to wait"})


class _SchemaGenerator(GenerateJsonSchema):
    """JSON Schema without titles of fields, and without defaults: here a default stands for an absent field."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def default_schema(self, schema: Any) -> Json:
        return self.generate_inner(schema["schema"])


def document(prefix: str, settings: Settings) -> Json:
    """Return the document of the paths under this prefix."""
    request = completion_body(settings.gateway_max_messages)
    chat = {"post": _chat(request)}
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
            f"{prefix}/models": {
                "get": _operation("List the models that a request may name.", response_models.ModelList)
            },
            f"{prefix}/sessions/{{{PARAMETER}}}": {
                "parameters": [_name(PARAMETER, "path", "The session's id, as in the header.", required=True)],
                "get": _operation(
                    "Describe a session, without its text.", response_models.SessionDescription, (*_STATUSES, 404)
                ),
                "delete": _operation("Reset a session.", response_models.DeletedSession, (*_STATUSES, 404)),
            },
            f"{prefix}/openapi.json": {"get": _without_key("Return this document.", {"type": "object"})},
            "/healthz": {"get": _without_key("Report that the process is alive.", _ref(response_models.Liveness))},
        },
        "components": {
            "schemas": _schemas(request, *_RESPONSES),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "sk-att-..."}},
        },
    }


@cache
def _schemas(*models: Model) -> Json:
    inputs: list[tuple[Model, Literal["validation"]]] = [(model, "validation") for model in models]
    _, definitions = models_json_schema(inputs, ref_template=_REF, schema_generator=_SchemaGenerator)
    schemas: Json = definitions["$defs"]
    return schemas


def _ref(model: Model) -> Json:
    return {"$ref": _REF.format(model=model.__name__)}


def _chat(request: Model) -> Json:
    operation = _operation("Answer a question.", response_models.Completion, _STATUSES_OF_CHAT)
    answered = operation["responses"]["200"]
    answered["content"]["text/event-stream"] = {"schema": _ref(response_models.ServerSentEvent)}
    answered["headers"] = _SESSION_HEADERS | _LIMIT_HEADERS
    operation["responses"]["429"]["headers"] = _RETRY_AFTER | _LIMIT_HEADERS
    session = "Names the session. A request without any of these headers is not remembered."
    operation["parameters"] = [
        *(_name(header, "header", session) for header in headers.SESSION_HEADERS),
        _name(
            headers.IDEMPOTENCY_HEADER,
            "header",
            "A repeated request with the same key gets the same answer. Not with tools.",
        ),
    ]
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(request)}}}
    return operation


def _operation(summary: str, answer: Model, statuses: tuple[int, ...] = _STATUSES) -> Json:
    errors = {str(status): _error(status) for status in statuses}
    return {"summary": summary, "responses": {"200": _response("success", _ref(answer))} | errors}


def _without_key(summary: str, schema: Json) -> Json:
    """Return an operation that needs no key."""
    errors = {str(status): _error(status) for status in _STATUSES_WITHOUT_KEY}
    return {"summary": summary, "security": [], "responses": {"200": _response("success", schema)} | errors}


def _error(status: int) -> Json:
    response = _response(_ERRORS[status], _ref(response_models.ErrorBody))
    return response | ({"headers": _RETRY_AFTER} if status in _RETRYABLE else {})


def _response(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _name(name: str, where: str, description: str, *, required: bool = False) -> Json:
    schema = {"type": "string", "minLength": 1, "maxLength": headers.MAX_LENGTH, "pattern": f"^{headers.PATTERN}$"}
    return {"name": name, "in": where, "description": description, "required": required, "schema": schema}
