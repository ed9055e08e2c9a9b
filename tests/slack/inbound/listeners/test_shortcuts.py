"""bot.slack.inbound.listeners.shortcuts: the message shortcut "Start over"."""

import pytest

from bot.domain import texts
from bot.domain.sessions import ResetOutcome
from bot.manifest import START_OVER
from tests.support.slack_inbound_stage import inbound_stage


async def test_the_shortcut_starts_over() -> None:
    """The message shortcut resets the thread of the message, and only the person sees the reply, in that thread."""
    async with inbound_stage() as slack:
        root = slack.workspace.post(slack.ana, slack.help_desk, "hello").ts
        reply = slack.workspace.post(slack.ana, slack.help_desk, "there", root)
        slack.workspace.interactions.shortcut(slack.ana, reply, START_OVER)
        await slack.workspace.until(lambda: bool(slack.ephemerals()))
        (reply,) = slack.ephemerals()

        assert (reply.text, reply.thread_ts) == (texts.reset(ResetOutcome.DONE), root)
        assert slack.inbox.resets == [(f"{slack.help_desk.id}:{root}", slack.ana.id)]


async def test_the_shortcut_on_a_message_without_replies() -> None:
    """If the message has no thread, the person sees the reply in the channel."""
    async with inbound_stage() as slack:
        message = slack.workspace.post(slack.ana, slack.help_desk, "hello")
        slack.workspace.interactions.shortcut(slack.ana, message, START_OVER)
        await slack.workspace.until(lambda: bool(slack.ephemerals()))
        (reply,) = slack.ephemerals()
        assert (reply.text, reply.thread_ts) == (texts.reset(ResetOutcome.DONE), None)


@pytest.mark.parametrize("replied", [True, False])
async def test_the_shortcut_in_a_channel_without_the_bot(replied: bool) -> None:  # noqa: FBT001 - a table's column
    """In a channel that the bot is not in, the person sees the reply."""
    async with inbound_stage() as slack:
        message = slack.workspace.post(slack.ana, slack.help_desk, "hello")
        if replied:
            slack.workspace.post(slack.ana, slack.help_desk, "there", message.ts)
        slack.workspace.admin.remove_bot(slack.help_desk)
        slack.workspace.interactions.shortcut(slack.ana, message, START_OVER)
        await slack.workspace.until(lambda: bool(slack.ephemerals()))
        assert slack.only_ephemeral() == texts.reset(ResetOutcome.DONE)
