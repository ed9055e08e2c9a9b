"""Tests of the workspace's state, and of the rules for people."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot.playground.workspace.changes import (
    Change,
    MessageChanged,
    MessagePosted,
    MessageRemoved,
    SlashCommandInvoked,
    StatusSet,
)
from bot.playground.workspace.rules import NotAllowed
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import Clock, make_workspace


def changes_of(workspace: Workspace) -> list[Change]:
    """Collect the changes from now on."""
    changes: list[Change] = []
    workspace.subscribe(changes.append)
    return changes


def test_ts_values_grow_while_the_clock_stands_still() -> None:
    """Every `ts` is unique and later than the previous one, even if the clock stands still or goes back."""
    clock = Clock()
    workspace = make_workspace(clock)
    first, second = workspace.new_ts(), workspace.new_ts()
    clock.advance(hours=-1)

    assert first == "1795253400.000000"
    assert first < second < workspace.new_ts()


def test_a_post_is_stored_as_in_slack() -> None:
    """A typed text is stored escaped, with mentions as tokens, and emitted as a change."""
    workspace = make_workspace()
    changes = changes_of(workspace)
    message = workspace.post(workspace.person("ana"), workspace.channel("#help-desk"), "@attendant <hi>")

    assert message.text == "<@U0ATTENDANT> &lt;hi&gt;"
    assert message.client_msg_id
    assert changes == [MessagePosted(message)]


def test_threads_count_their_replies() -> None:
    """A thread is its root and its replies in order. Nobody can reply to a missing thread."""
    workspace = make_workspace()
    ana, desk = workspace.person("Ana Silva"), workspace.channel("help-desk")
    root = workspace.post(ana, desk, "one")
    replies = [workspace.post(ana, desk, text, root.ts) for text in ("two", "three")]

    assert workspace.thread(desk, root.ts) == [root, *replies]
    assert workspace.transcript.reply_count(root) == 2
    with pytest.raises(NotAllowed):
        workspace.post(ana, desk, "where?", "1.000000")


def test_only_members_post_and_only_authors_edit() -> None:
    """Only members can post in a channel, and nobody can change another person's message."""
    workspace = make_workspace()
    ana, ben = workspace.person("ana"), workspace.person("ben")
    message = workspace.post(ana, workspace.channel("it-team"), "secret")

    with pytest.raises(NotAllowed):
        workspace.post(ben, workspace.channel("it-team"), "let me in")
    with pytest.raises(NotAllowed):
        workspace.edit(ben, message, "mine")
    with pytest.raises(NotAllowed):
        workspace.delete(ben, message)


def test_edit_and_delete_hold_both_versions() -> None:
    """An edit holds the message before and after it. A deletion holds the deleted message."""
    workspace = make_workspace()
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    message = workspace.post(ana, desk, "teh")
    changes = changes_of(workspace)
    edited = workspace.edit(ana, message, "the")
    workspace.delete(ana, edited)

    match changes:
        case [MessageChanged(after, before, _), MessageRemoved(gone, _)]:
            assert (before.text, after.text, gone) == ("teh", "the", edited)
        case _:
            pytest.fail(str(changes))


def test_deleted_root_with_replies_leaves_a_tombstone() -> None:
    """A deleted root with replies leaves a tombstone, so that its thread stays."""
    workspace = make_workspace()
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    root = workspace.post(ana, desk, "one")
    workspace.post(ana, desk, "two", root.ts)
    workspace.delete(ana, root)

    assert [message.subtype for message in workspace.thread(desk, root.ts)] == ["tombstone", None]


def test_slash_commands_are_refused_in_threads() -> None:
    """A slash command in a thread shows Slack's refusal and is not sent to the app."""
    workspace = make_workspace()
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    root = workspace.post(ana, desk, "one")
    changes = changes_of(workspace)
    workspace.interactions.command(ana, desk, "/reset", thread_ts=root.ts)
    workspace.interactions.command(ana, desk, "/nonsense")

    assert [m.text for m in workspace.ephemerals(ana, desk)] == [
        "/reset is not supported in threads. Sorry!",
        "/nonsense is not a valid command.",
    ]
    workspace.interactions.command(ana, desk, "/reset", "all")
    assert [type(change) for change in changes] == [MessagePosted, MessagePosted, SlashCommandInvoked]


def test_statuses_end_by_themselves() -> None:
    """A status that is not cleared expires, and a change is emitted."""
    clock = Clock()
    workspace = make_workspace(clock)
    desk = workspace.channel("help-desk")
    changes = changes_of(workspace)
    workspace.statuses.set(desk.id, "1.000000", "is thinking", timedelta(minutes=2))
    assert workspace.statuses.text(desk, "1.000000") == "is thinking"
    clock.advance(minutes=2)
    workspace.sweep()

    assert workspace.statuses.text(desk, "1.000000") == ""
    assert changes[-1] == StatusSet(desk.id, "1.000000", "")


def test_a_status_goes_with_its_thread() -> None:
    """Deleting a message without replies clears its status."""
    workspace = make_workspace()
    ana, channel = workspace.person("ana"), workspace.channel("help-desk")
    message = workspace.post(ana, channel, "hello")
    workspace.statuses.set(channel.id, message.ts, "is thinking", timedelta(minutes=2))
    workspace.delete(ana, message)

    assert workspace.statuses.in_channel(channel) == {}


async def test_until_returns_at_the_change() -> None:
    """A waiter wakes at the change that makes its condition true."""
    workspace = make_workspace()
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    waiting = asyncio.ensure_future(workspace.until(lambda: bool(workspace.transcript.of_channel(desk.id))))
    await asyncio.sleep(0)
    workspace.post(ana, desk, "here")

    await waiting


async def test_until_shows_the_conversation_when_it_gives_up() -> None:
    """A timeout is an AssertionError that contains the messages."""
    workspace = make_workspace()
    workspace.post(workspace.person("ana"), workspace.channel("help-desk"), "anybody?")

    with pytest.raises(AssertionError, match="U0ANASILVA: 'anybody\\?'"):
        await workspace.until(lambda: False, timeout_s=0.01)
