"""A request of the page: its fields, resolved to people, channels and messages.

Rule: every id in a request is resolved here, and only to something that the acting person can see.
"""

from __future__ import annotations

from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace


class RequestError(Exception):
    """A request that cannot be carried out. The page shows the sentence."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


class PageRequest:
    """The fields of one request. A field that is missing, malformed or not visible raises RequestError."""

    def __init__(self, workspace: Workspace, fields: Json) -> None:
        self._workspace = workspace
        self._fields = fields

    def text(self, name: str) -> str:
        """Return a required text."""
        value = self.optional(name)
        if not value or not value.strip():
            raise RequestError(f"The {name} is missing.")
        return value

    def optional(self, name: str) -> str | None:
        """Return an optional text."""
        value = self._fields.get(name)
        if value is not None and not isinstance(value, str):
            raise RequestError(f"The {name} must be text.")
        return value or None

    @property
    def values(self) -> dict[str, str]:
        """The input of a modal, by block id."""
        values = self._fields.get("values")
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise RequestError("The values must be text.")
        return values

    @property
    def person(self) -> Person:
        """The acting person."""
        try:
            return self._workspace.people[self.text("as")]
        except KeyError:
            raise RequestError("There is no such person.", 403) from None

    @property
    def channel(self) -> Channel:
        """The channel. The person must be in it."""
        return self.channel_named("channel")

    def channel_named(self, name: str) -> Channel:
        """Return the channel in this field. The person must be in it."""
        channel = self._workspace.channels.get(self.text(name))
        if channel is None or self.person.id not in channel.members:
            raise RequestError("You are not in this channel.", 403)
        return channel

    @property
    def message(self) -> Message:
        """The message with this `ts` or `id`. The person must see it."""
        ts = self.optional("ts") or self.text("id").rpartition("-")[2]
        message = self._workspace.transcript.find(self.channel.id, ts)
        if message is None or message.only_for not in {None, self.person.id}:
            raise RequestError("That message is no longer there.", 404)
        return message
