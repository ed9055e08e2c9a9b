"""The entrances of Slack: every event and interaction passes the gatekeeper before it is accepted.

Rule: a person who is not admitted gets a polite line that only they see: for messages once a day at most, and for a
command or a button in reply. What they edit or delete of their earlier messages still counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.access.access_rules import Entrance, Refusal
from bot.access.gatekeeper import Gatekeeper
from bot.domain import access_texts
from bot.domain.events import (
    Event,
    MessageEdited,
    MessageReceived,
    QuietRequested,
    ResetRequested,
    StatusRequested,
    StopRequested,
)
from bot.domain.language import ENGLISH, speak, translated
from bot.errors import StoreUnavailable
from bot.slack.errors import CLIENT_ERRORS, error_code
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.message_fields import object_field, string_field
from bot.slack.outbound.ephemeral_messages import EphemeralMessages
from bot.slack.port import Intake, PersonalRecords
from bot.slack.views.block_elements import View, plain_text

log = logging.getLogger(__name__)

Written = MessageReceived | ResetRequested | StatusRequested | QuietRequested | StopRequested

_LINES = {
    Refusal.CHANNEL: access_texts.REFUSED_CHANNEL,
    Refusal.GUEST: access_texts.REFUSED_GUEST,
    Refusal.EXTERNAL: access_texts.REFUSED_EXTERNAL,
    Refusal.UNKNOWN: access_texts.TRY_AGAIN,
}


class GuardedIntake:
    """Accepts the events of people who are admitted. Implements port.Intake."""

    def __init__(
        self,
        intake: Intake,
        gatekeeper: Gatekeeper,
        records: PersonalRecords,
        client: AsyncWebClient,
        bot: BotIdentity,
    ) -> None:
        self._intake = intake
        self._gatekeeper = gatekeeper
        self._records = records
        self._client = client
        self._bot = bot

    async def accept(self, event: Event) -> bool:
        """Store the event, unless its author is not admitted. May raise StoreUnavailable."""
        if isinstance(event, Written):
            entrance = _entrance(event, addressed=event.mentions_bot)
            if (refusal := await self._gatekeeper.refusal(entrance)) is not None:
                if event.mentions_bot or event.thread.direct:
                    await self._tell(event, refusal)
                return False
        if isinstance(event, MessageEdited) and not event.by_bot:
            entrance = _entrance(event.message, addressed=event.calls_bot or event.message.mentions_bot)
            if await self._gatekeeper.refusal(entrance) is not None:
                event = replace(event, by_bot=True)  # the new text replaces a stored one, and is not answered
        return await self._intake.accept(event)

    def count_failed_delivery(self) -> None:
        """See Intake."""
        self._intake.count_failed_delivery()

    async def _tell(self, event: Written, why: Refusal) -> None:
        """Tell the person that they are not answered. Best effort."""
        thread, user = event.thread, event.author.id
        try:
            if not await self._records.claim_access_notice(PLATFORM, self._bot.team_id, user):
                return
            speak(await self._records.language(PLATFORM, self._bot.team_id, user))
            root = thread.root if thread.root not in ("", event.message_id) else None
            await self._client.chat_postEphemeral(channel=thread.channel, user=user, thread_ts=root, text=_line(why))
        except StoreUnavailable as error:
            log.warning("access_notice_not_posted", extra={"error": str(error)})
        except CLIENT_ERRORS as error:
            log.warning("access_notice_not_posted", extra={"error": error_code(error)})


def register(
    app: AsyncApp,
    gatekeeper: Gatekeeper,
    records: PersonalRecords,
    *,
    ephemeral: EphemeralMessages,
    client: AsyncWebClient,
    bot: BotIdentity,
) -> None:
    """Keep commands, buttons, shortcuts, modals and the Home tab from people who are not admitted.

    The listeners that follow speak the language of the person who used the bot.
    """

    async def admit(body: dict[str, Any], next_: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse | None:
        entrance, refusal = _of_interaction(body, bot), None
        speak(ENGLISH)
        if entrance is not None:
            language = records.language(PLATFORM, bot.team_id, entrance.user)
            refusal, known = await asyncio.gather(gatekeeper.refusal(entrance), language)
            speak(known)
        if entrance is None or refusal is None:
            await next_()
            return None
        return await refuse(body, entrance, _line(refusal))

    async def refuse(body: dict[str, Any], entrance: Entrance, line: str) -> BoltResponse:
        match body.get("type"):
            case "view_submission":
                return BoltResponse(status=200, body={"response_action": "update", "view": _modal(line)})
            case "block_actions" | "message_action" if body.get("response_url"):
                await ephemeral.follow_up(body, line)
            case "block_actions" | "event_callback":
                await _publish(client, entrance.user, line)
            case _ if "command" in body:
                return BoltResponse(status=200, body={"response_type": "ephemeral", "text": line})
            case _:
                pass
        return BoltResponse(status=200)

    app.middleware(admit)


def _entrance(event: Written, *, addressed: bool) -> Entrance:
    author, thread = event.author, event.thread
    return Entrance(author.id, author.workspace, thread.channel, direct=thread.direct, addressed=addressed)


def _of_interaction(body: dict[str, Any], bot: BotIdentity) -> Entrance | None:
    """Return the use of a command, a button, a shortcut, a modal or the Home tab; None for any other request."""
    if "command" in body:
        user, team, channel = (string_field(body, name) for name in ("user_id", "team_id", "channel_id"))
    elif body.get("type") in ("block_actions", "message_action", "shortcut", "view_submission", "view_closed"):
        person = object_field(body, "user")
        user, team = string_field(person, "id"), string_field(person, "team_id")
        channel = string_field(object_field(body, "channel"), "id")
    elif object_field(body, "event").get("type") == "app_home_opened":
        user, team, channel = string_field(object_field(body, "event"), "user"), bot.team_id, ""
    else:
        return None
    return Entrance(user, team or bot.team_id, channel, direct=channel.startswith("D")) if user else None


def _line(refusal: Refusal) -> str:
    return translated(_LINES.get(refusal, access_texts.REFUSED))


def _modal(line: str) -> View:
    title, blocks = plain_text(translated(access_texts.ACCESS_TITLE)), [{"type": "section", "text": plain_text(line)}]
    return {"type": "modal", "title": title, "blocks": blocks}


async def _publish(client: AsyncWebClient, user: str, line: str) -> None:
    view = {"type": "home", "blocks": [{"type": "section", "text": plain_text(line)}]}
    try:
        await client.views_publish(user_id=user, view=view)
    except CLIENT_ERRORS as error:
        log.warning("access_notice_not_posted", extra={"error": error_code(error)})
