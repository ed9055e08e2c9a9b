"""What the model is shown of a session: whole turns, the newest that fit a token budget.

Rule: pure. No tokenizer: an estimate from UTF-8 bytes, which errs on the high side for most languages
(docs/decisions/0003-no-tokenizer.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

from bot import background
from bot.background import NO_BACKGROUND, Background
from bot.events import Attachment
from bot.people import UNKNOWN, body, line, mentioned

BYTES_PER_TOKEN = 3.5
TOKENS_PER_MESSAGE = 4  # the wrapping that chat formats put around each message


class ChatMessage(TypedDict):
    """One entry of `messages` in OpenAI's chat-completions request."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: NotRequired[list[dict[str, Any]]]  # of an assistant's message: what it called for
    tool_call_id: NotRequired[str]  # of a tool's message: the call that it answers


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
    background: Background = NO_BACKGROUND  # what the bot was called into, with this turn


def estimate_tokens(text: str) -> int:
    """About how many tokens a chat message of this text costs; high for English, low for logs and base64."""
    return int(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE


def speakers(turns: Iterable[Turn]) -> frozenset[str]:
    """Everybody who wrote in these turns."""
    return frozenset(message.author_id for turn in turns for message in turn.said)


def named(turns: Iterable[Turn], *, several: bool = False) -> list[str]:
    """Everybody whose name is needed to show these turns, in the order in which they appear."""
    found: dict[str, None] = {}
    writing: dict[str, None] = {}
    for turn in turns:
        found |= dict.fromkeys(background.named(turn.background))
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
        joined = not several and (len(heard) > 1 or turn.background != NO_BACKGROUND)
        several = several or joined
        note = _UNTIL_HERE.format(names.get(alone, UNKNOWN)) if joined and alone else ""
        yield render(turn, names, several=several, note=note)
        alone = next(iter(heard), None)


def render(turn: Turn, names: Mapping[str, str], *, several: bool, note: str = "") -> list[ChatMessage]:
    """A turn as the model reads it. Where several people write each message opens with its author's name."""
    lines = [_line(message, names, several=several) for message in turn.said]
    asked = "\n\n".join([note, *lines] if note else lines)
    shown: list[ChatMessage] = [{"role": "user", "content": asked}]
    if turn.background != NO_BACKGROUND:
        pieces = background.pieces(turn.background, names, asked)
        shown = [{"role": "assistant" if own else "user", "content": text} for own, text in pieces]
    if turn.answer is not None:
        shown.append({"role": "assistant", "content": turn.answer})
    return shown


def fit(turns: Sequence[Sequence[ChatMessage]], budget_tokens: int) -> list[ChatMessage]:
    """The newest whole turns whose estimate stays within the budget, oldest first. The last turn always goes in."""
    kept: list[Sequence[ChatMessage]] = []
    for turn in reversed(turns):
        budget_tokens -= sum(estimate_tokens(message["content"]) for message in turn)
        if kept and budget_tokens < 0:
            break
        kept.append(turn)
    return [message for turn in reversed(kept) for message in turn]


def _line(message: Said, names: Mapping[str, str], *, several: bool) -> str:
    text = body(message.text, message.attachments, names)
    return line(names.get(message.author_id, UNKNOWN), text) if several else text


_UNTIL_HERE = "[Until here only {} was writing.]"
