"""Slack's JSON of a view, as in Web API responses and interaction payloads. Pure.

From docs.slack.dev/reference/interaction-payloads/view-interactions-payload.
"""

from __future__ import annotations

from bot.playground.workspace.messages import Json
from bot.playground.workspace.state import WorkspaceState
from bot.playground.workspace.surfaces import View


def view_json(state: WorkspaceState, view: View, values: Json | None = None) -> Json:
    """Return the view's JSON. `values` are its `state.values`, when a person submits it."""
    return {
        "private_metadata": "",
        "callback_id": "",
        "clear_on_close": False,
        "notify_on_close": False,
        **view.body,
        "id": view.id,
        "team_id": state.team.id,
        "app_installed_team_id": state.team.id,
        "app_id": state.app.id,
        "bot_id": state.app.bot_id,
        "hash": f"{view.id}.0",
        "external_id": "",
        "root_view_id": view.id,
        "previous_view_id": None,
        "state": {"values": values or {}},
    }
