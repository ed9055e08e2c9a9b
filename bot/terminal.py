"""The smallest adapter: talk to the bot in a terminal. Read it before writing another.

Rule: it shows text as it comes; a terminal pings nobody and has no limits to keep.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

from bot.adapter import Asked, Ledger
from bot.background import NO_BACKGROUND, Background
from bot.events import (
    Author,
    Command,
    Event,
    MessageReceived,
    ResetRequested,
    StatusRequested,
    StopRequested,
    Thread,
    read_command,
)
from bot.inbox import Inbox
from bot.preferences import NO_PROFILE, Profile

PLATFORM = "terminal"
YOU = Author(id="you", workspace="local")


class Terminal:
    """One person, one thread, standard input and output."""

    platform = PLATFORM

    def __init__(self, write: Callable[[str], object], workspace: str) -> None:
        """`write` takes a piece of text and shows it at once. Each terminal is a workspace of its own."""
        self.workspace = workspace
        self._write = write
        self._answered = asyncio.Event()

    async def reply(self, asked: Asked, deltas: AsyncIterator[str], ledger: Ledger) -> None:
        """Write the answer as it grows."""
        await ledger.posted(asked.message_id)
        async for delta in deltas:
            self._write(_printable(delta))
        self._write("\n\n")
        self._answered.set()

    async def show_waiting(self, asked: Asked) -> None:
        """Nobody else is here to wait for."""

    async def end_waiting(self, asked: Asked) -> None:
        """Nobody was told to wait."""

    async def names(self, workspace: str, user_ids: Iterable[str]) -> Mapping[str, str]:
        """Nobody but you is here."""
        del workspace, user_ids
        return {}

    async def earlier(self, thread: Thread, before: str) -> Background:
        """You called the bot; nobody spoke before."""
        del thread, before
        return NO_BACKGROUND

    async def notify(self, thread: Thread, text: str) -> None:
        """Write the line."""
        del thread
        self._write(f"{text}\n\n")

    async def profile(self, workspace: str, user_id: str) -> Profile:
        """A terminal has none."""
        del workspace, user_id
        return NO_PROFILE

    async def talk(
        self, inbox: Inbox, lines: AsyncIterator[str], thread: Thread, settled: Callable[[], Awaitable[None]]
    ) -> None:
        """Send each line to the bot and wait for its answer, to the end. `settled` waits until it is stored."""
        number = 0
        async for line in lines:
            if not line.strip():
                continue
            number += 1
            self._answered.clear()
            await inbox.accept(_event(thread, f"{number:09}", line.strip()))
            await self._answered.wait()
            await settled()  # or the next line would meet an answer that still runs


async def typed_lines(prompt: str) -> AsyncIterator[str]:
    """The lines a person types, until end of input. Reading does not hold up the loop, nor the exit."""
    loop = asyncio.get_running_loop()
    while True:
        line: asyncio.Future[str | None] = loop.create_future()
        threading.Thread(target=_read, args=(prompt, loop, line), daemon=True).start()
        if (text := await line) is None:
            return
        yield text


def write(text: str) -> None:
    """Show text on standard output at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _read(prompt: str, loop: asyncio.AbstractEventLoop, line: asyncio.Future[str | None]) -> None:
    try:
        text: str | None = input(prompt)
    except EOFError:
        text = None
    if not loop.is_closed():
        loop.call_soon_threadsafe(lambda: None if line.done() else line.set_result(text))


def _event(thread: Thread, message_id: str, text: str) -> Event:
    match read_command(text, mentions_bot=False):
        case Command.RESET:
            return ResetRequested(thread, message_id, YOU)
        case Command.STATUS:
            return StatusRequested(thread, message_id, YOU)
        case Command.STOP:
            return StopRequested(thread, YOU, message_id)
        case None:
            return MessageReceived(thread, message_id, YOU, text)


def _printable(text: str) -> str:
    """The text without control characters, so that a model cannot steer the terminal."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")
