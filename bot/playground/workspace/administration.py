"""Changes to channels and to the app's membership: joining, topics, archiving, deleting, uninstalling."""

from __future__ import annotations

import dataclasses

from bot.playground.workspace import mrkdwn
from bot.playground.workspace.changes import (
    AppUninstalled,
    BotLeftChannel,
    ChannelArchived,
    ChannelDeleted,
    ChannelIdChanged,
)
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.rules import require_member
from bot.playground.workspace.state import WorkspaceState


class Administration:
    """The changes that people and administrators make to channels and the app."""

    def __init__(self, state: WorkspaceState) -> None:
        self._state = state

    def join(self, person: Person, channel: Channel) -> Channel:
        """Add a person to a channel. Slack posts a message about it."""
        joined = self._replace(dataclasses.replace(channel, members=channel.members | {person.id}))
        self._post_notice(person, joined, "join", f"<@{person.id}> has joined the channel")
        return joined

    def set_topic(self, person: Person, channel: Channel, topic: str) -> Channel:
        """Set a channel's topic. Slack posts a message about it."""
        require_member(person, self._state.channels[channel.id])
        changed = self._replace(dataclasses.replace(channel, topic=topic))
        self._post_notice(person, changed, "topic", f"<@{person.id}> set the channel topic: {mrkdwn.escaped(topic)}")
        return changed

    def archive(self, person: Person, channel: Channel) -> Channel:
        """Archive a channel. Slack posts a message about it first, since nobody can post afterwards."""
        state = self._state
        require_member(person, state.channels[channel.id])
        archived = dataclasses.replace(state.channels[channel.id], archived=True)
        self._post_notice(person, archived, "archive", f"<@{person.id}> archived the channel")
        self._replace(archived)
        state.emit(ChannelArchived(person, archived, state.new_ts()))
        return archived

    def delete_channel(self, channel: Channel) -> None:
        """Delete a channel with all its messages."""
        self._state.drop_channel(channel)
        self._state.emit(ChannelDeleted(channel, self._state.new_ts()))

    def share(self, channel: Channel, new_id: str) -> Channel:
        """Share a channel with another organisation. Slack gives it a new id, under which its messages go on."""
        state = self._state
        shared = dataclasses.replace(state.channels[channel.id], id=new_id, shared=True)
        state.channels = {
            known.id: known for known in (shared if each.id == channel.id else each for each in state.channels.values())
        }
        state.transcript.move_channel(channel.id, new_id)
        state.statuses.drop_channel(channel.id)
        state.emit(ChannelIdChanged(channel.id, shared, state.new_ts()))
        return shared

    def add_guest(self, channel: Channel, person: Person) -> Channel:
        """Add somebody from outside to a channel: a guest, or with another team a person of another organisation."""
        self._state.people[person.id] = person
        joined = dataclasses.replace(channel, members=channel.members | {person.id})
        return self._replace(joined)

    def remove_bot(self, channel: Channel) -> Channel:
        """Remove the bot from a channel."""
        left = self._replace(self._without_bot(self._state.channels[channel.id]))
        self._state.emit(BotLeftChannel(left, self._state.new_ts()))
        return left

    def uninstall(self) -> None:
        """Uninstall the app. The bot leaves every channel, and its tokens are revoked."""
        state = self._state
        state.installed = False
        state.channels = {channel.id: self._without_bot(channel) for channel in state.channels.values()}
        state.emit(AppUninstalled())

    def _replace(self, channel: Channel) -> Channel:
        self._state.channels[channel.id] = channel
        return channel

    def _without_bot(self, channel: Channel) -> Channel:
        return dataclasses.replace(channel, members=channel.members - {self._state.app.user_id})

    def _post_notice(self, person: Person, channel: Channel, what: str, text: str) -> None:
        # Private channels have subtypes of their own (docs.slack.dev/reference/events/message/group_join).
        subtype = f"group_{what}" if channel.kind == "private" else f"channel_{what}"
        ts = self._state.new_ts()
        self._state.add(Message(channel=channel.id, ts=ts, user=person.id, text=text, subtype=subtype))
