"""The Bolt app: who is let in, what is listened to, what is logged when it fails.

Rule: everything is passed explicitly. Bolt would take tokens and a whole OAuth flow from the environment otherwise.
One file for each kind of listener, by Bolt's names: events, commands, shortcuts, actions; and one for the Home tab,
with all that belongs to it. Each has a `register`.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from datetime import datetime

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.config.settings import Settings
from bot.domain import texts
from bot.errors import StoreUnavailable
from bot.slack.client import quiet_logger
from bot.slack.identity import BotIdentity
from bot.slack.inbound.listeners import actions, commands, events, home, shortcuts
from bot.slack.port import WorkLayer
from bot.slack.views.notices import Notices
from bot.slack.views.personal_views import PersonalViews
from bot.slack.views.privacy import Privacy
from bot.slack.views.resets import Resets

log = logging.getLogger(__name__)


def build_app(
    client: AsyncWebClient, bot: BotIdentity, services: WorkLayer, settings: Settings, *, clock: Callable[[], datetime]
) -> AsyncApp:
    """The app with its listeners. Whatever is dispatched to it is taken for Slack's: see connection."""

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None,
            team_id=bot.team_id,
            bot_user_id=bot.user_id,
            bot_id=bot.bot_id,
            bot_token=client.token,
        )

    app = AsyncApp(
        name="attendant",
        client=client,
        signing_secret="",  # not None, or the environment is asked
        authorize=authorize,  # so that an OAuth flow from the environment is not used, nor auth.test for each event
        ignoring_self_events_enabled=False,  # somebody may delete what we said; payloads tells whose a message is
        request_verification_enabled=False,  # connection.HttpMode does it, before the body is parsed
        logger=quiet_logger("slack_bolt"),
    )

    async def failed(error: Exception) -> None:
        services.inbox.refused()
        _tell(error)

    app.error(failed)
    resets, notices = Resets(services.sessions, bot, clock), Notices(client)
    help_text = texts.help_text(bot.name, settings.slack_command, settings.slack_reset_command)
    personal = PersonalViews(services.personal_data, client, bot, help_text)
    privacy = Privacy(services.personal_data, bot, client, notices, clock)
    events.register(app, services.inbox, bot)
    commands.register(app, resets, personal, privacy, settings=settings, help_text=help_text)
    home.register(app, personal)
    shortcuts.register(app, resets, notices)
    actions.register(app, resets, privacy, notices)
    return app


def _tell(error: Exception) -> None:
    """Log where it failed. What the exception says may quote what a person wrote, so it is left out."""
    if isinstance(error, StoreUnavailable):
        log.error("an event was not stored, so Slack is left to deliver it again: %s", error)
    else:
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("a listener failed with %s\n%s", type(error).__name__, frames)
