"""What Slack knows of people, for the gatekeeper. Implements gatekeeper.People."""

from __future__ import annotations

import asyncio

from bot.access.access_rules import Standing
from bot.slack.outbound.user_directory import UserDirectory
from bot.slack.outbound.user_groups import UserGroups


class SlackPeople:
    """The people of one workspace, and of the channels that are shared with it."""

    def __init__(self, directory: UserDirectory, groups: UserGroups) -> None:
        self._directory = directory
        self._groups = groups

    async def standing(self, user_id: str) -> Standing | None:
        """Return what the person is in the workspace; None when it is not known."""
        return await self._directory.standing(user_id)

    async def groups_of(self, user_id: str, groups: frozenset[str]) -> frozenset[str] | None:
        """Return those of the user groups that the person belongs to; None when one is not known."""
        listed = sorted(groups)
        found = await asyncio.gather(*map(self._groups.members, listed))
        members = {group: known for group, known in zip(listed, found, strict=True) if known is not None}
        if len(members) < len(listed):
            return None
        return frozenset(group for group, known in members.items() if user_id in known)
