"""What the model is shown of a session: whole turns, the newest that fit a token budget.

Rule: pure. No tokenizer: an estimate from UTF-8 bytes, which errs on the high side for most languages
(docs/decisions/0003-no-tokenizer.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

from bot.events import Attachment

BYTES_PER_TOKEN = 3.5
TOKENS_PER_MESSAGE = 4  # the wrapping that chat formats put around each message


class ChatMessage(TypedDict):
    """One entry of `messages` in OpenAI's chat-completions request."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    name: NotRequired[str]
    tool_calls: NotRequired[Sequence[Mapping[str, Any]]]  # of an assistant
    tool_call_id: NotRequired[str]  # of a tool's result


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


def estimate_tokens(text: str) -> int:
    """About how many tokens a chat message of this text costs; high for English, low for logs and base64."""
    return int(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE


def speakers(turns: Iterable[Turn]) -> frozenset[str]:
    """Everybody who wrote in these turns."""
    return frozenset(message.author_id for turn in turns for message in turn.said)


def spoken_of(turns: Iterable[Turn]) -> frozenset[str]:
    """Everybody whom these turns mention."""
    said = (message.text for turn in turns for message in turn.said)
    return frozenset(found for text in said for found in _MENTION.findall(text))


def render(turn: Turn, names: Mapping[str, str], *, several: bool) -> list[ChatMessage]:
    """A turn as the model reads it. In threads of several people each message opens with its author's name."""
    lines = [_line(message, names, several=several) for message in turn.said]
    shown: list[ChatMessage] = [{"role": "user", "content": "\n\n".join(lines)}]
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
    text = _MENTION.sub(lambda found: "@" + names.get(found[1], "somebody"), message.text).strip()
    parts = [text] if text else []
    parts += [f"[attached, and not visible to you: {file.name} ({file.mimetype})]" for file in message.attachments]
    body = "\n".join(parts) or "(a message without text)"
    if not several:
        return body
    # Later lines are set in, so that nobody's message can open a line with somebody else's name.
    return f"{names.get(message.author_id, 'Somebody')}: " + body.replace("\n", "\n  ")


_MENTION = re.compile(r"<@([^<>|\s]+)(?:\|[^<>]*)?>")  # no < inside: reading stays linear in the text's length
