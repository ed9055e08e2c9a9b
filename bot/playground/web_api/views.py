"""views.open, views.publish, views.update: the views that the app shows to one person.

docs.slack.dev/reference/methods/views.open and the pages beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.playground.web_api.arguments import Args
from bot.playground.web_api.errors import SlackError, invalid_arguments
from bot.playground.web_api.methods import Method
from bot.playground.workspace import view_kit
from bot.playground.workspace.messages import Json
from bot.playground.workspace.surfaces import View, ViewKind
from bot.playground.workspace.view_json import view_json
from bot.playground.workspace.workspace import Workspace


def _open(workspace: Workspace, args: Args) -> Json:
    view = _checked(workspace, args, "modal")
    person = workspace.surfaces.use_trigger(args.text("trigger_id"))
    if isinstance(person, str):
        raise SlackError(person)
    workspace.surfaces.show(person, view)
    return {"view": view_json(workspace, view)}


def _publish(workspace: Workspace, args: Args) -> Json:
    view, user_id = _checked(workspace, args, "home"), args.text("user_id")
    if user_id not in workspace.people:
        raise SlackError("invalid_arguments")
    if not workspace.app.manifest.has_home:
        raise SlackError("not_enabled")
    workspace.surfaces.show(workspace.people[user_id], view)
    return {"view": view_json(workspace, view)}


def _update(workspace: Workspace, args: Args) -> Json:
    shown = workspace.surfaces.find(args.text("view_id"))
    if shown is None:
        raise SlackError("not_found")
    person_id, current = shown
    view = _checked(workspace, args, current.kind, current.id)
    workspace.surfaces.show(workspace.people[person_id], view)
    return {"view": view_json(workspace, view)}


def _checked(workspace: Workspace, args: Args, kind: ViewKind, view_id: str = "") -> View:
    body = args.object("view") or {}
    if problems := view_kit.problems(body, kind):
        raise invalid_arguments(*problems)
    return View(view_id or f"V{workspace.new_id().upper()}", kind, view_kit.stored(body, workspace.new_id))


METHODS: Mapping[str, Method] = {
    "views.open": Method(run=_open, required=("trigger_id", "view")),
    "views.publish": Method(run=_publish, required=("user_id", "view")),
    "views.update": Method(run=_update, required=("view_id", "view")),
}
