"""bot.slack.outbound.ephemeral_messages: the outcome of a button, by the response URL or by chat.postEphemeral."""

import pytest

from bot.domain import texts
from bot.slack.views.session_picker import RESET_SESSION
from tests.support.slack_inbound_stage import eventually, inbound_stage, json_log, logged


async def test_the_environments_proxy_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A response URL on this machine is used without the proxy of the environment."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    async with inbound_stage() as slack:
        session, _ = slack.add_sessions("one", "two")
        slack.workspace.interactions.press(slack.ana, await slack.command("/reset"), RESET_SESSION, session)
        await slack.workspace.until(lambda: slack.only_ephemeral() == texts.reset_count(1))
    assert not caplog.records


async def test_an_expired_response_url() -> None:
    """If the response URL has expired, the outcome is posted as another ephemeral message."""
    async with inbound_stage() as slack:
        session, _ = slack.add_sessions("one", "two")
        slack.workspace.interactions.press(slack.ana, await slack.command("/reset"), RESET_SESSION, session)
        slack.workspace.response_urls.clear()
        await slack.workspace.until(lambda: slack.ephemerals()[-1].text == texts.reset_count(1))
        assert slack.inbox.resets == [(session, slack.ana.id)]


async def test_no_way_to_show_the_outcome(caplog: pytest.LogCaptureFixture) -> None:
    """If both ways fail, both are logged, without the response URL, and the listener does not fail."""
    async with inbound_stage() as slack:
        session, _ = slack.add_sessions("one", "two")
        slack.server.faults.refuse("chat.postEphemeral", "not_in_channel")
        slack.workspace.interactions.press(slack.ana, await slack.command("/reset"), RESET_SESSION, session)
        slack.workspace.response_urls.clear()
        await eventually(lambda: bool(logged(caplog, "ephemeral_message_failed")))

    assert [line["error"] for line in logged(caplog, "ephemeral_message_failed")] == ["not_in_channel"]
    assert [line["status"] for line in logged(caplog, "response_url_refused")] == [404]
    assert "secret-" not in json_log(caplog)
    assert logged(caplog, "slack_listener_failed") == []
