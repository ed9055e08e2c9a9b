"""What a chat platform must be able to do. The smallest implementation is bot/terminal.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bot.events import Author, Thread


@dataclass(frozen=True, slots=True)
class Asked:
    """Where an answer belongs, and whom it is for: the author of the newest message of the turn."""

    thread: Thread
    author: Author
    message_id: str


Posted = Callable[[str], Awaitable[None]]
"""Called once, with the platform's id of the answer's message, as soon as there is one."""


class Adapter(Protocol):
    """A chat platform, as the work layer sees it."""

    platform: str

    async def reply(self, asked: Asked, deltas: AsyncIterator[str], posted: Posted) -> None:
        """Show that the bot works, then the answer as it grows; all of it stands there when this returns.

        `deltas` are pieces of Markdown from the model, so untrusted; the iterator never raises. Whatever the
        platform's limits, the whole text arrives, and nothing in it may ping anybody or unfurl.
        Raises PlatformError when the platform refuses, in which case trying again does not help.
        """

    async def names(self, workspace: str, user_ids: Iterable[str]) -> Mapping[str, str]:
        """The display names of these people, as far as they can be known. Best effort: it never raises."""
