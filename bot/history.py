"""A session's history: its turns as the model reads them, and where the part that is shown begins.

Rule: pure. How a turn reads depends on it and on the turns before it alone, so that requests extend the same prefix.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from bot.events import Attachment


class ChatMessage(TypedDict):
    """One entry of `messages` in OpenAI's chat-completions request."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Said:
    """One person's message as it was stored."""

    author_id: str
    text: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """The messages answered together, and the answer; `answer` is None while it is owed."""

    said: tuple[Said, ...]
    answer: str | None = None
    id: int = field(default=0, compare=False)  # as it is stored; counts up within a session


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the shown part of a session begins, and what stands in for the part before it."""

    after: int = 0  # the id of the last turn that is not shown any more
    summary: str = ""
    reaches: int = 0  # the id of the last turn that the summary holds
    several: bool = False  # several people had written when it was made


NOTHING_CUT = Cut()


@dataclass(frozen=True, slots=True)
class Past:
    """The settled turns that are shown, oldest first, and what stands before them."""

    turns: tuple[Turn, ...] = ()
    cut: Cut = NOTHING_CUT


def speakers(turns: Iterable[Turn]) -> frozenset[str]:
    """Everybody who wrote in these turns."""
    return frozenset(message.author_id for turn in turns for message in turn.said)


def spoken_of(turns: Iterable[Turn]) -> frozenset[str]:
    """Everybody whom these turns mention."""
    said = (message.text for turn in turns for message in turn.said)
    return frozenset(found for text in said for found in _MENTION.findall(text))


def read(turns: Iterable[Turn], names: Mapping[str, str], *, several: bool) -> Iterator[list[ChatMessage]]:
    """The turns as the model reads them, oldest first. `several`: not only one person has written so far.

    From the turn in which a second person writes, each message opens with its author's name; what was shown before
    stays as it was, and a line says who wrote it.
    """
    alone: str | None = None
    for turn in turns:
        authors = speakers([turn])
        heard = authors | {alone} if alone else authors
        joined = not several and len(heard) > 1
        several = several or joined
        note = _UNTIL_HERE.format(_name(alone, names)) if joined and alone else ""
        yield render(turn, names, several=several, note=note)
        alone = next(iter(heard), None)


def render(turn: Turn, names: Mapping[str, str], *, several: bool, note: str = "") -> list[ChatMessage]:
    """A turn as the model reads it. Where several people write each message opens with its author's name."""
    lines = [_line(message, names, several=several) for message in turn.said]
    shown: list[ChatMessage] = [{"role": "user", "content": "\n\n".join([note, *lines] if note else lines)}]
    if turn.answer is not None:
        shown.append({"role": "assistant", "content": turn.answer})
    return shown


def transcript(turn: Turn, names: Mapping[str, str]) -> str:
    """A turn as one text, with the name of whoever wrote each message; empty when everything was deleted."""
    lines = [_line(message, names, several=True) for message in turn.said]
    answered = [_titled("You", turn.answer)] if turn.answer else []
    return "\n".join([*lines, *answered]) if lines else ""


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


def _line(message: Said, names: Mapping[str, str], *, several: bool) -> str:
    text = _MENTION.sub(lambda found: "@" + names.get(found[1], "somebody"), message.text).strip()
    parts = [text] if text else []
    parts += [f"[attached, and not visible to you: {file.name} ({file.mimetype})]" for file in message.attachments]
    body = "\n".join(parts) or "(a message without text)"
    return _titled(_name(message.author_id, names), body) if several else body


def _titled(name: str, text: str) -> str:
    """Later lines are set in, so that nobody's message can open a line with somebody else's name."""
    return f"{name}: " + text.replace("\n", "\n  ")


def _name(person: str, names: Mapping[str, str]) -> str:
    return names.get(person, "Somebody")


_UNTIL_HERE = "[Until here only {} was writing.]"
_MENTION = re.compile(r"<@([^<>|\s]+)(?:\|[^<>]*)?>")  # no < inside: reading stays linear in the text's length
