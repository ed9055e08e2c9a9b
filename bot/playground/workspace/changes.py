"""What happens in the workspace: the facts that the page shows and of which Slack tells the app."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.surfaces import View, ViewShown


@dataclass(frozen=True, slots=True)
class Posted:
    """A message came, an ephemeral one included."""

    message: Message


@dataclass(frozen=True, slots=True)
class Changed:
    """A message became another text; `ts` is the change's own."""

    message: Message
    previous: Message
    ts: str


@dataclass(frozen=True, slots=True)
class Grown:
    """More of a streamed message came. The app is not told."""

    message: Message


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message is gone; `ts` is the change's own."""

    message: Message
    ts: str


@dataclass(frozen=True, slots=True)
class StatusSet:
    """What the app says it is doing in a thread; an empty text takes it back."""

    channel: str
    thread_ts: str
    text: str
    stoppable: bool = False  # Slack shows its Stop button beside it


@dataclass(frozen=True, slots=True)
class Connected:
    """The app is there to hear of events, or no longer."""

    connected: bool


@dataclass(frozen=True, slots=True)
class ResponseUrl:
    """Where the app may answer a gesture: 5 times in 30 minutes.

    docs.slack.dev/interactivity/handling-user-interaction
    """

    token: str
    url: str
    person: Person
    channel: Channel
    source: Message | None  # the message whose button was pressed
    at: datetime


@dataclass(frozen=True, slots=True)
class CommandGiven:
    """A person gave one of the app's slash commands."""

    person: Person
    channel: Channel
    command: str
    text: str
    response: ResponseUrl
    trigger_id: str


@dataclass(frozen=True, slots=True)
class ShortcutChosen:
    """A person chose a message shortcut of the app."""

    person: Person
    channel: Channel
    message: Message
    callback_id: str
    response: ResponseUrl
    trigger_id: str
    ts: str


@dataclass(frozen=True, slots=True)
class ButtonPressed:
    """A person pressed a button in a message of the app."""

    person: Person
    channel: Channel
    message: Message
    block_id: str
    button: Json
    response: ResponseUrl
    trigger_id: str
    ts: str


@dataclass(frozen=True, slots=True)
class ViewButtonPressed:
    """A person pressed a button in a view of the app."""

    person: Person
    view: View
    block_id: str
    button: Json
    trigger_id: str
    ts: str


@dataclass(frozen=True, slots=True)
class ViewSubmitted:
    """A person submitted a modal of the app; `values` are what they put into its inputs."""

    person: Person
    view: View
    values: Json
    trigger_id: str


@dataclass(frozen=True, slots=True)
class HomeOpened:
    """A person opened the app's Home tab."""

    person: Person
    channel: Channel  # their direct messages with the app
    ts: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """A person pressed Slack's own Stop button in a thread; `streams` are the messages that Slack stopped by it."""

    person: Person
    channel: Channel
    thread_ts: str
    streams: tuple[str, ...]
    ts: str


@dataclass(frozen=True, slots=True)
class ChannelArchived:
    """A person archived a channel: it can be read, and nothing be written in it."""

    person: Person
    channel: Channel
    ts: str


@dataclass(frozen=True, slots=True)
class ChannelDeleted:
    """A channel is gone, with all that was said in it; it was like this."""

    channel: Channel
    ts: str


@dataclass(frozen=True, slots=True)
class BotRemoved:
    """Somebody removed the bot from a channel."""

    channel: Channel
    ts: str


@dataclass(frozen=True, slots=True)
class AppUninstalled:
    """The app was removed from the workspace, and its tokens are worth nothing any more."""


Gesture = CommandGiven | ShortcutChosen | ButtonPressed
ViewGesture = ViewButtonPressed | ViewSubmitted
Parting = ChannelArchived | ChannelDeleted | BotRemoved | AppUninstalled
Change = (
    Posted
    | Changed
    | Grown
    | Deleted
    | StatusSet
    | Connected
    | Stopped
    | HomeOpened
    | ViewShown
    | Gesture
    | ViewGesture
    | Parting
)
