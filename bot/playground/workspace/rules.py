"""The rules for people's actions in the workspace."""

from __future__ import annotations

from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person


class NotAllowed(Exception):  # noqa: N818 - a sentence for the person, not a fault
    """Slack does not let this person do this. The message is the sentence that the person reads."""


def require_member(person: Person, channel: Channel) -> None:
    """Raise NotAllowed unless the person is in the channel."""
    if person.id not in channel.members:
        raise NotAllowed("You are not in this channel.")


def require_author(person: Person, message: Message) -> None:
    """Raise NotAllowed unless the person wrote the message. Nobody can change an ephemeral message."""
    if message.user != person.id or message.only_for:
        raise NotAllowed("You can only change your own messages.")
