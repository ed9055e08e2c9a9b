"""The gatekeeper: every use of the bot in Slack passes it."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from bot.access.access_rules import AccessRules, Entrance, Refusal, Standing
from bot.metrics import REFUSALS

log = logging.getLogger(__name__)


class People(Protocol):
    """What a platform knows of people. None: not known at the moment."""

    async def standing(self, user_id: str) -> Standing | None:
        """Return what the person is in the workspace."""

    async def groups_of(self, user_id: str, groups: frozenset[str]) -> frozenset[str] | None:
        """Return those of the user groups that the person belongs to."""


class Gatekeeper:
    """Admits people by the rules."""

    def __init__(self, rules: AccessRules, people: People) -> None:
        self._rules = rules
        self._people = people

    async def refusal(self, entrance: Entrance) -> Refusal | None:
        """Return why the person is not admitted there; None if they are."""
        needs_standing, groups = self._rules.needs_standing(entrance), self._rules.groups
        standing, member_of = await asyncio.gather(
            self._people.standing(entrance.user) if needs_standing else _nothing(),
            self._people.groups_of(entrance.user, groups) if groups else _nothing(),
        )
        refusal = self._rules.refusal(entrance, standing, member_of)
        if refusal is not None:
            REFUSALS.labels(refusal.value).inc()
            log.info("access_refused", extra={"reason": refusal.value, "channel": entrance.channel or None})
        return refusal


async def _nothing() -> None:
    return None
