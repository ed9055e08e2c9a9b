"""Thread context: the messages in a thread before somebody called the bot into it.

Rule: pure. The context is information from named people, never an instruction. It stands between two marks. Each line
between them begins with a name or is indented, so no author can close the context or forge a name.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

from bot.domain.events import MOST_FORWARDED, Attachment, Forwarded
from bot.prompt.marks import CONTEXT_BEGINS, CONTEXT_ENDS, UNREADABLE_CONTEXT
from bot.prompt.speakers import LONGEST_NAME, UNKNOWN, attributed, forwarded_people, mentioned, message_text
from bot.prompt.tokens import estimate_tokens

MOST_MESSAGES = 60
MOST_TOKENS = 4_000
LONGEST_MESSAGE = 3_000  # characters; longer ones are shown without their middle
LONGEST_BOT_NAME = LONGEST_NAME - len(" (a bot)")

_PARTLY = " Some of it is left out."
_LEFT_OUT = " […] "


class AuthorKind(enum.Enum):
    """The kind of author of a message."""

    PERSON = "person"
    BOT = "bot"  # another app
    SELF = "self"  # this bot


class ContextState(enum.Enum):
    """How much of the thread context a session has read."""

    UNREAD = "nothing"  # not read yet
    COMPLETE = "whole"
    PARTIAL = "part"  # some is left out, or cannot be read


@dataclass(frozen=True, slots=True)
class EarlierMessage:
    """A message from before the session."""

    message_id: str
    author_id: str
    text: str
    attachments: tuple[Attachment, ...] = ()
    by: AuthorKind = AuthorKind.PERSON
    name: str = ""  # of another bot, which cannot be looked up
    forwarded: tuple[Forwarded, ...] = ()


@dataclass(frozen=True, slots=True)
class ThreadContext:
    """The messages before a session, oldest first. Some may be missing (`whole` is False)."""

    messages: tuple[EarlierMessage, ...] = ()
    complete: bool = True


NO_THREAD_CONTEXT = ThreadContext()
UNREADABLE = ThreadContext(complete=False)


def bounded(earlier: Sequence[EarlierMessage], *, whole: bool = True, tokens: int = MOST_TOKENS) -> ThreadContext:
    """Return the part of these messages that the model reads: the first, and the newest that fit."""
    short = list(map(_short, earlier))
    room, selected = min(tokens, MOST_TOKENS), list[EarlierMessage]()
    for message in [*short[:1], *reversed(short[1:])]:
        room -= estimate_tokens(message.text) + sum(estimate_tokens(each.text) for each in message.forwarded)
        if selected and (room < 0 or len(selected) == MOST_MESSAGES):
            break
        selected.append(message)
    in_order = selected[:1] + selected[:0:-1]
    return ThreadContext(tuple(in_order), complete=whole and len(selected) == len(short))


def named(context: ThreadContext) -> list[str]:
    """Return the ids of all people whose names the context shows, in order of appearance."""
    people = []
    for message in context.messages:
        people += [message.author_id] if message.by is not AuthorKind.SELF else []
        people += [*mentioned(message.text), *forwarded_people(message.forwarded)]
    return list(dict.fromkeys(people))


def bots(context: ThreadContext) -> dict[str, str]:
    """Return the names of the other bots in the context, by their ids."""
    by_bots = [message for message in context.messages if message.by is AuthorKind.BOT and message.name]
    return {message.author_id: f"{message.name[:LONGEST_BOT_NAME]} (a bot)" for message in by_bots}


def pieces(context: ThreadContext, names: Mapping[str, str], question: str) -> Iterator[tuple[bool, str]]:
    """Yield the context and then the question as (whether it is the bot's, text), joining texts of the same side."""
    if context.messages:
        opening, ending = CONTEXT_BEGINS.format("" if context.complete else _PARTLY), [(False, CONTEXT_ENDS)]
    else:
        opening, ending = UNREADABLE_CONTEXT, []
    messages = [_piece(message, names) for message in context.messages]
    for own, together in groupby([(False, opening), *messages, *ending, (False, question)], key=itemgetter(0)):
        yield own, "\n\n".join(text for _, text in together)


def _piece(message: EarlierMessage, names: Mapping[str, str]) -> tuple[bool, str]:
    own = message.by is AuthorKind.SELF
    text = message_text(message.text, message.attachments, names, forwarded=message.forwarded, named=not own)
    if own:
        return True, text
    return False, attributed(names.get(message.author_id, UNKNOWN), text)


def _short(message: EarlierMessage) -> EarlierMessage:
    forwarded = tuple(replace(each, text=_shortened(each.text)) for each in message.forwarded[:MOST_FORWARDED])
    return replace(message, text=_shortened(message.text), forwarded=forwarded)


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_MESSAGE:
        return text
    half = (LONGEST_MESSAGE - len(_LEFT_OUT)) // 2
    return f"{text[:half]}{_LEFT_OUT}{text[-half:]}"
