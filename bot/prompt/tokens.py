"""How many tokens a text costs, told without a tokenizer; and a long text made to cost no more than so many.

Rule: pure. The estimate errs on the high side for every kind of text (figures in docs/decisions/0003-no-tokenizer.md).
"""

from __future__ import annotations

import re

TOKENS_PER_MESSAGE = 4  # the wrapping that chat formats put around each message
MOST_CHARACTERS = 8  # of what is counted as one token
MOST_TOKENS = 3  # that a character is counted as

# A match is a token. Tokenizers cut text into words, numbers of three digits, runs of signs and of blanks, each with
# the blank before it; then they cut what is rare into smaller pieces. So are these lengths: those of rare words.
_TOKEN = re.compile(
    r" ?(?:[A-Z]{1,3}|[a-z]{1,5}|[\u00c0-\u024f\u1e00-\u1eff][a-z]{0,2})"
    r"|[0-9]{1,3}"
    r"| ?[!-/:-@\[-`{-~]{1,2}"
    r"|\s{1,8}"
    r"| ?[\u0370-\u08ff]{1,3}"  # Greek, Cyrillic, Armenian, Hebrew, Arabic
    r"| ?[\u0900-\u0eff\u10a0-\u10ff]{1,2}"  # India's scripts, Thai, Lao, Georgian
    r"|[\s\S]"
)


def estimate_tokens(text: str) -> int:
    """About how many tokens a chat message of this text costs, rather too many than too few."""
    beyond_16_bits = len(text.encode("utf-16-le", "surrogatepass")) // 2 - len(text)  # emoji, and what is as rare
    return len(_TOKEN.findall(text)) + (MOST_TOKENS - 1) * beyond_16_bits + TOKENS_PER_MESSAGE


def shorten(text: str, most_tokens: int) -> str:
    """The text; when it costs more than so many tokens, its beginning and its end, with a mark in between.

    The mark is there however few the tokens are.
    """
    if len(text) <= most_tokens * MOST_CHARACTERS and estimate_tokens(text) <= most_tokens:
        return text
    kept = min(len(text) - 1, most_tokens * MOST_CHARACTERS)
    while (cost := estimate_tokens(shortened := _without_middle(text, kept))) > most_tokens and kept > 0:
        kept = min(kept - 1, kept * most_tokens // cost)
    return shortened


def _without_middle(text: str, kept: int) -> str:
    head, tail = text[: kept - kept // 2], text[len(text) - kept // 2 :]
    return f"{head} [… {len(text) - kept} characters left out …] {tail}"  # on one line: none begins that was none
