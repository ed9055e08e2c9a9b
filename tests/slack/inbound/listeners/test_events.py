"""bot.slack.inbound.listeners.events: which events are accepted and acknowledged, over Socket Mode."""

import pytest

from bot.domain.events import (
    ChannelGone,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ResetRequested,
    StopRequested,
    Uninstalled,
)
from tests.support.playground_stage import declare_agent
from tests.support.slack_inbound_stage import inbound_stage, json_log, logged


async def test_a_mention_is_two_events_and_one_message() -> None:
    """Both events of a mention are accepted, as the same message, and acknowledged."""
    async with inbound_stage() as slack:
        slack.workspace.post(slack.ana, slack.help_desk, "@attendant hello")
        await slack.acknowledged()
        first, second = slack.inbox.accepted

        assert first == second
        assert isinstance(first, MessageReceived)
        assert (first.text, first.mentions_bot) == ("hello", True)


async def test_messages_and_text_commands_are_accepted() -> None:
    """Replies, files, direct messages and commands by text are accepted in their threads."""
    async with inbound_stage() as slack:
        root = slack.workspace.post(slack.ana, slack.help_desk, "hello").ts
        slack.workspace.post(slack.ana, slack.help_desk, "!reset", root)
        slack.workspace.post(slack.ana, slack.help_desk, "@attendant stop", root)
        slack.workspace.share_file(slack.ana, slack.help_desk, "look", name="a.png", mimetype="a/b", size_bytes=1)
        slack.workspace.post(slack.ana, slack.workspace.dm(slack.ana), "psst")
        await slack.acknowledged()

        (reset,), (stop, _) = slack.accepted(ResetRequested), slack.accepted(StopRequested)
        _, file, psst = sorted(slack.accepted(MessageReceived), key=lambda message: message.message_id)
        assert (reset.thread.root, stop.thread.root, stop.mentions_bot) == (root, root, True)
        assert [attachment.name for attachment in file.attachments] == ["a.png"]
        assert psst.thread.direct


async def test_ignored_events_are_acknowledged() -> None:
    """Unfurled links, topics and other bots' messages are acknowledged and not accepted."""
    async with inbound_stage() as slack:
        message = slack.workspace.post(slack.ana, slack.help_desk, "hello")
        slack.workspace.change(message, blocks=())
        slack.workspace.admin.set_topic(slack.ana, slack.help_desk, "Anything")
        slack.workspace.post_as_other_bot(slack.help_desk, "deployed")
        await slack.acknowledged()

        assert [event.message_id for event in slack.accepted(MessageReceived)] == [message.ts]
        assert (len(slack.inbox.accepted), len(slack.server.deliveries.all())) == (1, 4)


async def test_slacks_stop_button() -> None:
    """A click on Slack's own Stop button, which agents have, is accepted as a stop in the thread."""
    async with inbound_stage() as slack:
        declare_agent(slack.workspace)
        root = slack.workspace.post(slack.ana, slack.help_desk, "hello").ts
        await slack.client.agents_sessions_setStatus(channel_id=slack.help_desk.id, thread_ts=root, status="processing")
        slack.workspace.interactions.stop(slack.ana, slack.help_desk, root)
        await slack.acknowledged()
        (stop,) = slack.accepted(StopRequested)

        assert (stop.thread.root, stop.author.id, stop.message_id) == (root, slack.ana.id, None)


async def test_deleted_messages() -> None:
    """A deletion is accepted. So is that of a message with replies, which Slack changes into a tombstone."""
    async with inbound_stage() as slack:
        root = slack.workspace.post(slack.ana, slack.help_desk, "hello")
        reply = slack.workspace.post(slack.ana, slack.help_desk, "there", root.ts)
        slack.workspace.delete(slack.ana, root)
        slack.workspace.delete(slack.ana, reply)
        await slack.acknowledged()

        gone = slack.accepted(MessageDeleted)
        assert sorted((event.thread.root, event.message_id) for event in gone) == [
            (root.ts, root.ts),
            (root.ts, reply.ts),
        ]


async def test_edited_messages() -> None:
    """An edit of a mention is accepted once, though Slack sends two events."""
    async with inbound_stage() as slack:
        message = slack.workspace.post(slack.ana, slack.help_desk, "@attendant helo")
        slack.workspace.edit(slack.ana, message, "@attendant hello")
        await slack.acknowledged()

        (edited,) = slack.accepted(MessageEdited)
        assert (edited.message.message_id, edited.message.text, edited.calls_bot) == (message.ts, "hello", False)


async def test_a_lost_channel() -> None:
    """An archived channel, a deleted one, and one that the bot left are accepted as gone."""
    async with inbound_stage() as slack:
        general, team, desk = (slack.workspace.channel(name) for name in ("general", "it-team", "help-desk"))
        slack.workspace.admin.archive(slack.ana, general)
        slack.workspace.admin.delete_channel(team)
        slack.workspace.admin.remove_bot(desk)
        await slack.acknowledged()

        gone = slack.accepted(ChannelGone)
        assert sorted(event.channel for event in gone) == sorted([general.id, team.id, desk.id, desk.id])


async def test_an_uninstallation() -> None:
    """Both events of an uninstallation are accepted."""
    async with inbound_stage() as slack:
        slack.workspace.admin.uninstall()
        await slack.acknowledged()

        assert slack.accepted(Uninstalled) == [Uninstalled("slack", slack.workspace.team.id)] * 2


async def test_accepted_before_acknowledged(caplog: pytest.LogCaptureFixture) -> None:
    """An event that the database does not store is not acknowledged. Slack delivers it again, and it is accepted."""
    async with inbound_stage(ack_within_s=1.0, retry_after_s=(0.0, 0.0, 0.0)) as slack:
        slack.inbox.failures_left = 1
        slack.workspace.post(slack.ana, slack.help_desk, "a secret")
        await slack.acknowledged()
        (delivery,) = slack.server.deliveries.all()

        assert [attempt.acked_at is not None for attempt in delivery.attempts] == [False, True]
        assert (len(slack.inbox.accepted), slack.inbox.failed_deliveries) == (1, 1)
        assert len(logged(caplog, "slack_event_not_stored")) == 1
        assert "a secret" not in json_log(caplog)
