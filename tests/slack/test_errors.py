"""bot.slack.errors: what a failed call of Slack's means."""

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack.errors import BusyError, NoAnswerError, RefusedError, error_code, failure_of

HOST = ConnectionKey("slack.com", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)


def refused(data: dict[str, object], status: int = 200, headers: dict[str, str] | None = None) -> SlackApiError:
    """The exception that the SDK raises for an answer with this body."""
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
    """The exception for a 429."""
    return refused({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(seconds)})


def test_a_failure_has_slacks_name() -> None:
    """Slack's own word is used; without one, the HTTP status; without an answer, that it was not reached."""
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
def test_how_long_to_wait(headers: dict[str, str], seconds: float) -> None:
    """A rate limit says for how long, with or without a body that says so."""
    for data in ({"ok": False, "error": "ratelimited"}, {}):
        failure = failure_of(refused(data, 429, headers), "chat.update")
        assert isinstance(failure, BusyError)
        assert failure.seconds == seconds


def test_a_refusal_is_certain() -> None:
    """When Slack names a reason it did nothing, and the reason and the method are told."""
    failure = failure_of(refused({"ok": False, "error": "is_archived"}), "chat.update")

    assert isinstance(failure, RefusedError)
    assert str(failure) == "chat.update: is_archived"


@pytest.mark.parametrize(
    ("error", "sent", "over"),
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
def test_what_may_have_been_done(error: Exception, sent: bool, over: bool) -> None:  # noqa: FBT001 - a table's columns
    """Only a connection that never came about means that nothing was done; only an answer that nothing more will be."""
    failure = failure_of(error, "chat.postMessage")

    assert isinstance(failure, NoAnswerError)
    assert (failure.sent, failure.over) == (sent, over)
