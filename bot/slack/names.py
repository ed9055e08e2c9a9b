"""What people are called in Slack, remembered for a while.

Rule: best effort. A name that cannot be had in time is left out, and nothing here raises.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial

from bot.slack.failures import CallError
from bot.slack.messages import Slack

log = logging.getLogger(__name__)

_KEPT = 10_000  # names, the ones used last
_KEPT_FOR = timedelta(hours=1)
_FAILURE_KEPT_FOR = timedelta(minutes=1)
_NEVER_ALLOWED = frozenset({"missing_scope", "not_allowed_token_type", "unknown_method"})
_AT_ONCE = 8  # calls of users.info, which is allowed about 100 times a minute
_LONGEST_NAME = 80


class Names:
    """Display names by user id, from users.info (https://docs.slack.dev/reference/methods/users.info)."""

    def __init__(self, slack: Slack, clock: Callable[[], datetime], wait_s: float = 2.0) -> None:
        """A look-up takes no longer than `wait_s` seconds; what comes later serves the next one."""
        self._slack = slack
        self._clock = clock
        self._wait_s = wait_s
        self._known: OrderedDict[str, tuple[str, datetime]] = OrderedDict()  # name ("" for none), until when
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._allowed = True

    async def look_up(self, user_ids: Iterable[str]) -> Mapping[str, str]:
        """The names of these people, as far as they are known or can be had in time."""
        wanted = set(user_ids)
        missing = [user_id for user_id in wanted if self._remembered(user_id) is None]
        if missing and self._allowed:
            await asyncio.wait([self._ask(user_id) for user_id in missing], timeout=self._wait_s)
        return {user_id: name for user_id in wanted if (name := self._remembered(user_id))}

    def _remembered(self, user_id: str) -> str | None:
        name, until = self._known.get(user_id, (None, None))
        if until is None or until < self._clock():
            return None
        self._known.move_to_end(user_id)
        return name

    def _ask(self, user_id: str) -> asyncio.Task[None]:
        if user_id not in self._asking:
            self._asking[user_id] = asyncio.create_task(self._find_out(user_id))
        return self._asking[user_id]

    async def _find_out(self, user_id: str) -> None:
        try:
            async with self._slots:
                ask = partial(self._slack.client.users_info, user=user_id)
                answer = await self._slack.limiter.call("users.info", ask, wait_s=self._wait_s)
            self._remember(user_id, _name(answer.get("user")), _KEPT_FOR)
        except CallError as failure:
            self._note_failure(user_id, failure.code)
        finally:
            del self._asking[user_id]

    def _note_failure(self, user_id: str, code: str) -> None:
        self._remember(user_id, "", _FAILURE_KEPT_FOR)
        if code in _NEVER_ALLOWED and self._allowed:
            self._allowed = False
            log.warning("people are not told apart by name: users.info was refused (%s)", code)

    def _remember(self, user_id: str, name: str, kept_for: timedelta) -> None:
        self._known[user_id] = name, self._clock() + kept_for
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
