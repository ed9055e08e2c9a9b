"""Whether a link's words name another place than the one it leads to.

Rule: pure, and wary: an address that two readers could understand differently is another place.
"""

from __future__ import annotations

import html
import re
import unicodedata
from urllib.parse import urlsplit

_PLACE = re.compile(r"(?<![\w.@-])(?:[\w.+-]+@)?(?P<host>(?:[\w-]+\.)+[^\W\d_]{2,})(?![\w-])")
_MARKUP = frozenset("\\*_~`")


def names_another(words: str, address: str) -> bool:
    """Whether a host stands in the words that is neither the address's own nor one that its own belongs to."""
    own = _known_as(_host(address))
    named = (_known_as(found["host"]) for found in _PLACE.finditer(_as_seen(words)))
    return any(own != host and not own.endswith(f".{host}") for host in named)


def _as_seen(words: str) -> str:
    shown = html.unescape(words)
    return "".join(char for char in shown if char not in _MARKUP and unicodedata.category(char) != "Cf")


def _host(address: str) -> str:
    if "\\" in address:  # a browser takes it for a slash, Markdown for an escape
        return ""
    try:
        parts = urlsplit(html.unescape(address))
        return parts.path.rpartition("@")[2] if parts.scheme == "mailto" else parts.hostname or ""
    except ValueError:
        return ""


def _known_as(host: str) -> str:
    return host.casefold().replace("_", "").removeprefix("www.")
