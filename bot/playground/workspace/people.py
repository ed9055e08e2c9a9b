"""The team, its people and channels, and the installed app."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bot.manifest import Manifest

ChannelKind = Literal["channel", "private", "im", "mpim"]


@dataclass(frozen=True, slots=True)
class Team:
    """The workspace itself."""

    id: str
    name: str
    domain: str

    @property
    def url(self) -> str:
        """The workspace's URL, as in auth.test."""
        return f"https://{self.domain}.slack.com/"


@dataclass(frozen=True, slots=True)
class Person:
    """A member of the workspace, or, with another `team`, a member of another workspace in a shared channel."""

    id: str
    name: str
    real_name: str
    team: str
    title: str = ""
    color: str = "4a6fa5"
    time_zone: str = "Europe/London"
    locale: str = "en-GB"
    is_guest: bool = False  # may see single channels only
    is_deactivated: bool = False

    @property
    def initials(self) -> str:
        """The first letters of the first and the last name."""
        words = self.real_name.split()
        return "".join(word[0] for word in dict.fromkeys((words[0], words[-1]))).upper()


@dataclass(frozen=True, slots=True)
class Channel:
    """A public or private channel, the direct messages of a person with the bot, or a group direct message."""

    id: str
    name: str
    kind: ChannelKind
    members: frozenset[str]
    topic: str = ""
    archived: bool = False
    shared: bool = False  # with another organisation, over Slack Connect

    @property
    def slack_type(self) -> str:
        """`channel_type` in message events (docs.slack.dev/reference/events/message)."""
        return "group" if self.kind == "private" else self.kind

    @property
    def payload_name(self) -> str:
        """`channel_name` in slash commands and interactions, which contain only the names of public channels."""
        return {"channel": self.name, "private": "privategroup", "im": "directmessage", "mpim": self.name}[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The installed app: its manifest, its granted scopes and its secrets."""

    id: str
    user_id: str
    bot_id: str
    manifest: Manifest
    scopes: frozenset[str]
    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    signing_secret: str = field(repr=False)
    verification_token: str = field(repr=False)
    is_agent: bool = False  # features.agent_view in the manifest: may call the agents.sessions methods
    is_org_wide: bool = False  # installed in a whole Enterprise Grid organisation
