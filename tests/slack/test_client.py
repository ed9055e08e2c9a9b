"""bot.slack.client: what Slack's libraries may log."""

import logging

import pytest

from bot.slack.client import quiet_logger


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
