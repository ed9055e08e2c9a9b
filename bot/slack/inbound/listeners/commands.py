"""Listeners for slash commands.

Slack allows no slash commands in threads: https://docs.slack.dev/interactivity/implementing-slash-commands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.config.settings import Settings
from bot.domain import texts
from bot.domain.language import translated
from bot.slack.inbound.interactions.data_requests import DataRequests, confirm_erasure
from bot.slack.inbound.interactions.ephemeral_reply import EphemeralReply, within_ack_deadline
from bot.slack.inbound.interactions.preferences_editor import PreferencesEditor
from bot.slack.inbound.interactions.resets import Resets
from bot.slack.inbound.interactions.session_status import SessionStatus


@dataclass(frozen=True, slots=True)
class _Invocation:
    """One use of a slash command. `text` follows the command, with single spaces."""

    user: str
    channel: str
    text: str
    trigger_id: str


def register(
    app: AsyncApp,
    resets: Resets,
    status: SessionStatus,
    preferences: PreferencesEditor,
    data_requests: DataRequests,
    *,
    settings: Settings,
    help_text: Callable[[], str],
) -> None:
    """Reply to both commands, visible to the person alone."""

    async def attendant(command: _Invocation) -> EphemeralReply | None:
        subcommand, _, argument = command.text.partition(" ")
        match subcommand.casefold():
            case "reset":
                return await resets.reset_by_command(command.user, command.channel, argument)
            case "status":
                return await status.list_sessions(command.user, command.channel)
            case "preferences":
                return await preferences.open_modal(command.user, command.trigger_id)
            case "forget" if argument.casefold() == "me":
                return confirm_erasure()
            case "export":
                return EphemeralReply(translated(texts.EXPORT_COMES), follow_up=data_requests.export)
            case other:
                unknown = "" if other in {"", "help"} else f"{translated(texts.UNKNOWN_COMMAND)}\n"
                return EphemeralReply(f"{unknown}{help_text()}")

    async def reset(command: _Invocation) -> EphemeralReply | None:
        return await resets.reset_by_command(command.user, command.channel, command.text)

    app.command(settings.slack_command)(_listener(attendant))
    app.command(settings.slack_reset_command)(_listener(reset))


def _listener(
    handle: Callable[[_Invocation], Awaitable[EphemeralReply | None]],
) -> Callable[..., Awaitable[None]]:
    """Wrap a handler as a listener: acknowledge with its reply, then run the follow-up."""

    async def listener(ack: AsyncAck, command: dict[str, Any]) -> None:
        text = " ".join(command.get("text", "").split())
        invocation = _Invocation(command["user_id"], command["channel_id"], text, command.get("trigger_id", ""))
        reply = await within_ack_deadline(handle(invocation))
        if reply is None:  # a modal has opened
            await ack()
            return
        await ack(reply.text, blocks=reply.blocks or None, response_type="ephemeral")
        if reply.follow_up is not None:
            await reply.follow_up(command)

    return listener
