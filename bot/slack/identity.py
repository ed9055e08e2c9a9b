"""Who the bot is in its workspace, as Slack told it at start."""

from __future__ import annotations

from dataclasses import dataclass

PLATFORM = "slack"


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """One installation of the app. `scopes` is empty where Slack did not say which were granted."""

    team_id: str
    team_name: str
    team_url: str
    user_id: str
    bot_id: str
    name: str  # the bot user's own, as people mention it
    scopes: frozenset[str] = frozenset()
