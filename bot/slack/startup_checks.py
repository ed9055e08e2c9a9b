"""What Slack is asked before the bot starts: who it is, what it may do, whether Socket Mode will let it in.

Rule: each failure is one line that names the setting and the remedy. Socket Mode itself would try again for ever.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import StartupError
from bot.slack.errors import CallFailed, error_code
from bot.slack.identity import BotIdentity

# https://docs.slack.dev/reference/methods/auth.test and .../apps.connections.open: the errors about the token itself
_BAD_TOKEN = frozenset(
    {"account_inactive", "invalid_auth", "not_allowed_token_type", "not_authed", "token_expired", "token_revoked"}
)


async def identify(client: AsyncWebClient) -> BotIdentity:
    """Who the bot is. Raises StartupError when the token is refused, or Slack is not reached."""
    try:
        answer = await client.auth_test()
    except CallFailed as error:
        raise StartupError(_refused_bot_token(error_code(error), client.base_url)) from None
    granted = answer.headers.get("x-oauth-scopes", "").split(",")
    return BotIdentity(
        team_id=answer["team_id"],
        team_name=answer.get("team") or "",
        team_url=answer.get("url") or "",
        user_id=answer["user_id"],
        bot_id=answer.get("bot_id") or "",
        name=answer.get("user") or "",
        scopes=frozenset(scope.strip() for scope in granted if scope.strip()),
    )


def check_scopes(bot: BotIdentity, needed: AbstractSet[str]) -> None:
    """Raises StartupError when the token lacks scopes, as far as Slack said which it has."""
    missing = ", ".join(sorted(needed - bot.scopes))
    if bot.scopes and missing:
        raise StartupError(
            f"SLACK_BOT_TOKEN lacks the scopes {missing}. Add them on the app's OAuth & Permissions page "
            "(manifest.yml has them all), then reinstall the app."
        )


async def check_socket(client: AsyncWebClient, app_token: str) -> None:
    """Ask once for a Socket Mode connection, which is not used. Raises StartupError when Slack gives none."""
    try:
        await client.apps_connections_open(app_token=app_token)
    except CallFailed as error:
        raise StartupError(_refused_app_token(error_code(error), client.base_url)) from None


def _refused_bot_token(code: str, api_url: str) -> str:
    if code in _BAD_TOKEN:
        return (
            f"SLACK_BOT_TOKEN was refused by Slack ({code}). "
            "Copy the Bot User OAuth Token from your app's Install App page."
        )
    return _not_reached(code, api_url)


def _refused_app_token(code: str, api_url: str) -> str:
    if code == "missing_scope":
        return (
            "SLACK_APP_TOKEN lacks the scope connections:write. "
            "Create an app-level token that has it, on the app's Basic Information page."
        )
    if code in _BAD_TOKEN:
        return (
            f"SLACK_APP_TOKEN was refused by Slack ({code}). "
            "Create an app-level token with connections:write on the app's Basic Information page."
        )
    return _not_reached(code, api_url)


def _not_reached(code: str, api_url: str) -> str:
    return f"SLACK_API_URL {api_url} gave no usable answer ({code}). Check the address, the network and any proxy."
