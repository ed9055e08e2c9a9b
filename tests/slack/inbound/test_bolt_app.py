"""bot.slack.inbound.bolt_app: the error handler."""

import logging

import pytest

from tests.support.slack_inbound_stage import inbound_stage, json_log, logged


async def test_an_unexpected_error_is_logged_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    """The log line of an unexpected error has its type and traceback, but no text, which may quote a person."""
    async with inbound_stage(ack_within_s=0.1, retry_after_s=()) as slack:
        slack.inbox.accepted = None  # type: ignore[assignment]  # so that it raises
        slack.workspace.post(slack.ana, slack.help_desk, "a secret")
        await slack.workspace.until(lambda: all(delivery.done for delivery in slack.server.deliveries.all()))

        (line,) = logged(caplog, "slack_listener_failed")
        assert line["error"] == "AttributeError"
        assert "bot/slack/inbound/listeners/events.py" in line["traceback"]
        assert "a secret" not in json_log(caplog)
        assert slack.inbox.failed_deliveries == 1
        assert not [record for record in caplog.records if record.levelno < logging.WARNING and "slack" in record.name]
