"""From what a person types to what Slack stores (docs.slack.dev: formatting message text)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_EVERYBODY = {"channel": "<!channel>", "here": "<!here>", "everyone": "<!everyone>"}
_LINK = re.compile(r"https?://[^\s<>|]+[^\s<>|.,;:!?')\]}]")


def escaped(text: str) -> str:
    """`text` with the three characters that Slack escapes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def stored(typed: str, names: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """What Slack keeps of a typed text: escaped, with `@name`, `#channel` and links as its tokens.

    `names` and `channels` map what may stand after the sign to an id.
    """
    mentions = {name.casefold(): f"<@{person}>" for name, person in names.items()} | _EVERYBODY
    text = _replaced(escaped(typed), "@", mentions)
    text = _replaced(text, "#", {name.casefold(): f"<#{channel}>" for name, channel in channels.items()})
    return _LINK.sub(lambda link: f"<{link[0]}>", text)


def _replaced(text: str, sign: str, tokens: Mapping[str, str]) -> str:
    longest_first = sorted(map(re.escape, tokens), key=len, reverse=True)
    pattern = rf"(?<![\w/]){sign}({'|'.join(longest_first)})(?![\w-])"
    return re.sub(pattern, lambda found: tokens[found[1].casefold()], text, flags=re.IGNORECASE) if tokens else text
