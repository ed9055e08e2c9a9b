"""The workspace as people use it: they write messages, interact with the app and administer channels.

Rule: the page and the tests act through this. An act that Slack would not allow raises NotAllowed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import cached_property
from typing import Any

from bot.playground.workspace import mrkdwn
from bot.playground.workspace.administration import Administration
from bot.playground.workspace.interactions import Interactions
from bot.playground.workspace.messages import Edit, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.rules import NotAllowed, require_author, require_member
from bot.playground.workspace.state import WorkspaceState


class Workspace(WorkspaceState):
    """A workspace with the messages that people write, and look-ups for tests."""

    @cached_property
    def interactions(self) -> Interactions:
        """The actions of people in the app, except for messages."""
        return Interactions(self)

    @cached_property
    def admin(self) -> Administration:
        """The changes that people and administrators make to channels and the app."""
        return Administration(self)

    def person(self, name: str) -> Person:
        """Return the person of this real name or user name. Raises StopIteration when there is none."""
        return next(person for person in self.people.values() if name in {person.real_name, person.name})

    def channel(self, name: str) -> Channel:
        """Return the channel of this name, with or without its #. Raises StopIteration when there is none."""
        return next(channel for channel in self.channels.values() if channel.name == name.removeprefix("#"))

    def thread(self, channel: Channel, root: str) -> list[Message]:
        """Return a thread's messages, the root first."""
        return self.transcript.thread(channel.id, root)

    def app_messages(self, channel: Channel) -> list[Message]:
        """Return the app's messages in a channel, oldest first, without ephemerals."""
        messages = self.transcript.of_channel(channel.id)
        return [message for message in messages if message.bot_id == self.app.bot_id and not message.only_for]

    def ephemerals(self, person: Person, channel: Channel) -> list[Message]:
        """Return the ephemeral messages that a person sees in a channel, oldest first."""
        return [message for message in self.transcript.of_channel(channel.id) if message.only_for == person.id]

    async def until(self, condition: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
        """Return as soon as `condition()` is true. It is evaluated again after each change, API call and delivery.

        Raises AssertionError with every message of the workspace after `timeout_s`.
        """
        await self.watch.until(condition, timeout_s=timeout_s, describe=self.__str__)

    def __str__(self) -> str:
        """Every message of the workspace, one on each line."""
        return "\n".join(
            f"{channel.name:<12} {message.ts} {'↳ ' if message.thread_ts else ''}{message.user}"
            f"{f' (only for {message.only_for})' if message.only_for else ''}: {message.shown_text!r}"
            for channel in self.channels.values()
            for message in self.transcript.of_channel(channel.id)
        )

    def stored_text(self, typed: str) -> str:
        """Return the text that Slack stores when a person types `typed`."""
        users = {name: person.id for person in self.people.values() for name in (person.name, person.real_name)}
        users[self.app.manifest.bot_name] = self.app.user_id
        return mrkdwn.stored(typed, users, {c.name: c.id for c in self.channels.values() if c.kind == "channel"})

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
        """Post a message of a person. With `raw`, `text` is the stored text, not the typed one.

        `more` are fields of Message: `subtype`, `files`, or the `client_msg_id` of a message that is sent again.
        """
        require_member(person, self.channels[channel.id])
        if thread_ts is not None and self.transcript.find(channel.id, thread_ts) is None:
            raise NotAllowed("That thread is no longer there.")
        fields = {"client_msg_id": str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), **more}
        stored = text if raw else self.stored_text(text)
        ts = self.new_ts()
        return self.add(Message(channel=channel.id, ts=ts, user=person.id, text=stored, thread_ts=thread_ts, **fields))

    def share_file(
        self, person: Person, channel: Channel, text: str, *, name: str, mimetype: str, size_bytes: int
    ) -> Message:
        """Post a file with a comment. It has no content, and the app may not see it."""
        file = {"id": f"F{self.new_id().upper()}", "name": name, "title": name, "mimetype": mimetype}
        return self.post(person, channel, text, subtype="file_share", files=({**file, "size": size_bytes},))

    def edit(self, person: Person, message: Message, text: str) -> Message:
        """Replace the text of a person's own message with a new typed text."""
        require_author(person, message)
        return self.change(message, text=self.stored_text(text), edited=Edit(person.id, self.new_ts()))

    def delete(self, person: Person, message: Message) -> None:
        """Delete a person's own message."""
        require_author(person, message)
        self.remove(message)

    def post_as_other_bot(self, channel: Channel, text: str, thread_ts: str | None = None, **more: Any) -> Message:
        """Post the stored text as the bot of another app, which has no user. `more` are fields of Message."""
        bot = {"bot_id": "B0DEPLOYBOT", "username": "deploys", **more}
        ts = self.new_ts()
        return self.add(
            Message(channel=channel.id, ts=ts, user="", text=text, thread_ts=thread_ts, subtype="bot_message", **bot)
        )
