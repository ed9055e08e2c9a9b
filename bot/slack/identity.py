"""The bot's identity in its workspace, as `auth.test` returned it at start."""

from __future__ import annotations

from dataclasses import dataclass

PLATFORM = "slack"


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """One installation of the app. `scopes` is empty if Slack did not report the granted scopes."""

    team_id: str
    team_name: str
    team_url: str
    user_id: str
    bot_id: str
    name: str  # of the bot user, as people mention it
    scopes: frozenset[str] = frozenset()
