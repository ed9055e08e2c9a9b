"""bot.slack.log_redaction: the records of slack_bolt and slack_sdk."""

import logging

import pytest

from bot.slack.log_redaction import redacting_logger


def test_records_are_redacted(caplog: pytest.LogCaptureFixture) -> None:
    """A record keeps one line, without tokens, query strings and exceptions."""
    logger = redacting_logger("slack_sdk.made_up")
    error = ValueError("what Ana wrote")
    logger.error("Failed with %s at wss://x.y/?ticket=1\nbody: what Ana wrote", "xoxb-1-abc", exc_info=error)
    logger.info("what Ana wrote")

    assert [record.getMessage() for record in caplog.records] == ["Failed with … at wss://x.y/…"]
    assert "Ana" not in caplog.text


def test_info_and_debug_are_off() -> None:
    """INFO and DEBUG, which print payloads, are off at any level of the root logger."""
    assert not redacting_logger("slack_bolt.made_up").isEnabledFor(logging.INFO)
