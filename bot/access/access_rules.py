"""The rules by which the bot admits people: lists of the operator's, guests, and people of other organisations.

Rule: pure. Nothing else decides who may use the bot in Slack. What is not known counts as refused.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from bot.config.settings import Settings


class Refusal(enum.Enum):
    """Why a person is not admitted."""

    WORKSPACE = "workspace"
    CHANNEL = "channel"
    PERSON = "person"
    GUEST = "guest"
    EXTERNAL = "external"
    DEACTIVATED = "deactivated"
    UNKNOWN = "unknown"  # the rules need to know more of them than Slack tells at the moment


class Answering(enum.Enum):
    """Which people of a kind are answered, and where."""

    NEVER = "never"
    MENTION = "mention"  # in channels, where they mention the bot
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person is in the workspace."""

    is_guest: bool = False
    is_external: bool = False  # of another organisation
    is_deactivated: bool = False


@dataclass(frozen=True, slots=True)
class Entrance:
    """One use of the bot: by this person, in this place."""

    user: str
    workspace: str  # the person's
    channel: str = ""  # empty outside of conversations, as in the Home tab
    direct: bool = False  # in direct messages with the bot
    addressed: bool = True  # the person mentions the bot, or uses a command or a button


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may use the bot. The lists hold Slack's ids: T… workspaces, C… channels, U… people, S… user groups."""

    workspace: str  # the installation's
    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    guests: Answering = Answering.ALWAYS
    externals: Answering = Answering.MENTION

    @classmethod
    def from_settings(cls, settings: Settings, workspace: str) -> Self:
        """Return the rules of these settings for an installation."""
        lists = frozenset(settings.access_allow), frozenset(settings.access_deny)
        guests, externals = Answering(settings.answer_guests), Answering(settings.answer_externals)
        return cls(workspace, *lists, guests, externals)

    @property
    def groups(self) -> frozenset[str]:
        """The user groups whose members must be known."""
        return _of_kind(self.allowed | self.denied, "S")

    def needs_standing(self, entrance: Entrance) -> bool:
        """Return whether the decision may depend on what the person is. It takes a call of Slack, once an hour."""
        return self.guests is not Answering.ALWAYS or entrance.workspace != self.workspace

    def refusal(self, entrance: Entrance, standing: Standing | None, groups: frozenset[str] | None) -> Refusal | None:
        """Return why the person is not admitted there; None if they are.

        `groups` are those of the listed user groups that they belong to. None: not known.
        """
        if self._refuses(entrance.workspace, "T"):
            return Refusal.WORKSPACE
        if entrance.channel and not entrance.direct and self._refuses(entrance.channel, "CG"):
            return Refusal.CHANNEL
        if self.groups and groups is None:
            return Refusal.UNKNOWN
        if self._refuses_person({entrance.user, *(groups or ())}):
            return Refusal.PERSON
        if self.needs_standing(entrance):
            return Refusal.UNKNOWN if standing is None else self._refusal_by_standing(entrance, standing)
        return None

    def _refusal_by_standing(self, entrance: Entrance, standing: Standing) -> Refusal | None:
        if standing.is_deactivated:
            return Refusal.DEACTIVATED
        if standing.is_external and not _admits(self.externals, entrance):
            return Refusal.EXTERNAL
        if standing.is_guest and not standing.is_external and not _admits(self.guests, entrance):
            return Refusal.GUEST
        return None

    def _refuses(self, identifier: str, prefixes: str) -> bool:
        listed = _of_kind(self.allowed, prefixes)
        return identifier in self.denied or bool(listed and identifier not in listed)

    def _refuses_person(self, names: set[str]) -> bool:
        listed = _of_kind(self.allowed, "UWS")
        return not names.isdisjoint(self.denied) or bool(listed and names.isdisjoint(listed))


def _admits(answering: Answering, entrance: Entrance) -> bool:
    if answering is Answering.MENTION:
        return entrance.addressed and not entrance.direct
    return answering is Answering.ALWAYS


def _of_kind(identifiers: Iterable[str], prefixes: str) -> frozenset[str]:
    return frozenset(each for each in identifiers if each[0] in prefixes)
