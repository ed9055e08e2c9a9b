"""bot.slack.outbound.adapter: notifications in a thread."""

import pytest

from bot.errors import PlatformError, PlatformUnavailable
from tests.support.slack_stage import break_method, stage


async def test_a_notification() -> None:
    """A notification is one message in the thread."""
    async with stage() as slack:
        await slack.adapter.notify(slack.thread, "Soon.")

        assert slack.texts() == ["Soon."]
        assert slack.methods() == ["chat.postMessage"]


@pytest.mark.parametrize(("trouble", "error"), [("is_archived", PlatformError), ("busy", PlatformUnavailable)])
async def test_a_notification_that_fails(trouble: str, error: type[Exception]) -> None:
    """A refusal is a PlatformError, and a 429 is PlatformUnavailable."""
    async with stage() as slack:
        break_method(slack, trouble, "chat.postMessage")
        with pytest.raises(error):
            await slack.adapter.notify(slack.thread, "Soon.")

        assert slack.texts() == []


async def test_an_unconfirmed_notification_is_not_repeated() -> None:
    """A notification that Slack may have posted counts as posted."""
    async with stage() as slack:
        slack.server.faults.lose_answer("chat.postMessage")
        await slack.adapter.notify(slack.thread, "Soon.")

        assert slack.texts() == ["Soon."]
