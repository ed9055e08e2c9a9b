"""The names, time zones and locales of people, from users.info, with a cache.

Rule: best effort. A profile that does not come in time is left out, and nothing here raises.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from bot.access.access_rules import Standing
from bot.domain.preferences import NO_PROFILE, Profile
from bot.slack.errors import CallError
from bot.slack.outbound.messages import Slack

log = logging.getLogger(__name__)

_CACHE_SIZE = 10_000  # people; the least recently used leave first
_TTL = timedelta(hours=1)
_FAILURE_TTL = timedelta(minutes=1)
_PERMANENT_ERRORS = frozenset({"missing_scope", "not_allowed_token_type", "unknown_method"})
_MAX_CONCURRENT = 8  # users.info is Tier 4: about 100 calls a minute
_MAX_NAME = 80
_MAX_UTC_OFFSET = timedelta(hours=15)
_TIME_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,60}")
_LOCALE = re.compile(r"[A-Za-z0-9_-]{2,35}")


@dataclass(frozen=True, slots=True)
class _User:
    """A person's name, which may be empty, and profile."""

    name: str = ""
    profile: Profile = NO_PROFILE
    standing: Standing | None = None


class UserDirectory:
    """People by user id: https://docs.slack.dev/reference/methods/users.info."""

    def __init__(
        self, slack: Slack, clock: Callable[[], datetime], timeout_s: float = 2.0, *, team_id: str = ""
    ) -> None:
        """`team_id` is the bot's own team. A look-up takes at most `timeout_s` seconds.

        A later response fills the cache for the next one.
        """
        self._slack = slack
        self._team_id = team_id
        self._clock = clock
        self._timeout_s = timeout_s
        self._cache: OrderedDict[str, tuple[_User, datetime]] = OrderedDict()  # with the time of expiry
        self._requests: dict[str, asyncio.Task[None]] = {}
        self._semaphore = asyncio.Semaphore(_MAX_CONCURRENT)
        self._is_allowed = True

    async def look_up(self, user_ids: Iterable[str]) -> Mapping[str, str]:
        """Return the names that are cached or come in time."""
        return {user_id: user.name for user_id, user in (await self._users(user_ids)).items() if user.name}

    async def profile(self, user_id: str) -> Profile:
        """Return the person's time zone and locale if they are cached or come in time."""
        return (await self._users([user_id])).get(user_id, _User()).profile

    async def standing(self, user_id: str) -> Standing | None:
        """Return what the person is in the workspace, if it is cached or comes in time."""
        return (await self._users([user_id])).get(user_id, _User()).standing

    async def _users(self, user_ids: Iterable[str]) -> Mapping[str, _User]:
        wanted = set(user_ids)
        missing = [user_id for user_id in wanted if self._cached(user_id) is None]
        if missing and self._is_allowed:
            await asyncio.wait([self._request(user_id) for user_id in missing], timeout=self._timeout_s)
        return {user_id: user for user_id in wanted if (user := self._cached(user_id))}

    def _cached(self, user_id: str) -> _User | None:
        user, expires_at = self._cache.get(user_id, (None, None))
        if expires_at is None or expires_at < self._clock():
            return None
        self._cache.move_to_end(user_id)
        return user

    def _request(self, user_id: str) -> asyncio.Task[None]:
        if user_id not in self._requests:
            self._requests[user_id] = asyncio.create_task(self._fetch(user_id))
        return self._requests[user_id]

    async def _fetch(self, user_id: str) -> None:
        try:
            async with self._semaphore:
                found = await (self._workflow(user_id) if user_id.startswith("B") else self._person(user_id))
            self._store(user_id, found, _TTL)
        except CallError as failure:
            self._store(user_id, _User(), _FAILURE_TTL)
            self._note_refusal(failure.code)
        finally:
            del self._requests[user_id]

    async def _person(self, user_id: str) -> _User:
        send = partial(self._slack.client.users_info, user=user_id, include_locale=True)
        response = await self._slack.limiter.call("users.info", send, wait_s=self._timeout_s)
        user = response.get("user")
        return _User(_name_of(user, self._team_id), profile_of(user), _standing_of(user, self._team_id))

    async def _workflow(self, bot_id: str) -> _User:
        """Return a workflow, which posts as a bot without a user: https://docs.slack.dev/reference/methods/bots.info."""
        send = partial(self._slack.client.bots_info, bot=bot_id)
        response = await self._slack.limiter.call("bots.info", send, wait_s=self._timeout_s)
        return _User(_bare_name(response.get("bot")))

    def _note_refusal(self, code: str) -> None:
        if code in _PERMANENT_ERRORS and self._is_allowed:
            self._is_allowed = False
            log.warning("users_info_refused", extra={"error": code})

    def _store(self, user_id: str, user: _User, ttl: timedelta) -> None:
        self._cache[user_id] = user, self._clock() + ttl
        self._cache.move_to_end(user_id)
        if len(self._cache) > _CACHE_SIZE:
            self._cache.popitem(last=False)


def _name_of(user: object, team_id: str) -> str:
    """Return the display name, else the real name, in one line, with a mark for guests and other organisations."""
    name, standing = _bare_name(user), _standing_of(user, team_id)
    fields = user if isinstance(user, dict) else {}
    is_bot = fields.get("is_bot") is True or fields.get("is_workflow_bot") is True
    of_person = " (from another organisation)" if standing.is_external else " (a guest)" if standing.is_guest else ""
    mark = "" if is_bot else of_person
    return f"{name[: _MAX_NAME - len(mark)].rstrip()}{mark}" if name else ""


def _standing_of(user: object, team_id: str) -> Standing:
    """Return what a person is: https://docs.slack.dev/reference/objects/user-object."""
    fields = user if isinstance(user, dict) else {}
    is_stranger = fields.get("is_stranger") is True or bool(team_id and fields.get("team_id", team_id) != team_id)
    return Standing(
        is_guest=fields.get("is_restricted") is True or fields.get("is_ultra_restricted") is True,
        is_external=is_stranger and not isinstance(fields.get("enterprise_user"), dict),  # a Grid has several teams
        is_deactivated=fields.get("deleted") is True,
    )


def _bare_name(user: object) -> str:
    match user:
        case {"profile": {"display_name": str(name)}} if name.strip():
            pass
        case {"profile": {"real_name": str(name)}} | {"real_name": str(name)} | {"name": str(name)}:
            pass
        case _:
            name = ""
    return " ".join(name.split())[:_MAX_NAME]


def profile_of(user: object) -> Profile:
    """Return the time zone and locale of a user object. Slack's `tz_offset` is in seconds, with summer time."""
    fields = user if isinstance(user, dict) else {}
    return Profile(
        _matching(_TIME_ZONE, fields.get("tz")), _utc_offset(fields), _matching(_LOCALE, fields.get("locale"))
    )


def _utc_offset(fields: dict[str, object]) -> timedelta | None:
    seconds = fields.get("tz_offset")
    if type(seconds) is int and abs(seconds) < _MAX_UTC_OFFSET.total_seconds():
        return timedelta(seconds=seconds)
    return None


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""
