"""Refusals: every way in which a request is answered with an error, in OpenAI's shape and with its status codes.

The shape: developers.openai.com/api/docs/guides/error-codes; SDKs try 408, 409, 429 and 5xx again by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.domain import texts
from bot.errors import (
    AttendantError,
    IdempotencyKeyReused,
    ModelError,
    Overloaded,
    SessionBusy,
    SessionClosed,
    SessionLost,
    Trouble,
)
from bot.llm import top

TOO_MUCH = (
    "This is more text than the model can take in at once, together with its answer. Send shorter messages, lower "
    "'max_tokens', or start the session over with DELETE …/sessions/{id}."
)


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Error:
    """The error of a refusal."""

    status: int
    message: str
    kind: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def why(self) -> str | None:
        """For the log: its code, or the parameter, which has a name of ours; what is within it, the client may name."""
        return self.code or (f"invalid {top(self.param)}" if self.param is not None else None)

    def body(self) -> dict[str, Any]:
        """The error object, as OpenAI has it."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """The request is not what it should be: 400, naming the part."""
    return ApiError(Error(400, message, param=param, code=code))


def unsupported(param: str, where: str = "here") -> ApiError:
    """The request has a part that is not supported: 400, naming it."""
    return invalid(f"Unsupported parameter: '{param}' is not supported {where}.", param, "unsupported_parameter")


def unaccepted(param: str) -> ApiError:
    """The model does not take this part of the request as it is: 400, naming it."""
    return invalid(f"The model does not accept this value of '{param}'.", param, "unsupported_value")


def unauthorized(message: str) -> ApiError:
    """The request has no key, or a wrong one: 401."""
    return ApiError(Error(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"}))


def forbidden(message: str) -> ApiError:
    """The key may not do that: 403."""
    return ApiError(Error(403, message, "permission_error", code="permission_denied"))


def not_found(message: str, code: str) -> ApiError:
    """There is no such thing: 404."""
    return ApiError(Error(404, message, code=code))


def too_slow() -> ApiError:
    """The request's body did not arrive in time: 408."""
    return ApiError(Error(408, "The request's body did not arrive in time.", "timeout", code="request_timeout"))


def too_large(most_bytes: int) -> ApiError:
    """The request's body is too long: 413."""
    return ApiError(Error(413, f"The request's body is longer than {most_bytes} bytes.", code="request_too_large"))


def not_json() -> ApiError:
    """The request's body is of another kind: 415."""
    return ApiError(
        Error(415, "Send a JSON object, with content-type: application/json.", code="unsupported_media_type")
    )


def busy() -> ApiError:
    """Another request is being answered in the session: 409."""
    message = "Another request of this session is still being answered. Try again in a moment."
    return ApiError(Error(409, message, "conflict_error", code="session_busy", headers=_retry(2)))


def session_closed() -> ApiError:
    """The session was reset while it answered: 409."""
    message = "The session was reset while this request was being answered. Send it again to begin a new one."
    return ApiError(Error(409, message, "conflict_error", code="session_reset", headers=_retry(1)))


def session_lost() -> ApiError:
    """Another process may be answering in the session: 503."""
    message = "This request was lost while it was being answered; nothing of it is remembered. Send it again."
    return ApiError(Error(503, message, "server_error", code="session_lost", headers=_retry(2)))


def limited(what: str, most: int, retry_after_s: int, headers: Mapping[str, str]) -> ApiError:
    """The key has spent its minute's requests or tokens: 429."""
    message = f"Rate limit reached: {most} {what} per minute. Try again in {retry_after_s} s."
    return ApiError(Error(429, message, what, code="rate_limit_exceeded", headers={**headers, **_retry(retry_after_s)}))


def slowed(retry_after_s: int) -> ApiError:
    """Too many wrong keys are being refused slowly already: 429, and whoever goes on has to connect again."""
    message = "Too many failed attempts. Try again later."
    headers = {**_retry(retry_after_s), "Connection": "close"}
    return ApiError(Error(429, message, "requests", code="rate_limit_exceeded", headers=headers))


def failed() -> ApiError:
    """Something broke that nobody foresaw: 500."""
    return ApiError(Error(500, texts.SOMETHING_BROKE, "server_error", code="internal_error"))


def unavailable(message: str = texts.SOMETHING_BROKE) -> ApiError:
    """Something needed is not there: 503."""
    return ApiError(Error(503, message, "server_error", code="service_unavailable", headers=_retry(2)))


def key_reused() -> ApiError:
    """Another request had the same idempotency key: 400."""
    message = "Another request was sent with this 'Idempotency-Key' before."
    return invalid(message, "Idempotency-Key", "idempotency_key_reused")


def overloaded() -> ApiError:
    """Too many ask at once: 503."""
    return unavailable(texts.BUSY)


def of(error: AttendantError) -> ApiError:
    """What the client is told when this went wrong."""
    if not isinstance(error, ModelError):
        return _BY_ERROR.get(type(error), unavailable)()
    return unaccepted(error.param) if error.param else of_model(error.trouble)


def of_model(trouble: Trouble) -> ApiError:
    """The model gave no whole answer."""
    status, kind = _BY_TROUBLE[trouble]
    code = _CODES.get(trouble, f"model_{trouble.value}")
    headers = _retry(10) if status in {429, 503} else {}
    if trouble is Trouble.WINDOW_EXCEEDED:
        return invalid(TOO_MUCH, "messages", code)
    return ApiError(Error(status, texts.trouble(trouble), kind, code=code, headers=headers))


_BY_ERROR: dict[type[AttendantError], Callable[[], ApiError]] = {
    SessionBusy: busy,
    SessionClosed: session_closed,
    SessionLost: session_lost,
    IdempotencyKeyReused: key_reused,
    Overloaded: overloaded,
}
_BY_TROUBLE = {
    Trouble.REFUSED_KEY: (503, "server_error"),  # not the client's key, but ours
    Trouble.NO_QUOTA: (503, "server_error"),
    Trouble.RATE_LIMITED: (429, "requests"),
    Trouble.UNAVAILABLE: (503, "server_error"),
    Trouble.TIMEOUT: (504, "server_error"),
    Trouble.CUT: (502, "server_error"),
    Trouble.EMPTY: (502, "server_error"),
    Trouble.REFUSED: (400, "invalid_request_error"),
    Trouble.WINDOW_EXCEEDED: (400, "invalid_request_error"),
    Trouble.BAD_REQUEST: (400, "invalid_request_error"),
    Trouble.NOT_FOUND: (503, "server_error"),  # what our settings name, not what the client asks for
}
_CODES = {
    Trouble.RATE_LIMITED: "rate_limit_exceeded",
    Trouble.REFUSED: "content_filter",
    Trouble.WINDOW_EXCEEDED: "context_length_exceeded",
}


def _retry(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}
