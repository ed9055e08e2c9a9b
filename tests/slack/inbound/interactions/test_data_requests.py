"""bot.slack.inbound.interactions.data_requests: `/attendant forget me`."""

from bot.domain import texts
from bot.slack.views.forget_confirmation import FORGET_ME
from tests.support.slack_inbound_stage import inbound_stage


async def test_an_erasure_when_the_database_fails() -> None:
    """The person reads an apology, and the button was acknowledged."""
    async with inbound_stage() as slack:
        confirmation = await slack.command("/attendant", "forget me")
        slack.inbox.failures_left = 1
        slack.workspace.interactions.press(slack.ana, confirmation, FORGET_ME)
        await slack.workspace.until(lambda: slack.ephemerals()[-1].text == texts.SOMETHING_BROKE)
        assert slack.inbox.forgotten == []
        await slack.acknowledged()
