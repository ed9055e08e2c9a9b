"""What people do in the workspace: the programmatic way in, for the page and for tests.

Rule: a person can do here what they could do in Slack; what they could not raises NotAllowed.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bot.playground.workspace import block_kit, mrkdwn, view_kit
from bot.playground.workspace.changes import (
    AppUninstalled,
    BotRemoved,
    ButtonPressed,
    ChannelArchived,
    ChannelDeleted,
    CommandGiven,
    HomeOpened,
    ResponseUrl,
    ShortcutChosen,
    Stopped,
    ViewButtonPressed,
    ViewSubmitted,
)
from bot.playground.workspace.messages import Edit, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.state import WorkspaceState
from bot.playground.workspace.surfaces import Kind, View

RESPONSE_URL_LIFETIME = timedelta(minutes=30)  # docs.slack.dev/interactivity/handling-user-interaction


class NotAllowed(Exception):  # noqa: N818 - what the person is told, not a fault
    """The workspace does not let a person do this. The message is the sentence they read."""


class Workspace(WorkspaceState):
    """A make-believe Slack workspace and what its people do. Channels and people are named by their values."""

    def typed(self, text: str) -> str:
        """What Slack stores when a person types `text`."""
        names = {name: person.id for person in self.people.values() for name in (person.name, person.real_name)}
        names[self.app.manifest.bot_name] = self.app.user_id
        return mrkdwn.stored(text, names, {c.name: c.id for c in self.channels.values() if c.kind == "channel"})

    def post(
        self,
        person: Person,
        channel: Channel,
        text: str,
        thread_ts: str | None = None,
        *,
        raw: bool = False,
        **more: Any,
    ) -> Message:
        """A person posts what they type, or with `raw` exactly the stored text. `more` are fields of Message:
        `subtype="thread_broadcast"` or "me_message", `files`, a `client_msg_id` to repeat.
        """
        self._admit(person, channel)
        if thread_ts is not None and self.transcript.find(channel.id, thread_ts) is None:
            raise NotAllowed("That thread is not there any more.")
        fields = {"client_msg_id": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), **more}
        stored = text if raw else self.typed(text)
        ts = self.new_ts()
        return self.add(Message(channel=channel.id, ts=ts, user=person.id, text=stored, thread_ts=thread_ts, **fields))

    def share_file(
        self, person: Person, channel: Channel, text: str, *, name: str, mimetype: str, size_bytes: int
    ) -> Message:
        """A person posts a file with a comment."""
        file = {"id": f"F{self.new_id().upper()}", "name": name, "title": name, "mimetype": mimetype}
        return self.post(person, channel, text, subtype="file_share", files=({**file, "size": size_bytes},))

    def edit(self, person: Person, message: Message, text: str) -> Message:
        """A person changes a message of theirs to what they type."""
        self._own(person, message)
        return self.change(message, text=self.typed(text), edited=Edit(person.id, self.new_ts()))

    def delete(self, person: Person, message: Message) -> None:
        """A person deletes a message of theirs."""
        self._own(person, message)
        self.remove(message)

    def join(self, person: Person, channel: Channel) -> Channel:
        """A person joins a channel, which Slack says in it."""
        joined = dataclasses.replace(channel, members=channel.members | {person.id})
        self.channels[channel.id] = joined
        self._announce(person, joined, f"{_prefix(channel)}_join", f"<@{person.id}> has joined the channel")
        return joined

    def set_topic(self, person: Person, channel: Channel, topic: str) -> Channel:
        """A person sets a channel's topic, which Slack says in it."""
        self._admit(person, channel)
        changed = self.channels[channel.id] = dataclasses.replace(channel, topic=topic)
        text = f"<@{person.id}> set the channel topic: {mrkdwn.escaped(topic)}"
        self._announce(person, changed, f"{_prefix(channel)}_topic", text)
        return changed

    def archive(self, person: Person, channel: Channel) -> Channel:
        """A person archives a channel, which Slack says in it."""
        self._admit(person, channel)
        archived = dataclasses.replace(self.channels[channel.id], archived=True)
        text = f"<@{person.id}> archived the channel"
        self._announce(person, archived, f"{_prefix(channel)}_archive", text)
        self.channels[channel.id] = archived
        self.emit(ChannelArchived(person, archived, self.new_ts()))
        return archived

    def delete_channel(self, channel: Channel) -> None:
        """An administrator deletes a channel, with all that was said in it."""
        self.drop_channel(channel)
        self.emit(ChannelDeleted(channel, self.new_ts()))

    def remove_bot(self, channel: Channel) -> Channel:
        """Somebody removes the bot from a channel."""
        left = self._without_bot(self.channels[channel.id])
        self.channels[channel.id] = left
        self.emit(BotRemoved(left, self.new_ts()))
        return left

    def uninstall(self) -> None:
        """An administrator removes the app: the bot is in no channel any more, and its tokens are revoked."""
        self.installed = False
        self.channels = {channel.id: self._without_bot(channel) for channel in self.channels.values()}
        self.emit(AppUninstalled())

    def other_bot(self, channel: Channel, text: str, thread_ts: str | None = None) -> Message:
        """Another app's bot, one without a user, posts exactly this stored text."""
        return self.add(
            Message(
                channel=channel.id,
                ts=self.new_ts(),
                user="",
                text=text,
                thread_ts=thread_ts,
                subtype="bot_message",
                bot_id="B0DEPLOYBOT",
                username="deploys",
            )
        )

    def command(
        self, person: Person, channel: Channel, command: str, text: str = "", thread_ts: str | None = None
    ) -> None:
        """A person gives a slash command. From a thread Slack refuses it (docs: implementing slash commands)."""
        self._admit(person, channel)
        if thread_ts is not None:
            self.show(person, channel, f"{command} is not supported in threads. Sorry!", thread_ts=thread_ts)
        elif command not in {known.command for known in self.app.manifest.commands}:
            self.show(person, channel, f"{command} is not a valid command.")
        else:
            response = self._response_url(person, channel)
            self.emit(CommandGiven(person, channel, command, text, response, self._trigger_id(person)))

    def shortcut(self, person: Person, message: Message, callback_id: str) -> None:
        """A person chooses a shortcut in a message's menu."""
        channel = self.channels[message.channel]
        self._admit(person, channel)
        if callback_id not in {known.callback_id for known in self.app.manifest.shortcuts}:
            raise NotAllowed("There is no such shortcut.")
        response, trigger = self._response_url(person, channel), self._trigger_id(person)
        self.emit(ShortcutChosen(person, channel, message, callback_id, response, trigger, self.new_ts()))

    def press(
        self, person: Person, message: Message, action_id: str, value: str | None = None, block_id: str | None = None
    ) -> None:
        """A person presses a button of a message they see: the one of this action, value and block, where given."""
        channel = self.channels[message.channel]
        self._admit(person, channel)
        found = [
            (block, button)
            for block, button in block_kit.buttons(message.blocks)
            if button["action_id"] == action_id and value in {None, button.get("value")} and block_id in {None, block}
        ]
        if message.only_for not in {None, person.id} or not found:
            raise NotAllowed("That button is not there any more.")
        (block, button), *_ = found
        response, trigger = self._response_url(person, channel, message), self._trigger_id(person)
        self.emit(ButtonPressed(person, channel, message, block, button, response, trigger, self.new_ts()))

    def open_home(self, person: Person) -> None:
        """A person opens the app's Home tab, of which Slack tells the app each time."""
        if not self.app.manifest.has_home:
            raise NotAllowed("This app has no Home tab.")
        self.emit(HomeOpened(person, self.dm(person), self.new_ts()))

    def press_at_home(self, person: Person, action_id: str, view_id: str = "") -> None:
        """A person presses a button in the Home tab that they see."""
        view = self._view(person, "home", view_id)
        found = [
            (block, made) for block, made in block_kit.buttons(view.body["blocks"]) if made["action_id"] == action_id
        ]
        if not found:
            raise NotAllowed("That button is not there any more.")
        (block, button), *_ = found
        self.emit(ViewButtonPressed(person, view, block, button, self._trigger_id(person), self.new_ts()))

    def submit(self, person: Person, given: Mapping[str, str], view_id: str = "") -> None:
        """A person submits their modal with this in its inputs, by block; what is not given stays as it was shown."""
        view = self._view(person, "modal", view_id)
        if lacks := view_kit.lacks(view.body, given):
            self.surfaces.complain(person, lacks)
        else:
            values = view_kit.values(view.body, given)
            self.emit(ViewSubmitted(person, view, values, self._trigger_id(person)))

    def stop(self, person: Person, channel: Channel, thread_ts: str) -> None:
        """A person presses Slack's Stop button in a thread: Slack stops the app's streams in it, and tells the app.

        The status stays: ending it is the app's part (docs.slack.dev/reference/events/agent_session_stopped).
        """
        self._admit(person, channel)
        if not self.is_stoppable(channel, thread_ts):
            raise NotAllowed("There is nothing to stop any more.")
        streams = [message for message in self.thread(channel, thread_ts) if message.streaming_since]
        for message in streams:
            self.change(message, streaming_since=None, stopped=True)
        self.emit(Stopped(person, channel, thread_ts, tuple(message.ts for message in streams), self.new_ts()))

    def _announce(self, person: Person, channel: Channel, subtype: str, text: str) -> None:
        self.add(Message(channel=channel.id, ts=self.new_ts(), user=person.id, text=text, subtype=subtype))

    def _admit(self, person: Person, channel: Channel) -> None:
        if person.id not in self.channels[channel.id].members:
            raise NotAllowed("You are not in this channel.")

    def _own(self, person: Person, message: Message) -> None:
        if message.user != person.id or message.only_for:
            raise NotAllowed("Only your own messages can be changed.")

    def _without_bot(self, channel: Channel) -> Channel:
        return dataclasses.replace(channel, members=channel.members - {self.app.user_id})

    def _response_url(self, person: Person, channel: Channel, source: Message | None = None) -> ResponseUrl:
        now, token = self.clock(), self.new_secret()
        self.response_urls = {
            token: url for token, url in self.response_urls.items() if now - url.at < RESPONSE_URL_LIFETIME
        }
        made = ResponseUrl(token, f"{self.address}/response/{token}", person, channel, source, now)
        self.response_urls[token] = made
        return made

    def _view(self, person: Person, kind: Kind, view_id: str) -> View:
        view = self.surfaces.of(person, kind)
        if view is None or view_id not in {"", view.id}:
            raise NotAllowed("That is not there any more.")
        return view

    def _trigger_id(self, person: Person) -> str:
        made = f"{self.new_ts().replace('.', '')}.{self.team.id}.{self.rng.getrandbits(64):016x}"
        self.surfaces.arm(made, person)
        return made


def _prefix(channel: Channel) -> str:
    # Private channels have subtypes of their own (docs.slack.dev/reference/events/message/group_join).
    return "group" if channel.kind == "private" else "channel"
