"""Tokens: estimate how many a text has, without a tokenizer, and shorten a text to a number of them.

Rule: pure. The estimate errs on the high side for every kind of text (figures in docs/decisions/0003-no-tokenizer.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.prompt.marks import LEFT_OUT

TOKENS_PER_MESSAGE = 4  # chat formats wrap each message
MOST_CHARACTERS = 8  # per estimated token
MOST_TOKENS = 3  # per character
_SEARCHED_AT_ONCE = 16_000  # characters: one search of a long text would stop every other thread for as long

# A match counts as one token. Tokenizers split text into words, numbers of three digits, and runs of signs or spaces,
# each with a leading space, and then split rare words into pieces. The lengths here are those of such pieces.
_TOKEN = re.compile(
    r" ?(?:[A-Z]{1,3}|[a-z]{1,5}|[\u00c0-\u024f\u1e00-\u1eff][a-z]{0,2})"
    r"|[0-9]{1,3}"
    r"| ?[!-/:-@\[-`{-~]{1,2}"
    r"|\s{1,8}"
    r"| ?[\u0370-\u08ff]{1,3}"  # Greek, Cyrillic, Armenian, Hebrew, Arabic
    r"| ?[\u0900-\u0eff\u10a0-\u10ff]{1,2}"  # Indic scripts, Thai, Lao, Georgian
    r"|[\s\S]"
)


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a chat message with this text, rather too many than too few."""
    return TOKENS_PER_MESSAGE + estimate_piece(text)


def estimate_piece(text: str) -> int:
    """Estimate the tokens that a piece adds to a message. Its pieces have together at least as many as the whole."""
    astral = len(text.encode("utf-16-le", "surrogatepass")) // 2 - len(text)  # emoji and rare scripts, beyond 16 bits
    starts = range(0, len(text), _SEARCHED_AT_ONCE)
    found = sum(len(_TOKEN.findall(text, start, start + _SEARCHED_AT_ONCE)) for start in starts)
    return found + (MOST_TOKENS - 1) * astral


def shorten(text: str, most_tokens: int) -> str:
    """Return the text, without its middle if it has more than `most_tokens`.

    A mark shows where the middle was. It is there even if it alone has more tokens.
    """
    if len(text) <= most_tokens * MOST_CHARACTERS and estimate_tokens(text) <= most_tokens:
        return text
    length = min(len(text) - 1, most_tokens * MOST_CHARACTERS)
    while (tokens := estimate_tokens(shortened := _without_middle(text, length))) > most_tokens and length > 0:
        length = min(length - 1, length * most_tokens // tokens)
    return shortened


def fair_share(costs: Sequence[int], room: int) -> int:
    """Return the number of tokens to which to shorten each text that has more, so that all fit."""
    left = room
    for count, cost in zip(range(len(costs), 0, -1), sorted(costs), strict=True):
        if cost > left // count:
            return left // count
        left -= cost
    return room


def _without_middle(text: str, length: int) -> str:
    head, tail = text[: length - length // 2], text[len(text) - length // 2 :]
    # The mark has no line breaks, so that it does not begin a line.
    return f"{head} {LEFT_OUT.format(len(text) - length)} {tail}"
