"""The Bolt app: its middleware, its listeners and its error handler.

Rule: every argument is passed explicitly. Bolt would otherwise read tokens and an OAuth flow from the environment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.access.access_rules import AccessRules
from bot.access.gatekeeper import Gatekeeper, People
from bot.config.settings import Settings
from bot.domain import texts
from bot.domain.sessions import IdleLimits
from bot.errors import StoreUnavailable, trace
from bot.slack.identity import BotIdentity
from bot.slack.inbound import entrances, installations, malformed_requests
from bot.slack.inbound.entrances import GuardedIntake
from bot.slack.inbound.interactions.data_requests import DataRequests
from bot.slack.inbound.interactions.greeting import Greeting
from bot.slack.inbound.interactions.preferences_editor import PreferencesEditor
from bot.slack.inbound.interactions.resets import Resets
from bot.slack.inbound.interactions.session_status import SessionStatus
from bot.slack.inbound.listeners import actions, commands, events, shortcuts, view_submissions
from bot.slack.log_redaction import redacting_logger
from bot.slack.outbound.ephemeral_messages import EphemeralMessages
from bot.slack.port import WorkLayer

log = logging.getLogger(__name__)


def build_app(
    client: AsyncWebClient,
    bot: BotIdentity,
    services: WorkLayer,
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    people: People,
) -> AsyncApp:
    """Build the app with its listeners. It trusts every request: the transports verify that Slack sent it."""
    app = _bare_app(client, bot)

    async def handle_error(error: Exception) -> None:
        services.inbox.count_failed_delivery()
        _log_error(error)

    app.error(handle_error)
    ephemeral = EphemeralMessages(client)
    idle = IdleLimits(settings.idle_after, settings.idle_after_by_channel)
    help_text = partial(texts.help_text, bot.name, settings.slack_command, settings.slack_reset_command)
    rolling = settings.dm_sessions == "rolling"
    resets = Resets(services.sessions, bot, clock, rolling=rolling)
    status = SessionStatus(services.sessions, bot, clock, idle)
    preferences = PreferencesEditor(services.personal_data, client, bot, help_text)
    data_requests = DataRequests(services.personal_data, bot, client, ephemeral, clock)
    installations.register(app, bot)  # first, so that no other request reaches the listeners
    malformed_requests.register(app)
    gatekeeper = Gatekeeper(AccessRules.from_settings(settings, bot.team_id), people)
    entrances.register(app, gatekeeper, services.personal_data, ephemeral=ephemeral, client=client, bot=bot)
    intake = GuardedIntake(services.inbox, gatekeeper, services.personal_data, client, bot)
    greeting = Greeting(services.personal_data, client, bot, settings.slack_command)
    events.register(app, intake, bot, preferences, greeting, rolling=rolling)
    commands.register(app, resets, status, preferences, data_requests, settings=settings, help_text=help_text)
    shortcuts.register(app, resets, ephemeral)
    actions.register(app, resets, preferences, data_requests, ephemeral)
    view_submissions.register(app, preferences)
    return app


def _bare_app(client: AsyncWebClient, bot: BotIdentity) -> AsyncApp:
    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None,
            team_id=bot.team_id,
            bot_user_id=bot.user_id,
            bot_id=bot.bot_id,
            bot_token=client.token,
        )

    return AsyncApp(
        name="attendant",
        client=client,
        signing_secret="",  # with None, Bolt reads the environment
        authorize=authorize,  # without it, Bolt may read an OAuth flow from the environment, or call auth.test
        ignoring_self_events_enabled=False,  # a person may delete a message of the bot
        request_verification_enabled=False,  # HttpMode verifies the signature before it parses the body
        logger=redacting_logger("slack_bolt"),
    )


def _log_error(error: Exception) -> None:
    """Log the type and the place of an error. Its message may quote a person, so it is left out."""
    if isinstance(error, StoreUnavailable):
        log.error("slack_event_not_stored", extra={"error": str(error)})  # Slack delivers the event again
    else:
        log.error("slack_listener_failed", extra={"error": type(error).__name__, "traceback": trace(error)})
