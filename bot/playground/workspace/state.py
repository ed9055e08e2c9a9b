"""The state of the workspace: its parts, and the changes of each.

Rule: synchronous, and the only place where state changes. Each change is announced to the subscribers.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from bot.playground.workspace.changes import (
    Change,
    ConnectionChanged,
    MessageChanged,
    MessagePosted,
    MessageRemoved,
    ResponseUrl,
    StreamAppended,
)
from bot.playground.workspace.messages import SLACKBOT, TOMBSTONE, Message
from bot.playground.workspace.people import App, Channel, Person, Team
from bot.playground.workspace.shared_files import Upload
from bot.playground.workspace.slack_variant import SlackVariant
from bot.playground.workspace.surfaces import Surfaces
from bot.playground.workspace.thread_statuses import STOP_EVENT, ThreadStatuses
from bot.playground.workspace.transcript import Transcript
from bot.playground.workspace.watch import Watch


class WorkspaceState:
    """A workspace's team, app, people, channels, messages, statuses and views, in memory."""

    def __init__(
        self,
        team: Team,
        app: App,
        people: Iterable[Person],
        channels: Iterable[Channel],
        *,
        clock: Callable[[], datetime],
        rng: random.Random,
        new_secret: Callable[[], str],
    ) -> None:
        self.team = team
        self.app = app
        self.people = {person.id: person for person in people}
        self.channels = {channel.id: channel for channel in channels}
        self.transcript = Transcript()
        self.began_at = clock()  # tells one workspace in memory from the one after a restart
        self.connected = False
        self.installed = True
        self.address = "http://127.0.0.1"  # where response URLs lead; the server sets its port
        self.response_urls: dict[str, ResponseUrl] = {}  # by token
        self.uploads: dict[str, Upload] = {}  # by file id
        self.user_groups: dict[str, frozenset[str]] = {}  # the ids of their members, by the group's id
        self.variant = SlackVariant()  # replaced by tests and settings
        self.watch = Watch()
        self.clock = clock
        self.rng = rng
        self.new_secret = new_secret
        self.surfaces = Surfaces(self.emit, clock)
        self.statuses = ThreadStatuses(self.emit, clock, lambda: STOP_EVENT in self.app.manifest.events)
        self._subscribers: list[Callable[[Change], None]] = []

    def dm(self, person: Person) -> Channel:
        """Return a person's direct messages with the bot."""
        return next(c for c in self.channels.values() if c.kind == "im" and person.id in c.members)

    def subscribe(self, on_change: Callable[[Change], None]) -> Callable[[], None]:
        """Call `on_change` with each change from now on. Return a function that ends the subscription."""
        self._subscribers.append(on_change)
        return lambda: self._subscribers.remove(on_change)

    def emit(self, change: Change) -> None:
        """Announce a change to every subscriber."""
        for on_change in tuple(self._subscribers):
            on_change(change)
        self.watch.changed()

    def new_ts(self) -> str:
        """Return a unique `ts` for the present moment."""
        return self.transcript.new_ts(self.clock())

    def new_id(self) -> str:
        """Return an id of the form that Slack gives to a block."""
        return f"{self.rng.getrandbits(40):010x}"

    def add(self, message: Message) -> Message:
        """Add a message. A message of the app clears the app's status in that thread, as in Slack."""
        self.transcript.put(message)
        self.emit(MessagePosted(message))
        if message.bot_id == self.app.bot_id and not message.only_for:
            self.statuses.clear(message.channel, message.root, session=False)
        return message

    def change(self, previous: Message, **changes: Any) -> Message:
        """Change fields of a message. The app gets a message_changed event."""
        message = dataclasses.replace(previous, **changes)
        self.transcript.put(message)
        self.emit(MessageChanged(message, previous, self.new_ts()))
        return message

    def append_to(self, previous: Message, text: str) -> Message:
        """Append text to a streaming message. The app gets no event until the stream ends."""
        message = dataclasses.replace(previous, text=previous.text + text)
        self.transcript.put(message)
        self.emit(StreamAppended(message))
        return message

    def end_expired_stream(self, message: Message) -> Message:
        """Return the message, its stream ended if the stream's lifetime is over."""
        since = message.streaming_since
        if since is None or self.clock() - since < timedelta(seconds=self.variant.stream_seconds):
            return message
        self.statuses.clear(message.channel, message.root, session=True)
        return self.change(message, streaming_since=None)

    def remove(self, message: Message) -> None:
        """Delete a message. A message with replies leaves a tombstone."""
        if self.transcript.reply_count(message):
            self.change(message, subtype=TOMBSTONE, user=SLACKBOT, text="This message was deleted.", blocks=())
            return
        self.transcript.remove(message)
        self.statuses.set(message.channel, message.ts, "")
        self.emit(MessageRemoved(message, self.new_ts()))

    def drop_channel(self, channel: Channel) -> None:
        """Forget a channel with its messages and statuses."""
        self.transcript.drop_channel(channel.id)
        self.statuses.drop_channel(channel.id)
        del self.channels[channel.id]

    def show_ephemeral(
        self, person: Person, channel: Channel, text: str, *, by_app: bool = False, **more: Any
    ) -> Message:
        """Show an ephemeral message of Slackbot's, or with `by_app` of the app's. `more` are fields of Message."""
        user, bot_id = (self.app.user_id, self.app.bot_id) if by_app else (SLACKBOT, None)
        ts = self.new_ts()
        return self.add(
            Message(channel=channel.id, ts=ts, user=user, bot_id=bot_id, text=text, only_for=person.id, **more)
        )

    def set_connected(self, *, connected: bool) -> None:
        """Record whether the app is connected."""
        if connected != self.connected:
            self.connected = connected
            self.emit(ConnectionChanged(connected))

    def sweep(self) -> None:
        """Clear the statuses and end the streams whose lifetime is over."""
        self.statuses.clear_expired()
        for message in self.transcript.streaming():
            self.end_expired_stream(message)
