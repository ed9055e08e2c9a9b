"""bot.slack.errors: how exceptions of the Web API client are translated."""

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack.errors import RefusedError, ThrottledError, UnconfirmedError, call_error, error_code

HOST = ConnectionKey("slack.com", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)


def refused(data: dict[str, object], status: int = 200, headers: dict[str, str] | None = None) -> SlackApiError:
    """Build the exception that the SDK raises for a response with this body."""
    response = AsyncSlackResponse(
        client=AsyncWebClient(),
        http_verb="POST",
        api_url="https://slack.com/api/x",
        req_args={},
        data=data,
        headers=headers or {},
        status_code=status,
    )
    return SlackApiError("failed", response)  # type: ignore[no-untyped-call]  # the SDK annotates nothing there


def limited(seconds: int) -> SlackApiError:
    """Build the exception for a 429."""
    return refused({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(seconds)})


def test_error_codes() -> None:
    """The code is Slack's, else the HTTP status, else a word for the missing response."""
    assert [
        error_code(refused({"ok": False, "error": "not_in_channel"})),
        error_code(refused({}, status=503)),
        error_code(TimeoutError()),
        error_code(ConnectionRefusedError()),
    ] == ["not_in_channel", "http_503", "timeout", "not_reached (ConnectionRefusedError)"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "7"}, 7), ({"Retry-After": "0"}, 1), ({"Retry-After": "soon"}, 1), ({}, 1)],
)
def test_retry_after(headers: dict[str, str], seconds: float) -> None:
    """A 429 is throttling, with or without a JSON body. A malformed Retry-After counts as one second."""
    for data in ({"ok": False, "error": "ratelimited"}, {}):
        failure = call_error(refused(data, 429, headers), "chat.update")
        assert isinstance(failure, ThrottledError)
        assert failure.retry_after_s == seconds


def test_a_refusal() -> None:
    """An error code of Slack's means that it did nothing. The error names the method and the code."""
    failure = call_error(refused({"ok": False, "error": "is_archived"}), "chat.update")

    assert isinstance(failure, RefusedError)
    assert str(failure) == "chat.update: is_archived"


@pytest.mark.parametrize(
    ("error", "sent", "answered"),
    [
        (aiohttp.ClientConnectorError(HOST, OSError()), False, False),
        (aiohttp.ConnectionTimeoutError(), False, False),
        (aiohttp.ServerDisconnectedError(), True, False),
        (TimeoutError(), True, False),
        (ConnectionResetError(), True, False),
        (refused({}, status=502), True, False),
        (refused({"ok": False, "error": "internal_error"}), True, True),
        (refused({"ok": False, "error": "fatal_error"}, status=500), True, True),
    ],
)
def test_unconfirmed_calls(error: Exception, sent: bool, answered: bool) -> None:  # noqa: FBT001 - a table's columns
    """A call was not sent if the connection failed. It was answered if Slack returned an error of its servers."""
    failure = call_error(error, "chat.postMessage")

    assert isinstance(failure, UnconfirmedError)
    assert (failure.sent, failure.answered) == (sent, answered)
