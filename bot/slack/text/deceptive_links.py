"""Detection of deceptive links, whose label names another host than their URL.

Rule: pure. If two parsers could read a URL differently, the link is deceptive.
"""

from __future__ import annotations

import html
import re
import unicodedata
from urllib.parse import urlsplit

_HOST_NAME = re.compile(r"(?<![\w.@-])(?:[\w.+-]+@)?(?P<host>(?:[\w-]+\.)+[^\W\d_]{2,})(?![\w-])")
_MARKUP = frozenset("\\*_~`")


def is_deceptive(label: str, url: str) -> bool:
    """Return whether the label names a host that is neither the URL's host nor a parent domain of it."""
    actual = _normalized(_host(url))
    named = (_normalized(match["host"]) for match in _HOST_NAME.finditer(_as_displayed(label)))
    return any(actual != host and not actual.endswith(f".{host}") for host in named)


def _as_displayed(label: str) -> str:
    unescaped = html.unescape(label)
    return "".join(char for char in unescaped if char not in _MARKUP and unicodedata.category(char) != "Cf")


def _host(url: str) -> str:
    if "\\" in url:  # a browser reads a backslash as a slash, Markdown as an escape
        return ""
    try:
        parts = urlsplit(html.unescape(url))
        return parts.path.rpartition("@")[2] if parts.scheme == "mailto" else parts.hostname or ""
    except ValueError:
        return ""


def _normalized(host: str) -> str:
    return host.casefold().replace("_", "").removeprefix("www.")
