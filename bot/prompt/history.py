"""A session's history: its turns as the model reads them, and where the part that is shown begins.

Rule: pure. How a turn reads depends on it and on the turns before it alone, so that requests extend the same prefix.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

from bot.domain.events import Attachment
from bot.prompt import thread_context
from bot.prompt.speakers import UNKNOWN, body, line, mentioned
from bot.prompt.thread_context import NO_BACKGROUND, ThreadContext

UNTIL_HERE = "[Until here only {} was writing.]"


class ChatMessage(TypedDict):
    """One entry of `messages` in OpenAI's chat-completions request."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    name: NotRequired[str]  # of whoever wrote it, as a caller told it
    tool_calls: NotRequired[Sequence[Mapping[str, Any]]]  # of an assistant's message: what it called for
    tool_call_id: NotRequired[str]  # of a tool's message: the call that it answers


@dataclass(frozen=True, slots=True)
class Utterance:
    """One person's message as it was stored."""

    author_id: str
    text: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """The messages answered together, and the answer; `answer` is None while it is owed."""

    said: tuple[Utterance, ...]
    answer: str | None = None
    id: int = field(default=0, compare=False)  # as it is stored; counts up within a session
    background: ThreadContext = NO_BACKGROUND  # what the bot was called into, with this turn


@dataclass(frozen=True, slots=True)
class HistoryWindow:
    """Where the shown part of a session begins, and what stands in for the part before it."""

    after: int = 0  # the id of the last turn that is not shown any more
    summary: str = ""
    reaches: int = 0  # the id of the last turn that the summary holds
    several: bool = False  # several people had written when it was made


NOTHING_CUT = HistoryWindow()


@dataclass(frozen=True, slots=True)
class Past:
    """The settled turns that are shown, oldest first, and what stands before them."""

    turns: tuple[Turn, ...] = ()
    cut: HistoryWindow = NOTHING_CUT


def speakers(turns: Iterable[Turn]) -> frozenset[str]:
    """Everybody who wrote in these turns."""
    return frozenset(message.author_id for turn in turns for message in turn.said)


def several_in(turns: Sequence[Turn]) -> bool:
    """Whether these turns are not of one person alone: then messages open with their authors' names."""
    return len(speakers(turns)) > 1 or any(turn.background != NO_BACKGROUND for turn in turns)


def named(turns: Iterable[Turn], *, several: bool = False) -> list[str]:
    """Everybody whose name is needed to show these turns, in the order in which they appear."""
    found: dict[str, None] = {}
    writing: dict[str, None] = {}
    for turn in turns:
        found |= dict.fromkeys(thread_context.named(turn.background))
        writing |= dict.fromkeys(message.author_id for message in turn.said)
        several = several or turn.background != NO_BACKGROUND or len(writing) > 1
        found |= writing if several else {}
        found |= dict.fromkeys(person for message in turn.said for person in mentioned(message.text))
    return list(found)


def read(turns: Iterable[Turn], names: Mapping[str, str], *, several: bool = False) -> Iterator[list[ChatMessage]]:
    """The turns as the model reads them, oldest first. `several`: not only one person has written so far.

    From the turn in which a second person writes, or that has a background, each message opens with its author's name;
    what was shown before stays as it was, and a line says who wrote it.
    """
    alone: str | None = None
    for turn in turns:
        authors = speakers([turn])
        heard = authors | {alone} if alone else authors
        joined = not several and (len(heard) > 1 or several_in([turn]))
        several = several or joined
        note = UNTIL_HERE.format(names.get(alone, UNKNOWN)) if joined and alone else ""
        yield render(turn, names, several=several, note=note)
        alone = next(iter(heard), None)


def render(turn: Turn, names: Mapping[str, str], *, several: bool, note: str = "") -> list[ChatMessage]:
    """A turn as the model reads it. Where several people write each message opens with its author's name."""
    lines = [_line(message, names, several=several) for message in turn.said]
    asked = "\n\n".join([note, *lines] if note else lines)
    shown: list[ChatMessage] = [
        {"role": "assistant" if own else "user", "content": text} for own, text in _pieces(turn, names, asked)
    ]
    if turn.answer:  # some backends take no empty message
        shown.append({"role": "assistant", "content": turn.answer})
    return shown


def transcript(turn: Turn, names: Mapping[str, str]) -> str:
    """A turn as one text, with the name of whoever wrote each message; empty when everything was deleted."""
    if not turn.said:
        return ""
    asked = "\n".join(_line(message, names, several=True) for message in turn.said)
    told = [line("You", text) if own else text for own, text in _pieces(turn, names, asked)]
    return "\n".join([*told, line("You", turn.answer)] if turn.answer else told)


def kept(costs: Sequence[int], room: int) -> int:
    """How many of the newest turns are shown, which cost so much each, oldest first.

    All, where there is room. Otherwise those that fill at most half of it: history goes rarely and in large pieces,
    because a request that extends the one before it is cheap.
    """
    return len(costs) if sum(costs) <= room else fitting(costs, room // 2)


def fitting(costs: Sequence[int], room: int) -> int:
    """How many of the newest turns cost no more than there is room for."""
    sums = itertools.accumulate(reversed(costs))
    return sum(1 for _ in itertools.takewhile(lambda spent: spent <= room, sums))


def _line(message: Utterance, names: Mapping[str, str], *, several: bool) -> str:
    text = body(message.text, message.attachments, names)
    return line(names.get(message.author_id, UNKNOWN), text) if several else text


def _pieces(turn: Turn, names: Mapping[str, str], asked: str) -> Iterable[tuple[bool, str]]:
    """What was said in this turn before its answer: (whether the bot said it, text)."""
    return (
        [(False, asked)] if turn.background == NO_BACKGROUND else thread_context.pieces(turn.background, names, asked)
    )
