"""The mrkdwn that Slack stores for the text that a person types.

docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_BROADCASTS = {"channel": "<!channel>", "here": "<!here>", "everyone": "<!everyone>"}
_LINK = re.compile(r"https?://[^\s<>|]+[^\s<>|.,;:!?')\]}]")


def escaped(text: str) -> str:
    """Escape the three characters that Slack escapes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def stored(typed: str, users: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """Return the stored text: escaped, with tokens in place of `@name`, `#channel` and links.

    `users` and `channels` map names to ids.
    """
    mentions = {name.casefold(): f"<@{user_id}>" for name, user_id in users.items()} | _BROADCASTS
    text = _replaced(escaped(typed), "@", mentions)
    text = _replaced(text, "#", {name.casefold(): f"<#{channel_id}>" for name, channel_id in channels.items()})
    return _LINK.sub(lambda link: f"<{link[0]}>", text)


def _replaced(text: str, sign: str, tokens: Mapping[str, str]) -> str:
    longest_first = sorted(map(re.escape, tokens), key=len, reverse=True)
    pattern = rf"(?<![\w/]){sign}({'|'.join(longest_first)})(?![\w-])"
    return re.sub(pattern, lambda match: tokens[match[1].casefold()], text, flags=re.IGNORECASE) if tokens else text
