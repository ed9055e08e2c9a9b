"""bot.slack.client: what Slack's libraries may log, and what a failure is called."""

import logging

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack.client import error_code, quiet_logger, retry_after_seconds


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


def test_a_failure_has_slacks_name() -> None:
    """Slack's own word is used; without one, the HTTP status; without an answer, that it was not reached."""
    assert [
        error_code(refused({"ok": False, "error": "not_in_channel"})),
        error_code(refused({}, status=503)),
        error_code(TimeoutError()),
        error_code(ConnectionRefusedError()),
    ] == ["not_in_channel", "http_503", "timeout", "not_reached (ConnectionRefusedError)"]


def test_how_long_to_wait() -> None:
    """A rate limit says for how long; other failures do not ask to wait."""
    limited = refused({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "7"})

    assert retry_after_seconds(limited) == 7
    assert retry_after_seconds(refused({"error": "fatal_error"})) == 0


def test_libraries_keep_secrets_and_bodies(caplog: pytest.LogCaptureFixture) -> None:
    """Of what a library logs, one line is kept, without tokens, addresses' queries, and exceptions' texts."""
    logger = quiet_logger("slack_sdk.made_up")
    error = ValueError("what Ana wrote")
    logger.error("Failed with %s at wss://x.y/?ticket=1\nbody: what Ana wrote", "xoxb-1-abc", exc_info=error)
    logger.info("what Ana wrote")

    assert [record.getMessage() for record in caplog.records] == ["Failed with … at wss://x.y/…"]
    assert "Ana" not in caplog.text


def test_levels_are_kept_quiet() -> None:
    """INFO and DEBUG, which print payloads, are off whatever the root logger says."""
    assert not quiet_logger("slack_bolt.made_up").isEnabledFor(logging.INFO)
