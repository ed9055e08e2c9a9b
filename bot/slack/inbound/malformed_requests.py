"""Interactions without the fields that the listeners need. Slack sends none, but a request must not break a listener.

Rule: such a request is acknowledged and ignored. Its values are not logged.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse

from bot.slack.views.home_tab import EDIT_PREFERENCES
from bot.slack.views.kept_preferences import UNDO_PREFERENCES

log = logging.getLogger(__name__)

# By the kind of request: the fields that must be texts. docs.slack.dev/reference/interaction-payloads
_TEXTS = {
    "command": ("user_id", "channel_id", "response_url", "text", "trigger_id"),
    "message_action": ("user.id", "channel.id", "message.ts", "response_url"),
    "block_actions": ("user.id", "trigger_id", "actions.0.value"),
    "view_submission": ("user.id",),
}
_IN_VIEWS = (EDIT_PREFERENCES, UNDO_PREFERENCES)  # buttons of the Home tab, which has no channel
_OUTSIDE_VIEWS = ("channel.id", "response_url")


def register(app: AsyncApp) -> None:
    """Keep malformed interactions from the listeners."""

    async def ignore_malformed(
        body: dict[str, Any], next_: Callable[[], Awaitable[BoltResponse]]
    ) -> BoltResponse | None:
        if is_well_formed(body):
            await next_()
            return None
        log.warning("malformed_request_ignored", extra={"kind": _kind(body)})
        return BoltResponse(status=200)

    app.middleware(ignore_malformed)


def is_well_formed(body: Mapping[str, Any]) -> bool:
    """Return whether the listeners can read this request. Events always are: they are read field by field."""
    kind = _kind(body)
    needed = _TEXTS.get(kind, ())
    is_in_view = "view" in body and _at(body, "actions.0.action_id") in _IN_VIEWS
    if kind == "block_actions" and not is_in_view:
        needed = (*needed, *_OUTSIDE_VIEWS)
    has_values = kind != "view_submission" or isinstance(_at(body, "view.state.values"), dict)
    return has_values and all(isinstance(_at(body, path), str) for path in needed)


def _kind(body: Mapping[str, Any]) -> str:
    return "command" if "command" in body else str(body.get("type"))


def _at(body: object, path: str) -> object:
    """Return the value at a path like `actions.0.value`; None where there is none."""
    for name in path.split("."):
        if isinstance(body, list) and body and name == "0":
            body = body[0]
        else:
            body = body.get(name) if isinstance(body, dict) else None
    return body
