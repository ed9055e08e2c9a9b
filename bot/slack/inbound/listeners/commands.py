"""Slash commands. They never come from a thread: https://docs.slack.dev/interactivity/implementing-slash-commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.config.settings import Settings
from bot.domain import texts
from bot.domain.sessions import IdleLimits
from bot.slack.views.personal_views import PersonalViews
from bot.slack.views.privacy import Privacy, to_confirm
from bot.slack.views.resets import Notice, Resets, in_time


def register(
    app: AsyncApp, resets: Resets, personal: PersonalViews, privacy: Privacy, *, settings: Settings, help_text: str
) -> None:
    """Answer both commands, to the person alone, while Slack waits."""
    idle = IdleLimits(settings.idle_after, settings.idle_after_by_channel)

    async def attendant(user: str, channel: str, text: str, trigger_id: str) -> Notice:
        word, _, rest = text.partition(" ")
        match word.casefold():
            case "reset":
                return await resets.ask(user, channel, rest.strip())
            case "status":
                return await resets.status(user, channel, idle)
            case "preferences":
                return await personal.open(user, trigger_id)
            case "forget" if rest.strip().casefold() == "me":
                return to_confirm()
            case "export":
                return Notice(texts.EXPORT_COMES, then=privacy.export)
            case other:
                return Notice(help_text if other in {"", "help"} else f"{texts.UNKNOWN_COMMAND}\n{help_text}")

    async def reset(user: str, channel: str, text: str, _trigger_id: str) -> Notice:
        return await resets.ask(user, channel, text)

    app.command(settings.slack_command)(_answering(attendant))
    app.command(settings.slack_reset_command)(_answering(reset))


def _answering(work: Callable[[str, str, str, str], Awaitable[Notice]]) -> Callable[..., Awaitable[None]]:
    async def answer(ack: AsyncAck, command: dict[str, Any]) -> None:
        text = " ".join(command.get("text", "").split())
        notice = await in_time(work(command["user_id"], command["channel_id"], text, command.get("trigger_id", "")))
        if notice.text:
            await ack(notice.text, blocks=notice.blocks or None, response_type="ephemeral")
        else:  # a modal has opened, which says it all
            await ack()
        if notice.then is not None:
            await notice.then(command)

    return answer
