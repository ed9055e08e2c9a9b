"""What the workspace holds, and how each part of it changes.

Rule: synchronous, and the only place where something changes; every change is told to those who subscribed.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.playground.workspace.changes import Change, Changed, Connected, Deleted, Grown, Posted, ResponseUrl, StatusSet
from bot.playground.workspace.messages import SLACKBOT, TOMBSTONE, Message
from bot.playground.workspace.people import App, Channel, Person, Team
from bot.playground.workspace.surfaces import Surfaces
from bot.playground.workspace.transcript import Transcript
from bot.playground.workspace.watch import Watch

STREAM_LIFETIME = timedelta(minutes=5)  # measured: appending does not extend it
STOP_EVENT = "agent_session_stopped"  # who does not subscribe to it has no Stop button shown


@dataclass(slots=True)
class Upload:
    """A file that the app sends: announced, then there."""

    name: str
    length: int
    secret: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Status:
    text: str
    until: datetime
    session: bool  # an agent's session at work; posting does not end it


class WorkspaceState:
    """A workspace's team, app, people, channels, messages and statuses, in memory."""

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
        stream_lifetime: timedelta = STREAM_LIFETIME,
    ) -> None:
        self.team = team
        self.app = app
        self.people = {person.id: person for person in people}
        self.channels = {channel.id: channel for channel in channels}
        self.transcript = Transcript()
        self.connected = False
        self.installed = True
        self.address = "http://127.0.0.1"  # where response URLs lead; the server says it
        self.response_urls: dict[str, ResponseUrl] = {}
        self.uploads: dict[str, Upload] = {}  # by the file's id
        self.watch = Watch()
        self.clock = clock
        self.rng = rng
        self.new_secret = new_secret
        self.surfaces = Surfaces(self.emit, clock)
        self._stream_lifetime = stream_lifetime
        self._statuses: dict[tuple[str, str], _Status] = {}  # by channel and thread
        self._subscribers: list[Callable[[Change], None]] = []

    def person(self, name: str) -> Person:
        """The person of this real name or user name. Raises StopIteration when there is none."""
        return next(person for person in self.people.values() if name in {person.real_name, person.name})

    def channel(self, name: str) -> Channel:
        """The channel of this name, with or without its #. Raises StopIteration when there is none."""
        return next(channel for channel in self.channels.values() if channel.name == name.removeprefix("#"))

    def dm(self, person: Person) -> Channel:
        """A person's direct messages with the bot."""
        return next(c for c in self.channels.values() if c.kind == "im" and person.id in c.members)

    def thread(self, channel: Channel, root: str) -> list[Message]:
        """A thread's messages, the root first."""
        return self.transcript.thread(channel.id, root)

    def said(self, channel: Channel) -> list[Message]:
        """What the app posted in a channel, oldest first, without ephemerals."""
        mine = (m for m in self.transcript.of_channel(channel.id) if m.bot_id == self.app.bot_id)
        return [message for message in mine if not message.only_for]

    def ephemerals(self, person: Person, channel: Channel) -> list[Message]:
        """What only this person sees there, oldest first."""
        return [m for m in self.transcript.of_channel(channel.id) if m.only_for == person.id]

    def status(self, channel: Channel, thread_ts: str) -> str:
        """What the app says it is doing in that thread, or nothing."""
        return self.statuses(channel).get(thread_ts, "")

    def statuses(self, channel: Channel) -> dict[str, str]:
        """The app's statuses in a channel, by thread."""
        now = self.clock()
        return {
            ts: status.text for (at, ts), status in self._statuses.items() if at == channel.id and now < status.until
        }

    def is_stoppable(self, channel: Channel, thread_ts: str) -> bool:
        """Whether Slack shows its Stop button there: the app is an agent at work, and would hear of it.

        docs.slack.dev/reference/events/agent_session_stopped
        """
        status = self._statuses.get((channel.id, thread_ts))
        at_work = status is not None and status.session and self.clock() < status.until
        return at_work and STOP_EVENT in self.app.manifest.events

    async def until(self, holds: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
        """Return as soon as `holds()`; it is asked again when something changes here, at a call, delivery or ack.

        Raises AssertionError with the whole conversation when that takes longer than `timeout_s`.
        """
        await self.watch.until(holds, timeout_s=timeout_s, describe=self.__str__)

    def __str__(self) -> str:
        """The whole conversation, a line a message."""
        return "\n".join(
            f"{channel.name:<12} {message.ts} {'↳ ' if message.thread_ts else ''}{message.user}"
            f"{f' (only for {message.only_for})' if message.only_for else ''}: {message.text!r}"
            for channel in self.channels.values()
            for message in self.transcript.of_channel(channel.id)
        )

    def subscribe(self, tell: Callable[[Change], None]) -> Callable[[], None]:
        """Have `tell` called with every change from now on, until the returned function is called."""
        self._subscribers.append(tell)
        return lambda: self._subscribers.remove(tell)

    def emit(self, change: Change) -> None:
        """Tell everybody of a change."""
        for tell in tuple(self._subscribers):
            tell(change)
        self.watch.changed()

    def new_ts(self) -> str:
        """A `ts` of its own for what happens now."""
        return self.transcript.mint(self.clock())

    def new_id(self) -> str:
        """An id such as Slack gives to a block."""
        return f"{self.rng.getrandbits(40):010x}"

    def add(self, message: Message) -> Message:
        """Add a message. One that the app posts takes back its status in that thread, as Slack does."""
        self.transcript.put(message)
        self.emit(Posted(message))
        if message.bot_id == self.app.bot_id and not message.only_for:
            self.clear_status(message.channel, message.root, session=False)
        return message

    def change(self, previous: Message, **changes: Any) -> Message:
        """Change a message for everybody, the app too."""
        message = dataclasses.replace(previous, **changes)
        self.transcript.put(message)
        self.emit(Changed(message, previous, self.new_ts()))
        return message

    def grow(self, previous: Message, text: str) -> Message:
        """Add to a streamed message; Slack tells the app only of its end."""
        message = dataclasses.replace(previous, text=previous.text + text)
        self.transcript.put(message)
        self.emit(Grown(message))
        return message

    def settled(self, message: Message) -> Message:
        """The message, its stream ended if that is as old as a stream may get."""
        since = message.streaming_since
        if since is None or self.clock() - since < self._stream_lifetime:
            return message
        self.clear_status(message.channel, message.root, session=True)  # its session is no longer at work
        return self.change(message, streaming_since=None)

    def remove(self, message: Message) -> None:
        """Delete a message; of one with replies, a tombstone is left."""
        if self.transcript.reply_count(message):
            self.change(message, subtype=TOMBSTONE, user=SLACKBOT, text="This message was deleted.", blocks=())
            return
        self.transcript.remove(message)
        self.set_status(message.channel, message.ts, "")  # with the thread goes what it shows
        self.emit(Deleted(message, self.new_ts()))

    def drop_channel(self, channel: Channel) -> None:
        """Forget a channel, with all that was said in it."""
        self.transcript.drop_channel(channel.id)
        self._statuses = {where: status for where, status in self._statuses.items() if where[0] != channel.id}
        del self.channels[channel.id]

    def show(self, person: Person, channel: Channel, text: str, *, by_app: bool = False, **more: Any) -> Message:
        """Show something to one person only: Slackbot says it, or the app. `more` are fields of Message."""
        user, bot_id = (self.app.user_id, self.app.bot_id) if by_app else (SLACKBOT, None)
        ts = self.new_ts()
        return self.add(
            Message(channel=channel.id, ts=ts, user=user, bot_id=bot_id, text=text, only_for=person.id, **more)
        )

    def set_status(
        self, channel: str, thread_ts: str, text: str, lasting: timedelta = timedelta(), *, session: bool = False
    ) -> None:
        """Show for so long what the app is doing in a thread; an empty text takes it back.

        With `session` it is an agent's session that is at work.
        """
        before = self._statuses.pop((channel, thread_ts), None)
        if text:
            self._statuses[channel, thread_ts] = _Status(text, self.clock() + lasting, session)
        if text != (before.text if before else ""):
            stoppable = self.is_stoppable(self.channels[channel], thread_ts)
            self.emit(StatusSet(channel, thread_ts, text, stoppable))

    def clear_status(self, channel: str, thread_ts: str, *, session: bool) -> None:
        """Take back the status there, if it is an agent's session, or if it is not."""
        status = self._statuses.get((channel, thread_ts))
        if status and status.session is session:
            self.set_status(channel, thread_ts, "")

    def set_connected(self, *, connected: bool) -> None:
        """Say whether the app is there."""
        if connected != self.connected:
            self.connected = connected
            self.emit(Connected(connected))

    def sweep(self) -> None:
        """End the streams and the statuses whose time is over."""
        for (channel, thread_ts), status in tuple(self._statuses.items()):
            if self.clock() >= status.until:
                self.set_status(channel, thread_ts, "")
        for message in self.transcript.streaming():
            self.settled(message)
