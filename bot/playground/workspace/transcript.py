"""The messages of the workspace, by channel and by thread, in the order of posting.

Rule: it only stores and finds. It checks no permissions and announces no changes.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from bot.playground.workspace.messages import Message

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Transcript:
    """Every message of the workspace, in memory."""

    def __init__(self) -> None:
        self._channels: defaultdict[str, dict[str, Message]] = defaultdict(dict)
        self._replies: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._streaming: dict[str, Message] = {}  # by id
        self._last_us = 0

    def new_ts(self, at: datetime) -> str:
        """Return a `ts` for the time `at`. It is later than every earlier `ts`, even if the clock went back."""
        self._last_us = max(self._last_us + 1, (at - _EPOCH) // timedelta(microseconds=1))
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"

    def put(self, message: Message) -> None:
        """Store a new message, or replace a changed one."""
        self._channels[message.channel][message.ts] = message
        if message.streaming_since:
            self._streaming[message.id] = message
        else:
            self._streaming.pop(message.id, None)
        if message.thread_ts and not message.only_for:
            self._replies[message.channel, message.thread_ts][message.ts] = None

    def remove(self, message: Message) -> None:
        """Forget a message."""
        del self._channels[message.channel][message.ts]
        self._replies[message.channel, message.root].pop(message.ts, None)
        self._streaming.pop(message.id, None)

    def drop_channel(self, channel: str) -> None:
        """Forget every message of a channel."""
        for message in self.of_channel(channel):
            self.remove(message)

    def move_channel(self, channel: str, new_channel: str) -> None:
        """Give the messages of a channel to the channel that has taken its place."""
        roots = {message.ts: list(self._replies[channel, message.ts]) for message in self.of_channel(channel)}
        for message in self.of_channel(channel):
            self.remove(message)
            self.put(dataclasses.replace(message, channel=new_channel))
        for root, replies in roots.items():
            if replies:
                self._replies[new_channel, root] = dict.fromkeys(replies)

    def streaming(self) -> list[Message]:
        """Return the messages that are streaming, in the order in which their streams began."""
        return list(self._streaming.values())

    def find(self, channel: str, ts: str) -> Message | None:
        """Return the message, or None."""
        return self._channels[channel].get(ts)

    def of_channel(self, channel: str) -> list[Message]:
        """Return all messages of a channel, replies and ephemerals included, oldest first."""
        return list(self._channels[channel].values())

    def thread(self, channel: str, root: str) -> list[Message]:
        """Return a thread's messages without ephemerals: the root, unless it was deleted, then its replies."""
        messages = self._channels[channel]
        return [messages[ts] for ts in (root, *self._replies[channel, root]) if ts in messages]

    def reply_count(self, message: Message) -> int:
        """Return how many replies a root has, 0 for any other message."""
        return len(self._replies.get((message.channel, message.ts), ()))
