"""The members of user groups, from usergroups.users.list, with a cache.

Rule: nothing here raises. Members that Slack does not tell at the moment are those of the last response, for an hour.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from bot.slack.errors import CallError
from bot.slack.outbound.messages import Slack

log = logging.getLogger(__name__)

_TTL = timedelta(minutes=5)
_STALE = timedelta(hours=1)
_PAUSE = timedelta(seconds=30)  # after a failure
_WAIT_S = 1.5  # Slack waits three seconds for the acknowledgement


class UserGroups:
    """User groups by id: https://docs.slack.dev/reference/methods/usergroups.users.list."""

    def __init__(self, slack: Slack, clock: Callable[[], datetime]) -> None:
        self._slack = slack
        self._clock = clock
        self._members: dict[str, tuple[frozenset[str], datetime]] = {}  # with the time of the response
        self._asked_at: dict[str, datetime] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def members(self, group: str) -> frozenset[str] | None:
        """Return the ids of the group's members; None when they are not known."""
        async with self._locks.setdefault(group, asyncio.Lock()):  # of many that ask at once, one calls Slack
            if self._is_due(group):
                await self._fetch(group)
        found = self._members.get(group)
        return found[0] if found is not None and self._clock() - found[1] < _STALE else None

    def _is_due(self, group: str) -> bool:
        now, found = self._clock(), self._members.get(group)
        if found is not None and now - found[1] < _TTL:
            return False
        return group not in self._asked_at or now - self._asked_at[group] >= _PAUSE

    async def _fetch(self, group: str) -> None:
        self._asked_at[group] = self._clock()
        send = partial(self._slack.client.usergroups_users_list, usergroup=group)
        try:
            async with asyncio.timeout(_WAIT_S):
                response = await self._slack.limiter.call("usergroups.users.list", send, wait_s=_WAIT_S)
        except (CallError, TimeoutError) as failure:
            error = failure.code if isinstance(failure, CallError) else "timeout"
            log.warning("user_group_not_read", extra={"group": group, "error": error})
            return
        users = response.get("users")
        members = frozenset(user for user in users if isinstance(user, str)) if isinstance(users, list) else frozenset()
        self._members[group] = members, self._clock()
