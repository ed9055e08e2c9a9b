"""The actions of a person on the page, each with the name of its address below /page/."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.playground.page.page_request import PageRequest
from bot.playground.workspace import forwarding
from bot.playground.workspace.workspace import Workspace

PageAction = Callable[[Workspace, PageRequest], None]


def _post(workspace: Workspace, request: PageRequest) -> None:
    workspace.post(request.person, request.channel, request.text("text"), request.optional("thread_ts"))


def _forward(workspace: Workspace, request: PageRequest) -> None:
    forwarding.forward(
        workspace, request.person, request.message, request.channel_named("to"), request.optional("text") or ""
    )


def _edit(workspace: Workspace, request: PageRequest) -> None:
    workspace.edit(request.person, request.message, request.text("text"))


def _delete(workspace: Workspace, request: PageRequest) -> None:
    workspace.delete(request.person, request.message)


def _command(workspace: Workspace, request: PageRequest) -> None:
    command, text, thread_ts = request.text("command"), request.optional("text") or "", request.optional("thread_ts")
    workspace.interactions.command(request.person, request.channel, command, text, thread_ts)


def _shortcut(workspace: Workspace, request: PageRequest) -> None:
    workspace.interactions.shortcut(request.person, request.message, request.text("callback_id"))


def _press(workspace: Workspace, request: PageRequest) -> None:
    action_id, value, block_id = request.text("action_id"), request.optional("value"), request.optional("block_id")
    workspace.interactions.press(request.person, request.message, action_id, value, block_id)


def _stop(workspace: Workspace, request: PageRequest) -> None:
    workspace.interactions.stop(request.person, request.channel, request.text("thread_ts"))


def _open_home(workspace: Workspace, request: PageRequest) -> None:
    workspace.interactions.open_home(request.person)


def _open_messages(workspace: Workspace, request: PageRequest) -> None:
    workspace.interactions.open_messages(request.person)


def _press_at_home(workspace: Workspace, request: PageRequest) -> None:
    workspace.interactions.press_at_home(request.person, request.text("action_id"), request.text("view_id"))


def _submit(workspace: Workspace, request: PageRequest) -> None:
    workspace.interactions.submit(request.person, request.values, request.text("view_id"))


def _close(workspace: Workspace, request: PageRequest) -> None:
    workspace.surfaces.close(request.person)


ACTIONS: Mapping[str, PageAction] = {
    "post": _post,
    "forward": _forward,
    "edit": _edit,
    "delete": _delete,
    "command": _command,
    "shortcut": _shortcut,
    "action": _press,
    "stop": _stop,
    "home": _open_home,
    "messages-tab": _open_messages,
    "view-action": _press_at_home,
    "submit": _submit,
    "close": _close,
}
