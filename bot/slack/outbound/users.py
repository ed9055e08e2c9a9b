"""What people are called in Slack, and what their profiles tell besides, remembered for a while.

Rule: best effort. What cannot be had in time is left out, and nothing here raises.
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

from bot.domain.preferences import NO_PROFILE, Profile
from bot.slack.errors import CallError
from bot.slack.outbound.messages import Slack

log = logging.getLogger(__name__)

_KEPT = 10_000  # people, the ones asked for last
_KEPT_FOR = timedelta(hours=1)
_FAILURE_KEPT_FOR = timedelta(minutes=1)
_NEVER_ALLOWED = frozenset({"missing_scope", "not_allowed_token_type", "unknown_method"})
_AT_ONCE = 8  # calls of users.info, which is allowed about 100 times a minute
_LONGEST_NAME = 80
_FURTHEST = timedelta(hours=15)  # that a clock anywhere is from UTC
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,60}")
_LOCALE = re.compile(r"[A-Za-z0-9_-]{2,35}")


@dataclass(frozen=True, slots=True)
class _Person:
    """What is known of somebody; the name is empty where there is none."""

    name: str = ""
    profile: Profile = NO_PROFILE


class UserDirectory:
    """People by user id, from users.info (https://docs.slack.dev/reference/methods/users.info)."""

    def __init__(self, slack: Slack, clock: Callable[[], datetime], wait_s: float = 2.0) -> None:
        """A look-up takes no longer than `wait_s` seconds; what comes later serves the next one."""
        self._slack = slack
        self._clock = clock
        self._wait_s = wait_s
        self._known: OrderedDict[str, tuple[_Person, datetime]] = OrderedDict()  # until when it is taken as known
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._allowed = True

    async def look_up(self, user_ids: Iterable[str]) -> Mapping[str, str]:
        """The names of these people, as far as they are known or can be had in time."""
        return {user_id: person.name for user_id, person in (await self._people(user_ids)).items() if person.name}

    async def profile(self, user_id: str) -> Profile:
        """This person's time zone and locale, as far as they are known or can be had in time."""
        return (await self._people([user_id])).get(user_id, _Person()).profile

    async def _people(self, user_ids: Iterable[str]) -> Mapping[str, _Person]:
        wanted = set(user_ids)
        missing = [user_id for user_id in wanted if self._remembered(user_id) is None]
        if missing and self._allowed:
            await asyncio.wait([self._ask(user_id) for user_id in missing], timeout=self._wait_s)
        return {user_id: person for user_id in wanted if (person := self._remembered(user_id))}

    def _remembered(self, user_id: str) -> _Person | None:
        person, until = self._known.get(user_id, (None, None))
        if until is None or until < self._clock():
            return None
        self._known.move_to_end(user_id)
        return person

    def _ask(self, user_id: str) -> asyncio.Task[None]:
        if user_id not in self._asking:
            self._asking[user_id] = asyncio.create_task(self._find_out(user_id))
        return self._asking[user_id]

    async def _find_out(self, user_id: str) -> None:
        try:
            async with self._slots:
                ask = partial(self._slack.client.users_info, user=user_id, include_locale=True)
                answer = await self._slack.limiter.call("users.info", ask, wait_s=self._wait_s)
            user = answer.get("user")
            self._remember(user_id, _Person(_name(user), profile_in(user)), _KEPT_FOR)
        except CallError as failure:
            self._note_failure(user_id, failure.code)
        finally:
            del self._asking[user_id]

    def _note_failure(self, user_id: str, code: str) -> None:
        self._remember(user_id, _Person(), _FAILURE_KEPT_FOR)
        if code in _NEVER_ALLOWED and self._allowed:
            self._allowed = False
            log.warning("people are not told apart by name: users.info was refused (%s)", code)

    def _remember(self, user_id: str, person: _Person, kept_for: timedelta) -> None:
        self._known[user_id] = person, self._clock() + kept_for
        self._known.move_to_end(user_id)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)


def _name(user: object) -> str:
    """A person's display name, else the real one; one line, as it will stand before what they wrote."""
    match user:
        case {"profile": {"display_name": str(name)}} if name.strip():
            pass
        case {"profile": {"real_name": str(name)}} | {"real_name": str(name)} | {"name": str(name)}:
            pass
        case _:
            name = ""
    return " ".join(name.split())[:_LONGEST_NAME]


def profile_in(user: object) -> Profile:
    """What a user object tells besides the name: tz, tz_offset in seconds (now, summer time included), locale."""
    told = user if isinstance(user, dict) else {}
    zone, seconds, locale = told.get("tz"), told.get("tz_offset"), told.get("locale")
    offset = timedelta(seconds=seconds) if type(seconds) is int and abs(seconds) < _FURTHEST.total_seconds() else None
    return Profile(_matching(_ZONE, zone), offset, _matching(_LOCALE, locale))


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""
