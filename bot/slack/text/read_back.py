"""Whether the message in a response of Slack's holds the text that was sent.

Rule: pure, and never raises. Slack converts Markdown in ways that it does not document, so only letters and digits are
compared. In doubt the message holds the text: a wrong alarm posts an answer anew.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

_MIN_SHARE = 0.9  # of the letters and digits: Slack may drop the language of a code block, or an address
_END = 12  # letters and digits that are looked for as one
_ENDS = 4  # how many such ends are tried, because the last one may contain something that Slack converts


def holds(message: Any, text: str) -> bool:
    """Return whether the message, as Slack returned it, shows this text up to its end. True if there is no message."""
    if not isinstance(message, dict):
        return True
    sent = _condensed(text)
    if not sent:
        return True
    return any(_has_end(held, sent) for held in _held(message))


def _held(message: dict[str, Any]) -> Iterator[str]:
    for part in ("blocks", "text"):
        yield _condensed(" ".join(_strings(message.get(part))))


def _has_end(held: str, sent: str) -> bool:
    is_cut = len(held) < len(sent) and sent.startswith(held)
    if is_cut or len(held) < _MIN_SHARE * len(sent):
        return False
    ends = (sent[max(at - _END, 0) : at] for at in range(len(sent), 0, -_END))
    near_end = held[-2 * _ENDS * _END - len(held) // 10 :]
    return any(end in near_end for end, _ in zip(ends, range(_ENDS), strict=False))


def _strings(part: Any) -> Iterator[str]:
    """Yield the strings that are shown, in their order. The names of types and the ids of blocks are left out."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        for each in part:
            yield from _strings(each)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key not in ("type", "block_id", "style"):
                yield from _strings(value)


def _condensed(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
