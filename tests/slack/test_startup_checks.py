"""bot.slack.startup_checks: the checks of the tokens before the bot starts."""

import dataclasses
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient

from bot.config.settings import Settings
from bot.errors import StartupError
from bot.playground.playground_server import PlaygroundServer
from bot.slack.client import open_client
from bot.slack.startup_checks import check_scopes, check_socket_mode, identify
from tests.support.playground_stage import make_workspace, served
from tests.support.slack_stage import settings_of


@pytest.fixture
async def server() -> AsyncIterator[PlaygroundServer]:
    """A playground server."""
    async with served(make_workspace()) as running:
        yield running


@pytest.fixture
async def client(server: PlaygroundServer) -> AsyncIterator[AsyncWebClient]:
    """The bot's client of that server."""
    async with open_client(settings_of(server)) as opened:
        yield opened


async def test_the_identity(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """auth.test returns the ids of the bot, its name and the granted scopes."""
    bot, app = await identify(client), server.workspace.app

    assert (bot.team_id, bot.user_id, bot.bot_id) == (server.workspace.team.id, app.user_id, app.bot_id)
    assert (bot.name, bot.scopes) == ("attendant", app.scopes)


@pytest.mark.parametrize("error", ["invalid_auth", "account_inactive", "token_revoked"])
async def test_a_refused_bot_token(server: PlaygroundServer, client: AsyncWebClient, error: str) -> None:
    """The error is one line with the setting, Slack's code and the remedy. It does not show the token."""
    server.faults.refuse("auth.test", error)
    with pytest.raises(
        StartupError, match=rf"^SLACK_BOT_TOKEN was refused by Slack \({error}\)\. Copy .*page\.$"
    ) as failed:
        await identify(client)
    assert str(client.token) not in str(failed.value)


async def test_an_org_wide_installation_is_refused(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Its token serves many workspaces, and the bot one. The error is one line with the remedy."""
    server.workspace.app = dataclasses.replace(server.workspace.app, is_org_wide=True)
    with pytest.raises(StartupError, match=r"^SLACK_BOT_TOKEN belongs to an org-wide installation.*Token\.$"):
        await identify(client)


async def test_slack_is_not_reached() -> None:
    """The error is one line that names the setting."""
    settings = Settings(slack_bot_token=SecretStr("xoxb-1"), slack_api_url="http://127.0.0.1:9/api/")
    async with open_client(settings) as nowhere:
        with pytest.raises(StartupError, match=r"^SLACK_API_URL http://127\.0\.0\.1:9/api/ gave no usable answer"):
            await identify(nowhere)


async def test_missing_scopes(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """The error names the missing scopes and the remedy."""
    needed = server.workspace.app.scopes
    server.workspace.app = dataclasses.replace(server.workspace.app, scopes=needed - {"users:read", "chat:write"})
    with pytest.raises(StartupError, match=r"lacks the scopes chat:write, users:read\. .* reinstall the app\.$"):
        check_scopes(await identify(client), needed)


async def test_unreported_scopes(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """If Slack reports no scopes, the check passes."""
    needed = server.workspace.app.scopes
    server.workspace.app = dataclasses.replace(server.workspace.app, scopes=frozenset())
    bot = await identify(client)
    check_scopes(bot, needed)
    assert bot.scopes == frozenset()


async def test_all_scopes_are_there(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """The check passes if every scope is granted."""
    check_scopes(await identify(client), server.workspace.app.scopes)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("invalid_auth", r"SLACK_APP_TOKEN was refused by Slack \(invalid_auth\)"),
        ("missing_scope", r"SLACK_APP_TOKEN lacks the scope connections:write"),
        ("internal_error", r"gave no usable answer \(internal_error\)"),
    ],
)
async def test_a_refused_app_token(server: PlaygroundServer, client: AsyncWebClient, error: str, message: str) -> None:
    """The error is one line with the remedy."""
    server.faults.refuse("apps.connections.open", error)
    with pytest.raises(StartupError, match=message):
        await check_socket_mode(client, server.workspace.app.app_token)


async def test_a_good_app_token(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """The check passes if Slack opens a connection for the token."""
    await check_socket_mode(client, server.workspace.app.app_token)
