"""Who and what is in the workspace: the team, its people and channels, and the app under trial."""

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
        """Its address, as auth.test tells it."""
        return f"https://{self.domain}.slack.com/"


@dataclass(frozen=True, slots=True)
class Person:
    """A member, or, with another `team`, somebody from outside in a shared channel."""

    id: str
    name: str
    real_name: str
    team: str
    title: str = ""
    color: str = "4a6fa5"
    time_zone: str = "Europe/London"
    locale: str = "en-GB"

    @property
    def initials(self) -> str:
        """The first letters of the first and the last name."""
        words = self.real_name.split()
        return "".join(word[0] for word in dict.fromkeys((words[0], words[-1]))).upper()


@dataclass(frozen=True, slots=True)
class Channel:
    """A conversation: a public or private channel, a direct message with the bot, or a group message."""

    id: str
    name: str
    kind: ChannelKind
    members: frozenset[str]
    topic: str = ""
    archived: bool = False
    shared: bool = False  # with another organisation, by Slack Connect

    @property
    def slack_type(self) -> str:
        """`channel_type` in message events (docs.slack.dev/reference/events/message)."""
        return "group" if self.kind == "private" else self.kind

    @property
    def payload_name(self) -> str:
        """`channel_name` in slash commands and interactions: only public channels tell their name."""
        return {"channel": self.name, "private": "privategroup", "im": "directmessage", "mpim": self.name}[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The app under trial: what its manifest says, what it was granted at installation, and its secrets."""

    id: str
    user_id: str
    bot_id: str
    manifest: Manifest
    scopes: frozenset[str]
    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    signing_secret: str = field(repr=False)
    verification_token: str = field(repr=False)
    is_agent: bool = False  # features.agent_view: may use the agents.sessions methods
