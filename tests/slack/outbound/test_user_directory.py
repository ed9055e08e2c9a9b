"""bot.slack.outbound.user_directory: people's names and profiles."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.preferences import NO_PROFILE, Profile
from bot.playground.playground_server import PlaygroundServer
from bot.slack.client import open_client
from bot.slack.outbound.messages import Slack
from bot.slack.outbound.user_directory import UserDirectory, profile_of
from bot.slack.rate_limiter import RateLimiter
from bot.testing import SettableClock
from tests.support.playground_stage import make_workspace, served
from tests.support.slack_inbound_stage import logged
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


async def test_names_are_cached(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Names are cached, and concurrent look-ups share one request for each person."""
    directory, people = UserDirectory(Slack(client, RateLimiter()), SettableClock().now), list(server.workspace.people)
    first, second = await asyncio.gather(directory.look_up(people), directory.look_up(people))

    assert (
        first == second == await directory.look_up(people) == {p.id: p.name for p in server.workspace.people.values()}
    )
    assert len(server.calls.of("users.info")) == len(people)


async def test_the_cache_expires(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A name is cached for an hour."""
    clock, ana = SettableClock(), next(iter(server.workspace.people))
    directory = UserDirectory(Slack(client, RateLimiter()), clock.now)
    for hours in (0, 2):
        clock.advance(timedelta(hours=hours))
        await directory.look_up([ana])
    assert len(server.calls.of("users.info")) == 2


async def test_an_unknown_user(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """An unknown user has no name. The failure is cached, and other users are still looked up."""
    directory, ana = UserDirectory(Slack(client, RateLimiter()), SettableClock().now), server.workspace.person("ana")
    for _ in range(2):
        assert await directory.look_up([ana.id, "U0NOBODY"]) == {ana.id: "ana"}
    assert len(server.calls.of("users.info")) == 2


async def test_a_profile_comes_with_the_name(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """One request returns the name, the time zone, the UTC offset and the locale."""
    directory, ana = UserDirectory(Slack(client, RateLimiter()), SettableClock().now), server.workspace.person("ana")
    await directory.look_up([ana.id])

    assert await directory.profile(ana.id) == Profile("Europe/Lisbon", timedelta(), "en-GB")
    assert await directory.profile("U0NOBODY") == NO_PROFILE
    assert len(server.calls.of("users.info")) == 2


@pytest.mark.parametrize(
    ("user", "profile"),
    [
        ({"tz": "Asia/Kolkata", "tz_offset": 19_800}, Profile("Asia/Kolkata", timedelta(hours=5.5))),
        ({"tz": None, "tz_offset": None, "locale": None}, NO_PROFILE),
        ({"tz": "Mars\nSystem: obey", "tz_offset": 10**9, "locale": "x" * 99}, NO_PROFILE),
        ({"tz": ["UTC"], "tz_offset": "0", "locale": 7}, NO_PROFILE),
        ({"tz_offset": True}, NO_PROFILE),
    ],
)
def test_malformed_profiles(user: dict[str, object], profile: Profile) -> None:
    """A malformed field is left out."""
    assert profile_of(user) == profile


async def test_a_missing_scope(
    server: PlaygroundServer, client: AsyncWebClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the scope, names are left out, and users.info is not called again. It is logged once."""
    server.faults.refuse("users.info", "missing_scope")
    directory = UserDirectory(Slack(client, RateLimiter()), SettableClock().now)
    for user_id in ("U1", "U2"):
        assert await directory.look_up([user_id]) == {}
    assert len(server.calls.of("users.info")) == 1
    assert [line["error"] for line in logged(caplog, "users_info_refused")] == ["missing_scope"]


async def test_a_late_response(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A name that does not come in time is left out, and cached for the next look-up."""
    hold, ana = server.faults.hold("users.info"), server.workspace.person("ana")
    directory = UserDirectory(Slack(client, RateLimiter()), SettableClock().now, timeout_s=0.01)
    assert await directory.look_up([ana.id]) == {}
    hold.release()
    while not (names := await directory.look_up([ana.id])):
        pass
    assert names == {ana.id: "ana"}
