"""The installation that a request is for. Slack sends the requests of every workspace in which the app is installed.

Rule: a request for another installation is acknowledged, and neither stored nor answered. The author's own workspace
does not count: in a channel shared over Slack Connect, people of other organisations write to this installation.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse

from bot.slack.identity import BotIdentity
from bot.slack.message_fields import object_field

log = logging.getLogger(__name__)


def register(app: AsyncApp, bot: BotIdentity) -> None:
    """Keep requests for other installations from the middleware and the listeners that are registered later."""
    ignored = 0

    async def ignore_others(body: dict[str, Any], next_: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse | None:
        nonlocal ignored
        if bot.team_id in (teams := teams_of(body)):
            await next_()
            return None
        if not teams:
            return BoltResponse(status=400)  # Slack names an installation in every request
        ignored += 1
        if ignored.bit_count() == 1:  # the first, second, fourth, eighth …: a busy workspace must not fill the log
            log.warning("other_workspace_ignored", extra={"workspace": teams[0], "count": ignored})
        return BoltResponse(status=200)

    app.middleware(ignore_others)


def teams_of(body: dict[str, Any]) -> Sequence[object]:
    """Return the teams of the installations that the request names. The team of an org-wide installation is None.

    The top-level `team_id` of an event may be another workspace, in a channel that is shared with it. `team` is the
    installation also when a person of another workspace uses a button. A modal may be submitted elsewhere.
    https://docs.slack.dev/apis/events-api/#authorizations, https://github.com/slackapi/java-slack-sdk/issues/1041
    """
    if installed := object_field(body, "view").get("app_installed_team_id"):
        return [installed]
    match body:
        case {"authorizations": [_, *_] as authorizations}:
            return [each.get("team_id") if isinstance(each, dict) else None for each in authorizations]
        case {"context_team_id": str(team)} | {"team": {"id": team}}:
            return [team]
        case {"team": None}:  # an interaction with an org-wide installation
            return [None]
        case {"team_id": team}:
            return [team]
        case _:
            return []
