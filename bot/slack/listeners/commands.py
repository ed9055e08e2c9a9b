"""Slash commands. They never come from a thread: https://docs.slack.dev/interactivity/implementing-slash-commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot import wording
from bot.config import Settings
from bot.slack.privacy import Privacy, to_confirm
from bot.slack.resets import Notice, Resets, in_time


def register(app: AsyncApp, resets: Resets, privacy: Privacy, settings: Settings, bot_name: str) -> None:
    """Answer both commands, to the person alone, while Slack waits."""
    help_text = wording.help_text(bot_name, settings.slack_command, settings.slack_reset_command)

    async def attendant(user: str, channel: str, text: str) -> Notice:
        word, _, rest = text.partition(" ")
        match word.casefold():
            case "reset":
                return await resets.ask(user, channel, rest.strip())
            case "status":
                return Notice(wording.status(await resets.count_open(user, channel), settings.session_idle_hours))
            case "forget" if rest.strip().casefold() == "me":
                return to_confirm()
            case "export":
                return Notice(wording.EXPORT_COMES, then=privacy.export)
            case "" | "help":
                return Notice(help_text)
            case _:
                return Notice(f"{wording.UNKNOWN_COMMAND}\n{help_text}")

    app.command(settings.slack_command)(_answering(attendant))
    app.command(settings.slack_reset_command)(_answering(resets.ask))


def _answering(work: Callable[[str, str, str], Awaitable[Notice]]) -> Callable[..., Awaitable[None]]:
    async def answer(ack: AsyncAck, command: dict[str, Any]) -> None:
        text = " ".join(command.get("text", "").split())
        notice = await in_time(work(command["user_id"], command["channel_id"], text))
        await ack(notice.text, blocks=notice.blocks or None, response_type="ephemeral")
        if notice.then is not None:
            await notice.then(command)

    return answer
