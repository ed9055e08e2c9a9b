"""Errors of Web API calls: refused, throttled, or unconfirmed.

CallError
├── RefusedError      Slack refused the call and did nothing
├── ThrottledError    Slack counted too many calls and did nothing
└── UnconfirmedError  Slack may have carried out the call
"""

from __future__ import annotations

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.errors import StoreUnavailable

CLIENT_ERRORS = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""Every exception that a call of the Web API client raises. ValueError: the response is not JSON."""

_RATE_LIMIT_CODES = frozenset({"ratelimited", "rate_limited", "http_429"})

# https://docs.slack.dev/reference/methods/chat.postMessage: "some aspect of the operation" may have "succeeded"
_SERVER_ERROR_CODES = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})

_MIN_RETRY_AFTER_S = 1.0


class CallError(Exception):
    """A call of `method` failed. `code` is Slack's error code, or one of `error_code` if Slack gave none."""

    outcome = "failed"

    def __init__(self, method: str, code: str) -> None:
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code


class RefusedError(CallError):
    """Slack refused the call and did nothing."""

    outcome = "refused"


class ThrottledError(CallError):
    """The rate limit was reached. Slack accepts the next call after `retry_after_s` seconds."""

    outcome = "throttled"

    def __init__(self, method: str, code: str, retry_after_s: float) -> None:
        super().__init__(method, code)
        self.retry_after_s = retry_after_s


class UnconfirmedError(CallError):
    """Slack did not confirm the outcome of the call.

    If the request was not `sent`, Slack did nothing. If Slack `answered`, with an error of its servers, it will not
    carry out the call later.
    """

    outcome = "unconfirmed"

    def __init__(self, method: str, code: str, *, sent: bool, answered: bool) -> None:
        super().__init__(method, code)
        self.sent = sent
        self.answered = answered


def call_error(error: BaseException, method: str) -> CallError:
    """Translate one of CLIENT_ERRORS, which a call of `method` raised."""
    code = error_code(error)
    if code in _RATE_LIMIT_CODES:
        return ThrottledError(method, code, _retry_after_s(error))
    if isinstance(error, SlackApiError) and _slack_code(error):
        if code in _SERVER_ERROR_CODES:
            return UnconfirmedError(method, code, sent=True, answered=True)
        return RefusedError(method, code)
    not_sent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return UnconfirmedError(method, code, sent=not not_sent, answered=False)


def error_code(error: BaseException) -> str:
    """Return Slack's error code, else `http_` and the status, `timeout` or `not_reached`. It quotes no payload."""
    if isinstance(error, SlackApiError):
        return _slack_code(error) or f"http_{_status(error)}"
    return "timeout" if isinstance(error, TimeoutError) else f"not_reached ({type(error).__name__})"


def failure_reason(error: BaseException) -> str:
    """Return the reason of a failure for a log line: the database's message, or the code of a Slack error."""
    return str(error) if isinstance(error, StoreUnavailable) else error_code(error)


def _retry_after_s(error: BaseException) -> float:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    value = str(headers.get("Retry-After", ""))
    return max(float(value), _MIN_RETRY_AFTER_S) if value.isdecimal() else _MIN_RETRY_AFTER_S


def _slack_code(error: SlackApiError) -> str:
    data = getattr(error.response, "data", None)
    return str(data.get("error") or "") if isinstance(data, dict) else ""


def _status(error: SlackApiError) -> object:
    # The SDK passes its own response, or aiohttp's if the body is not JSON.
    return getattr(error.response, "status_code", None) or getattr(error.response, "status", "unknown")
