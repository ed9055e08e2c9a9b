"""The outcome of an interaction as its person sees it: the app's response, or Slack's error.

docs.slack.dev/interactivity/handling-user-interaction, docs.slack.dev/surfaces/modals
"""

from __future__ import annotations

from typing import Any

from bot.playground.delivery.responses import Responses
from bot.playground.workspace import view_kit
from bot.playground.workspace.changes import (
    Interaction,
    MessageBlockAction,
    MessageShortcutInvoked,
    SlashCommandInvoked,
    ViewBlockAction,
    ViewSubmitted,
)
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace

NO_CONNECTION = "We had some trouble connecting. Try again?"  # Slack's own sentence below a modal


class InteractionOutcomes:
    """Shows the outcome of each interaction to its person."""

    def __init__(self, workspace: Workspace, responses: Responses) -> None:
        self._workspace = workspace
        self._responses = responses

    def acknowledged(self, interaction: Interaction | None, payload: Any) -> None:
        """Apply the payload of an acknowledgement. Slack reads it only for slash commands and submissions."""
        match interaction:
            case SlashCommandInvoked() as invoked if payload:
                if error := self._responses.apply(invoked.response_url, payload):
                    self._show_error(invoked.person, invoked.channel, invoked.command, error)
            case ViewSubmitted() as submitted:
                self._conclude(submitted, payload if isinstance(payload, dict) else {})

    def failed(self, interaction: Interaction | None) -> None:
        """Show that the app did not acknowledge an interaction. Events have no person to show it to."""
        match interaction:
            case ViewBlockAction(person=person) | ViewSubmitted(person=person):
                self._workspace.surfaces.show_errors(person, {"": NO_CONNECTION})
            case SlashCommandInvoked(person=person, channel=channel, command=command):
                self._show_error(person, channel, command, "operation_timeout")
            case (
                MessageShortcutInvoked(person=person, channel=channel)
                | MessageBlockAction(person=person, channel=channel)
            ):
                self._show_error(person, channel, self._workspace.app.manifest.app_name, "operation_timeout")

    def _conclude(self, submitted: ViewSubmitted, payload: dict[str, Any]) -> None:
        # Of the response actions in docs.slack.dev/surfaces/modals, only `errors` and `clear` are supported.
        surfaces, person = self._workspace.surfaces, submitted.person
        block_ids = {block["block_id"] for block in view_kit.inputs(submitted.view.body)}
        match payload.get("response_action"):
            case None | "clear":
                surfaces.close(person)
            case "errors" if payload.get("errors") and block_ids.issuperset(payload["errors"]):
                surfaces.show_errors(person, payload["errors"])
            case _:
                surfaces.show_errors(person, {"": NO_CONNECTION})

    def _show_error(self, person: Person, channel: Channel, subject: str, error: str) -> None:
        self._workspace.show_ephemeral(person, channel, f'{subject} failed with the error "{error}"')
