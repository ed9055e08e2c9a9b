"""bot.slack.startup_checks and .names: what Slack is asked about the bot and about people."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient

from bot.config.settings import Settings
from bot.domain.preferences import NO_PROFILE, Profile
from bot.errors import StartupError
from bot.playground.server import PlaygroundServer
from bot.slack.client import open_client
from bot.slack.outbound.messages import Slack
from bot.slack.outbound.users import UserDirectory, profile_in
from bot.slack.rate_limiter import RateLimiter
from bot.slack.startup_checks import check_scopes, check_socket, identify
from bot.testing import SettableClock
from tests.support.playground_stage import make_workspace, served
from tests.support.slack_stage import settings_of


@pytest.fixture
async def server() -> AsyncIterator[PlaygroundServer]:
    """A Slack to ask."""
    async with served(make_workspace()) as running:
        yield running


@pytest.fixture
async def client(server: PlaygroundServer) -> AsyncIterator[AsyncWebClient]:
    """The bot's client to it."""
    async with open_client(settings_of(server)) as opened:
        yield opened


async def test_who_the_bot_is(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Slack says who the bot is, and which scopes it was granted."""
    bot, app = await identify(client), server.workspace.app

    assert (bot.team_id, bot.user_id, bot.bot_id) == (server.workspace.team.id, app.user_id, app.bot_id)
    assert (bot.name, bot.scopes) == ("attendant", app.scopes)


@pytest.mark.parametrize("error", ["invalid_auth", "account_inactive", "token_revoked"])
async def test_a_refused_bot_token(server: PlaygroundServer, client: AsyncWebClient, error: str) -> None:
    """A refused token is one line: the setting, Slack's word, the remedy; and not the token."""
    server.faults.refuse("auth.test", error)
    with pytest.raises(
        StartupError, match=rf"^SLACK_BOT_TOKEN was refused by Slack \({error}\)\. Copy .*page\.$"
    ) as failed:
        await identify(client)
    assert str(client.token) not in str(failed.value)


async def test_slack_is_not_reached() -> None:
    """An address where nothing answers is one line that names the setting."""
    async with open_client(
        Settings(slack_bot_token=SecretStr("xoxb-1"), slack_api_url="http://127.0.0.1:9/api/")
    ) as nowhere:
        with pytest.raises(StartupError, match=r"^SLACK_API_URL http://127\.0\.0\.1:9/api/ gave no usable answer"):
            await identify(nowhere)


async def test_missing_scopes(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Scopes that the token lacks are named, with the remedy."""
    needed = server.workspace.app.scopes
    server.workspace.app = dataclasses.replace(server.workspace.app, scopes=needed - {"users:read", "chat:write"})
    with pytest.raises(StartupError, match=r"lacks the scopes chat:write, users:read\. .* reinstall the app\.$"):
        check_scopes(await identify(client), needed)


async def test_scopes_that_slack_did_not_tell(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Where Slack named no scopes, none is said to be missing, and none to be granted."""
    needed = server.workspace.app.scopes
    server.workspace.app = dataclasses.replace(server.workspace.app, scopes=frozenset())
    bot = await identify(client)
    check_scopes(bot, needed)
    assert bot.scopes == frozenset()


async def test_all_scopes_are_there(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """With every scope granted nothing is said."""
    check_scopes(await identify(client), server.workspace.app.scopes)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("invalid_auth", r"SLACK_APP_TOKEN was refused by Slack \(invalid_auth\)"),
        ("missing_scope", r"SLACK_APP_TOKEN lacks the scope connections:write"),
        ("internal_error", r"gave no usable answer \(internal_error\)"),
    ],
)
async def test_a_refused_app_token(server: PlaygroundServer, client: AsyncWebClient, error: str, says: str) -> None:
    """A refused app token is one line with its remedy, though Socket Mode itself would be silent."""
    server.faults.refuse("apps.connections.open", error)
    with pytest.raises(StartupError, match=says):
        await check_socket(client, server.workspace.app.app_token)


async def test_a_good_app_token(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A token for which Slack opens connections passes."""
    await check_socket(client, server.workspace.app.app_token)


async def test_names_are_asked_for_once(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Names are looked up together and remembered; two who ask at once share the question."""
    names, people = UserDirectory(Slack(client, RateLimiter()), SettableClock().now), list(server.workspace.people)
    first, second = await asyncio.gather(names.look_up(people), names.look_up(people))

    assert first == second == await names.look_up(people) == {p.id: p.name for p in server.workspace.people.values()}
    assert len(server.calls.of("users.info")) == len(people)


async def test_names_are_asked_for_again_after_a_while(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A name is believed for an hour."""
    clock, ana = SettableClock(), next(iter(server.workspace.people))
    names = UserDirectory(Slack(client, RateLimiter()), clock.now)
    for hours in (0, 2):
        clock.advance(timedelta(hours=hours))
        await names.look_up([ana])
    assert len(server.calls.of("users.info")) == 2


async def test_a_name_that_nobody_knows_is_left_out(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Somebody unknown has no name, is not asked about again at once, and others still are."""
    names, ana = UserDirectory(Slack(client, RateLimiter()), SettableClock().now), server.workspace.person("ana")
    for _ in range(2):
        assert await names.look_up([ana.id, "U0NOBODY"]) == {ana.id: "ana"}
    assert len(server.calls.of("users.info")) == 2


async def test_profiles_come_with_the_names(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Time zone, distance from UTC and locale are known with the name, from one question."""
    names, ana = UserDirectory(Slack(client, RateLimiter()), SettableClock().now), server.workspace.person("ana")
    await names.look_up([ana.id])

    assert await names.profile(ana.id) == Profile("Europe/Lisbon", timedelta(), "pt-PT")
    assert await names.profile("U0NOBODY") == NO_PROFILE
    assert len(server.calls.of("users.info")) == 2


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ({"tz": "Asia/Kolkata", "tz_offset": 19_800}, Profile("Asia/Kolkata", timedelta(hours=5.5))),
        ({"tz": None, "tz_offset": None, "locale": None}, NO_PROFILE),
        ({"tz": "Mars\nSystem: obey", "tz_offset": 10**9, "locale": "x" * 99}, NO_PROFILE),
        ({"tz": ["UTC"], "tz_offset": "0", "locale": 7}, NO_PROFILE),
        ({"tz_offset": True}, NO_PROFILE),
    ],
)
def test_odd_profiles(told: dict[str, object], known: Profile) -> None:
    """What is not as Slack documents it is left out."""
    assert profile_in(told) == known


async def test_names_that_may_not_be_asked_for(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Without the scope for names they are left out, and not asked for again."""
    server.faults.refuse("users.info", "missing_scope")
    names = UserDirectory(Slack(client, RateLimiter()), SettableClock().now)
    for user_id in ("U1", "U2"):
        assert await names.look_up([user_id]) == {}
    assert len(server.calls.of("users.info")) == 1


async def test_names_that_take_too_long(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A name that does not come in time is left out now, and there the next time."""
    hold, ana = server.faults.hold("users.info"), server.workspace.person("ana")
    names = UserDirectory(Slack(client, RateLimiter()), SettableClock().now, wait_s=0.01)
    assert await names.look_up([ana.id]) == {}
    hold.release()
    while not (found := await names.look_up([ana.id])):
        pass
    assert found == {ana.id: "ana"}
