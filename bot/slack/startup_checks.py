"""Checks of the Slack tokens before the bot starts: the bot's identity, its scopes, and Socket Mode.

Rule: each failure is one line that names the setting and the remedy. Socket Mode itself would retry forever.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import StartupError
from bot.slack.errors import CLIENT_ERRORS, error_code
from bot.slack.identity import BotIdentity

# https://docs.slack.dev/reference/methods/auth.test and .../apps.connections.open: the errors about the token itself
_TOKEN_ERRORS = frozenset(
    {"account_inactive", "invalid_auth", "not_allowed_token_type", "not_authed", "token_expired", "token_revoked"}
)


async def identify(client: AsyncWebClient) -> BotIdentity:
    """Return the bot's identity from auth.test. Raise StartupError if Slack refuses the token or does not answer."""
    try:
        response = await client.auth_test()
    except CLIENT_ERRORS as error:
        raise StartupError(_bot_token_problem(error_code(error), client.base_url)) from None
    if response.get("is_enterprise_install"):  # its events come from many workspaces
        raise StartupError(
            "SLACK_BOT_TOKEN belongs to an org-wide installation, which Attendant does not support. "
            "Install the app in one workspace, and copy that workspace's Bot User OAuth Token."
        )
    granted = response.headers.get("x-oauth-scopes", "").split(",")
    return BotIdentity(
        team_id=response["team_id"],
        team_name=response.get("team") or "",
        team_url=response.get("url") or "",
        user_id=response["user_id"],
        bot_id=response.get("bot_id") or "",
        name=response.get("user") or "",
        scopes=frozenset(scope.strip() for scope in granted if scope.strip()),
    )


def check_scopes(bot: BotIdentity, needed: AbstractSet[str]) -> None:
    """Raise StartupError if the token lacks a needed scope. Pass if Slack did not report the granted scopes."""
    missing = ", ".join(sorted(needed - bot.scopes))
    if bot.scopes and missing:
        raise StartupError(
            f"SLACK_BOT_TOKEN lacks the scopes {missing}. Add them on the app's OAuth & Permissions page "
            "(manifest.yml has them all), then reinstall the app."
        )


async def check_socket_mode(client: AsyncWebClient, app_token: str) -> None:
    """Request one Socket Mode URL, and discard it. Raise StartupError if Slack returns none."""
    try:
        await client.apps_connections_open(app_token=app_token)
    except CLIENT_ERRORS as error:
        raise StartupError(_app_token_problem(error_code(error), client.base_url)) from None


def _bot_token_problem(code: str, api_url: str) -> str:
    if code in _TOKEN_ERRORS:
        return (
            f"SLACK_BOT_TOKEN was refused by Slack ({code}). "
            "Copy the Bot User OAuth Token from your app's Install App page."
        )
    return _api_url_problem(code, api_url)


def _app_token_problem(code: str, api_url: str) -> str:
    if code == "missing_scope":
        return (
            "SLACK_APP_TOKEN lacks the scope connections:write. "
            "Create an app-level token that has it, on the app's Basic Information page."
        )
    if code in _TOKEN_ERRORS:
        return (
            f"SLACK_APP_TOKEN was refused by Slack ({code}). "
            "Create an app-level token with connections:write on the app's Basic Information page."
        )
    return _api_url_problem(code, api_url)


def _api_url_problem(code: str, api_url: str) -> str:
    return f"SLACK_API_URL {api_url} gave no usable answer ({code}). Check the address, the network and any proxy."
