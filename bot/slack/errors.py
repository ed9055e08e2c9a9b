"""How a call of Slack's Web API can fail: whether Slack said no, asked to wait, or gave no answer.

Rule: only a refusal, a rate limit and a connection that never came about mean that Slack surely did nothing.
"""

from __future__ import annotations

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

CallFailed = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""Everything a call of the Web API raises when it does not succeed; ValueError is for answers that are no JSON."""

_LIMITED = frozenset({"ratelimited", "rate_limited", "http_429"})

# https://docs.slack.dev/reference/methods/chat.postMessage: "some aspect of the operation" may have "succeeded"
_MAYBE_DONE = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})

_LEAST_WAIT_S = 1.0


class CallError(Exception):
    """A call of `method` did not succeed. `code` is Slack's own word for why, or ours where Slack gave none."""

    def __init__(self, method: str, code: str) -> None:
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code


class RefusedError(CallError):
    """Slack said no, and did nothing."""


class BusyError(CallError):
    """There were too many calls: the next may be made in `seconds`, which is longer than this one could wait."""

    def __init__(self, method: str, code: str, seconds: float) -> None:
        super().__init__(method, code)
        self.seconds = seconds


class NoAnswerError(CallError):
    """Slack did not say what became of the call.

    Unless it was `sent`, Slack did nothing; otherwise it may have done it. If it is `over`, it will not do it any more.
    """

    def __init__(self, method: str, code: str, *, sent: bool, over: bool) -> None:
        super().__init__(method, code)
        self.sent = sent
        self.over = over


def failure_of(error: BaseException, method: str) -> CallError:
    """What one of `CallFailed`, raised by a call of this method, means."""
    code = error_code(error)
    if code in _LIMITED:
        return BusyError(method, code, _retry_after_s(error))
    if isinstance(error, SlackApiError) and _word(error):
        over = code in _MAYBE_DONE
        return NoAnswerError(method, code, sent=True, over=True) if over else RefusedError(method, code)
    unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return NoAnswerError(method, code, sent=not unsent, over=False)


def error_code(error: BaseException) -> str:
    """Slack's word for why a call failed, or ours where Slack gave none. Never what the call was about."""
    if isinstance(error, SlackApiError):
        return _word(error) or f"http_{_status(error)}"
    return "timeout" if isinstance(error, TimeoutError) else f"not_reached ({type(error).__name__})"


def _retry_after_s(error: BaseException) -> float:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    given = str(headers.get("Retry-After", ""))
    return max(float(given), _LEAST_WAIT_S) if given.isdecimal() else _LEAST_WAIT_S


def _word(error: SlackApiError) -> str:
    data = getattr(error.response, "data", None)
    return str(data.get("error") or "") if isinstance(data, dict) else ""


def _status(error: SlackApiError) -> object:
    # The SDK hands over its own response, or aiohttp's where the body was no JSON.
    return getattr(error.response, "status_code", None) or getattr(error.response, "status", "unknown")
