"""The changes in the workspace, named after Slack's events where one exists. The page and the app learn of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.surfaces import View, ViewShown


@dataclass(frozen=True, slots=True)
class MessagePosted:
    """A message was posted, possibly an ephemeral one."""

    message: Message


@dataclass(frozen=True, slots=True)
class MessageChanged:
    """A message was changed. `ts` is that of the change (subtype message_changed)."""

    message: Message
    previous: Message
    ts: str


@dataclass(frozen=True, slots=True)
class StreamAppended:
    """Text was appended to a streaming message. Slack sends no event for this."""

    message: Message


@dataclass(frozen=True, slots=True)
class MessageRemoved:
    """A message was deleted. `ts` is that of the deletion (subtype message_deleted)."""

    message: Message
    ts: str


@dataclass(frozen=True, slots=True)
class FileRemoved:
    """A file was deleted (file_deleted)."""

    file_id: str
    ts: str


@dataclass(frozen=True, slots=True)
class StatusSet:
    """The app set its status in a thread. An empty text cleared it."""

    channel: str
    thread_ts: str
    text: str
    stoppable: bool = False  # whether Slack shows its Stop button beside the status


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The app connected or disconnected."""

    connected: bool


@dataclass(frozen=True, slots=True)
class ResponseUrl:
    """A URL at which the app may respond to an interaction, 5 times within 30 minutes.

    docs.slack.dev/interactivity/handling-user-interaction
    """

    token: str
    url: str
    person: Person
    channel: Channel
    source: Message | None  # the message with the button that was pressed
    at: datetime


@dataclass(frozen=True, slots=True)
class SlashCommandInvoked:
    """A person invoked a slash command of the app."""

    person: Person
    channel: Channel
    command: str
    text: str
    response_url: ResponseUrl
    trigger_id: str


@dataclass(frozen=True, slots=True)
class MessageShortcutInvoked:
    """A person invoked a message shortcut of the app (payload type message_action)."""

    person: Person
    channel: Channel
    message: Message
    callback_id: str
    response_url: ResponseUrl
    trigger_id: str
    ts: str


@dataclass(frozen=True, slots=True)
class MessageBlockAction:
    """A person pressed a button in a message of the app (payload type block_actions)."""

    person: Person
    channel: Channel
    message: Message
    block_id: str
    button: Json
    response_url: ResponseUrl
    trigger_id: str
    ts: str


@dataclass(frozen=True, slots=True)
class ViewBlockAction:
    """A person pressed a button in a view of the app (payload type block_actions)."""

    person: Person
    view: View
    block_id: str
    button: Json
    trigger_id: str
    ts: str


@dataclass(frozen=True, slots=True)
class ViewSubmitted:
    """A person submitted a modal of the app (payload type view_submission). `values` is its `state.values`."""

    person: Person
    view: View
    values: Json
    trigger_id: str


@dataclass(frozen=True, slots=True)
class AppHomeOpened:
    """A person opened a tab of the app (app_home_opened)."""

    person: Person
    channel: Channel  # their direct messages with the app
    ts: str
    tab: Literal["home", "messages"] = "home"


@dataclass(frozen=True, slots=True)
class AgentSessionStopped:
    """A person pressed Slack's Stop button in a thread (agent_session_stopped)."""

    person: Person
    channel: Channel
    thread_ts: str
    streams: tuple[str, ...]  # the `ts` of each message whose stream Slack stopped
    ts: str


@dataclass(frozen=True, slots=True)
class ChannelArchived:
    """A person archived a channel. It can still be read, but nobody can post in it."""

    person: Person
    channel: Channel
    ts: str


@dataclass(frozen=True, slots=True)
class ChannelDeleted:
    """A channel was deleted with all its messages. `channel` is its last state."""

    channel: Channel
    ts: str


@dataclass(frozen=True, slots=True)
class ChannelIdChanged:
    """A channel got another id, because it is shared with another organisation now."""

    old_id: str
    channel: Channel
    ts: str


@dataclass(frozen=True, slots=True)
class BotLeftChannel:
    """The bot was removed from a channel (member_left_channel, channel_left)."""

    channel: Channel
    ts: str


@dataclass(frozen=True, slots=True)
class AppUninstalled:
    """The app was uninstalled and its tokens were revoked (app_uninstalled, tokens_revoked)."""


# Interactions in a channel have a response URL, interactions in a view have none.
ChannelInteraction = SlashCommandInvoked | MessageShortcutInvoked | MessageBlockAction
ViewInteraction = ViewBlockAction | ViewSubmitted
Interaction = ChannelInteraction | ViewInteraction
Departure = ChannelArchived | ChannelDeleted | BotLeftChannel | AppUninstalled
Change = (
    MessagePosted
    | MessageChanged
    | StreamAppended
    | MessageRemoved
    | FileRemoved
    | StatusSet
    | ConnectionChanged
    | AgentSessionStopped
    | AppHomeOpened
    | ChannelIdChanged
    | ViewShown
    | Interaction
    | Departure
)
