"""Every error that the API returns, in OpenAI's shape and with its status codes.

The shape: developers.openai.com/api/docs/guides/error-codes. SDKs retry 408, 409, 429 and 5xx by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.domain import texts
from bot.errors import (
    AttendantError,
    IdempotencyKeyReused,
    ModelError,
    OutOfTokens,
    Overloaded,
    SessionBusy,
    SessionClosed,
    SessionLost,
    StorageFull,
    Trouble,
)
from bot.llm import top

RETRY_S = 10  # after a failure of the model, if the backend names no pause
TOO_LONG = (
    "The messages and the answer together are longer than the model's context window. Send shorter messages, lower "
    "'max_tokens', or start the session over with DELETE …/sessions/{id}."
)


class ApiError(Exception):
    """Ends a request with an error response."""

    def __init__(self, response: ErrorResponse) -> None:
        super().__init__(response.message)
        self.response = response


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The status, the headers and the error object of an error response."""

    status: int
    message: str
    kind: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def log_code(self) -> str:
        """The error for the access log: its code, the top-level parameter (clients name those below), or its type."""
        return self.code or (self.kind if self.param is None else f"invalid {top(self.param)}")

    def body(self) -> dict[str, Any]:
        """Return the error object in OpenAI's shape."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return a 400 for a request that is not valid. `param` names the field."""
    return ApiError(ErrorResponse(400, message, param=param, code=code))


def unsupported(param: str, where: str = "here") -> ApiError:
    """Return a 400 for a field that the gateway does not support."""
    return invalid(f"Unsupported parameter: '{param}' is not supported {where}.", param, "unsupported_parameter")


def unaccepted(param: str) -> ApiError:
    """Return a 400 for a field whose value the model refused."""
    return invalid(f"The model does not accept this value of '{param}'.", param, "unsupported_value")


def unauthorized(message: str) -> ApiError:
    """Return a 401 for a request without a key, or with a wrong one."""
    return ApiError(ErrorResponse(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"}))


def forbidden(message: str) -> ApiError:
    """Return a 403 for a key that is no longer valid."""
    return ApiError(ErrorResponse(403, message, "permission_error", code="permission_denied"))


def not_found(message: str, code: str) -> ApiError:
    """Return a 404."""
    return ApiError(ErrorResponse(404, message, code=code))


def request_timeout() -> ApiError:
    """Return a 408 for a body that did not arrive in time."""
    return ApiError(ErrorResponse(408, "The request's body did not arrive in time.", "timeout", code="request_timeout"))


def too_large(max_bytes: int) -> ApiError:
    """Return a 413 for a body that is too long."""
    return ApiError(
        ErrorResponse(413, f"The request's body is longer than {max_bytes} bytes.", code="request_too_large")
    )


def unsupported_media_type() -> ApiError:
    """Return a 415 for a body that is not JSON, or compressed in a way that is not supported."""
    return ApiError(
        ErrorResponse(
            415,
            "Send a JSON object, with content-type: application/json, plain or compressed by gzip or deflate.",
            code="unsupported_media_type",
        )
    )


def session_busy() -> ApiError:
    """Return a 409 for a session in which another request is being answered."""
    message = "Another request of this session is still being answered. Try again in a moment."
    return ApiError(ErrorResponse(409, message, "conflict_error", code="session_busy", headers=_retry(2)))


def session_closed() -> ApiError:
    """Return a 409 for a session that was reset while the request was being answered."""
    message = "The session was reset while this request was being answered. Send it again to start a new session."
    return ApiError(ErrorResponse(409, message, "conflict_error", code="session_reset", headers=_retry(1)))


def session_lost() -> ApiError:
    """Return a 503 for a request whose lease was lost: another process may answer in the session."""
    message = "The server lost this request while answering it, and remembers nothing of it. Send it again."
    return ApiError(ErrorResponse(503, message, "server_error", code="session_lost", headers=_retry(2)))


def rate_limited(unit: str, limit: int, retry_after_s: int, headers: Mapping[str, str]) -> ApiError:
    """Return a 429 for a key that has used up its requests or tokens of this minute."""
    message = f"Rate limit reached: {limit} {unit} per minute. Try again in {retry_after_s} s."
    return ApiError(
        ErrorResponse(429, message, unit, code="rate_limit_exceeded", headers={**headers, **_retry(retry_after_s)})
    )


def too_many_running(limit: int) -> ApiError:
    """Return a 429 for a key that runs as many requests at once as it may."""
    message = f"This key runs {limit} requests already. Try again when one of them has ended."
    return ApiError(ErrorResponse(429, message, "requests", code="too_many_running_requests", headers=_retry(2)))


def out_of_tokens(error: OutOfTokens, headers: Mapping[str, str]) -> ApiError:
    """Return a 429 for a request that has to wait for the key's next minute, and a 400 for one that never fits."""
    if error.needed <= error.limit:
        remaining = {"x-ratelimit-remaining-tokens": str(error.remaining)}
        return rate_limited("tokens", error.limit, error.seconds, {**headers, **remaining})
    message = (
        f"This request may take {error.needed} tokens, its answer included, and this key may use {error.limit} tokens "
        "per minute. Send shorter messages, lower 'max_tokens', or start the session over with DELETE …/sessions/{id}."
    )
    return invalid(message, "messages", "token_limit_exceeded")


def too_many_failures(retry_after_s: int) -> ApiError:
    """Return a 429 for a wrong key while too many other failures are delayed. It closes the connection."""
    message = "Too many failed attempts. Try again later."
    headers = {**_retry(retry_after_s), "Connection": "close"}
    return ApiError(ErrorResponse(429, message, "requests", code="rate_limit_exceeded", headers=headers))


def internal_error() -> ApiError:
    """Return a 500 for an unexpected exception."""
    return ApiError(ErrorResponse(500, texts.SOMETHING_BROKE, "server_error", code="internal_error"))


def unavailable(message: str = texts.SOMETHING_BROKE) -> ApiError:
    """Return a 503 for a dependency that is not available."""
    return ApiError(ErrorResponse(503, message, "server_error", code="service_unavailable", headers=_retry(2)))


def idempotency_key_reused() -> ApiError:
    """Return a 400 for an idempotency key that belongs to another request."""
    message = "This 'Idempotency-Key' was already used for a different request."
    return invalid(message, "Idempotency-Key", "idempotency_key_reused")


def storage_full(limit_bytes: int) -> ApiError:
    """Return a 403 for a key whose sessions hold as much text as they may. No SDK repeats it."""
    message = (
        f"The sessions of this key hold {limit_bytes // 1_000_000} MB of text, which is the limit. Start over the "
        "sessions that you no longer need with DELETE …/sessions/{id}, or wait until they expire. The server's "
        "operator can raise the limit with GATEWAY_STORED_MB_PER_KEY."
    )
    return ApiError(ErrorResponse(403, message, "permission_error", code="storage_limit_reached"))


def overloaded() -> ApiError:
    """Return a 503 for more concurrent requests than the limits allow."""
    return unavailable(texts.BUSY)


def from_error(error: AttendantError) -> ApiError:
    """Return the API error for an error of the lower layers."""
    if isinstance(error, StorageFull):
        return storage_full(error.limit)
    if not isinstance(error, ModelError):
        return _BY_ERROR.get(type(error), unavailable)()
    return unaccepted(error.param) if error.param else from_trouble(error.trouble, error.retry_after_s)


def from_trouble(trouble: Trouble, retry_after_s: float | None = None) -> ApiError:
    """Return the API error for a model call that gave no complete answer. The client may wait as the backend asks."""
    status, kind = _BY_TROUBLE[trouble]
    code = _CODES.get(trouble, f"model_{trouble.value}")
    pause_s = RETRY_S if retry_after_s is None else max(1, math.ceil(retry_after_s))
    headers = _retry(pause_s) if status in {429, 503} else {}
    if trouble is Trouble.WINDOW_EXCEEDED:
        return invalid(TOO_LONG, "messages", code)
    return ApiError(ErrorResponse(status, texts.trouble(trouble, retry_after_s), kind, code=code, headers=headers))


_BY_ERROR: dict[type[AttendantError], Callable[[], ApiError]] = {
    SessionBusy: session_busy,
    SessionClosed: session_closed,
    SessionLost: session_lost,
    IdempotencyKeyReused: idempotency_key_reused,
    Overloaded: overloaded,
}
_BY_TROUBLE = {
    Trouble.REFUSED_KEY: (503, "server_error"),  # the bot's key, not the client's
    Trouble.NO_QUOTA: (503, "server_error"),
    Trouble.RATE_LIMITED: (429, "requests"),
    Trouble.UNAVAILABLE: (503, "server_error"),
    Trouble.TIMEOUT: (504, "server_error"),
    Trouble.CUT: (502, "server_error"),
    Trouble.EMPTY: (502, "server_error"),
    Trouble.REFUSED: (400, "invalid_request_error"),
    Trouble.WINDOW_EXCEEDED: (400, "invalid_request_error"),
    Trouble.BAD_REQUEST: (400, "invalid_request_error"),
    Trouble.NOT_FOUND: (503, "server_error"),  # the settings name the model, not the client
}
_CODES = {
    Trouble.RATE_LIMITED: "rate_limit_exceeded",
    Trouble.REFUSED: "content_filter",
    Trouble.WINDOW_EXCEEDED: "context_length_exceeded",
}


def _retry(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}
