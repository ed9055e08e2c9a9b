"""The terminal: one person's chat on standard input and output. The smallest program on the Python API.

Rule: text is shown as it arrives. A terminal needs neither Slack's escaping nor its length limits.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from bot.api import Attendant
from bot.cli import output
from bot.cli.terminal_text import TerminalText
from bot.config.settings import Settings
from bot.domain import quiet_texts, session_texts, texts
from bot.domain.events import Command, read_command
from bot.domain.listening import QuietOutcome
from bot.domain.sessions import StopOutcome
from bot.errors import ModelError
from bot.llm.from_settings import model_name
from bot.ops import logs

NOTICE = "What you like to be called, and other preferences, are kept in Slack only; here they last until !reset."

Write = Callable[[str], object]


def chat_command(settings: Settings, _: argparse.Namespace) -> int:
    """`attendant chat`."""
    logs.set_up("warning", settings.log_format)  # the terminal is for the conversation
    asyncio.run(chat(settings))
    return 0


async def chat(settings: Settings) -> None:
    """Talk to the bot in the terminal, until end of input."""
    logs.watch(asyncio.get_running_loop())
    async with Attendant.open(settings) as attendant:
        write(f"Talking to the attendant · model: {model_name(settings)} · !reset starts over, Ctrl+D ends\n")
        write(f"{NOTICE}\n\n")
        await talk(attendant, typed_lines("> "), write, on_terminal=output.is_terminal())


async def talk(attendant: Attendant, lines: AsyncIterator[str], show: Write, *, on_terminal: bool = False) -> None:
    """Send each line in one chat, and show the answer as it grows, until the lines end.

    `on_terminal`: Markdown is shown as bold text.
    """
    chat_id = await attendant.create_chat()
    async for line in lines:
        if text := line.strip():
            formatter = TerminalText() if on_terminal else None
            async with aclosing(_answer(attendant, chat_id, text)) as pieces:
                async for piece in pieces:
                    printable = _printable(piece)
                    show(formatter.feed(printable) if formatter is not None else printable)
            show(f"{formatter.end() if formatter is not None else ''}\n\n")


async def _answer(attendant: Attendant, chat_id: str, text: str) -> AsyncGenerator[str, None]:
    match read_command(text, mentions_bot=False):
        case Command.RESET:
            yield texts.reset(await attendant.reset_chat(chat_id))
        case Command.STATUS:
            yield session_texts.memory(await attendant.memory(chat_id))
        case Command.STOP:  # the prompt appears when no answer runs
            yield texts.fixed_reply(StopOutcome.NOTHING_RUNS)
        case Command.QUIET | Command.BACK:
            yield quiet_texts.reply(QuietOutcome.DIRECT)
        case None:
            try:
                async with aclosing(attendant.stream_message(chat_id, text)) as pieces:
                    async for piece in pieces:
                        yield piece
            except ModelError as error:
                yield f"\n\n{texts.trouble(error.trouble, error.retry_after_s)}"


async def typed_lines(prompt: str) -> AsyncIterator[str]:
    """Yield the lines that a person types, until end of input. Reading blocks neither the loop nor the exit."""
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


def _printable(text: str) -> str:
    """Return the text without control characters, so that a model cannot control the terminal."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")
