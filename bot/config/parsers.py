"""Parsers of settings: the text of a variable in, a checked value out.

Rule: pure. A text that does not parse raises ValueError; its message completes a sentence that begins with the
variable's name, and never repeats a text that may hold a secret.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_HOURS = 87_600  # ten years


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a parser of one of these words, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"is not one of {', '.join(allowed)}")
        return text.lower()

    return parse


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of a whole number within these limits."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(text)

    return parse


def positive_number(most: int) -> Callable[[str], float]:
    """Return a parser of a number above zero."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not 0 < number <= most:
            raise ValueError(f"is not a number above 0, up to {most}")
        return number

    return parse


def number(most: int) -> Callable[[str], float]:
    """Return a parser of a number that may be zero."""

    def parse(text: str) -> float:
        try:
            parsed = float(text)
        except ValueError:
            parsed = -1.0
        if not 0 <= parsed <= most:
            raise ValueError(f"is not a number from 0 to {most}")
        return parsed

    return parse


def prefixed(prefix: str) -> Callable[[str], str]:
    """Return a parser of a text that starts with this prefix, as Slack's tokens do."""

    def parse(text: str) -> str:
        if not text.startswith(prefix):
            raise ValueError(f"does not start with {prefix}")
        return text

    return parse


def http_url(text: str) -> str:
    """Parse an http or https address; the result ends in one slash."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and "@" not in parts.netloc
        (parts.hostname or "").encode("idna")  # a resolver will be asked for this form
    except ValueError:  # (UnicodeError is one) its message may repeat a part of the address
        valid = False
    if not valid:
        raise ValueError("is not an http:// or https:// address")
    return text.rstrip("/") + "/"


def database_url(text: str) -> str:
    """Parse the URL of a SQLite file or a PostgreSQL database."""
    if text.startswith("postgres://"):  # many hosting providers spell it so
        text = "postgresql://" + text.removeprefix("postgres://")
    if not text.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("is neither a sqlite:/// nor a postgresql:// URL")
    return text


def slash_command(text: str) -> str:
    """Parse the name of a slash command (docs.slack.dev: implementing slash commands)."""
    if not re.fullmatch(r"/[a-z0-9_-]{1,31}", text):
        raise ValueError("is not a slash command (a slash, then 1 to 31 lower-case letters, digits, - or _)")
    return text


def hours_by_channel(text: str) -> tuple[tuple[str, float], ...]:
    """Parse `C0123456789=2,C0456789012=72` into pairs of a channel's id and its hours."""
    pairs = [_channel_and_hours(part) for part in map(str.strip, text.split(",")) if part]
    if len(dict(pairs)) < len(pairs):
        raise ValueError("names a channel twice")
    return tuple(pairs)


def _channel_and_hours(part: str) -> tuple[str, float]:
    channel, _, hours = (piece.strip() for piece in part.partition("="))
    if not re.fullmatch(r"[CDG][A-Z0-9]{1,62}", channel):
        raise ValueError(f"has {part!r}, which is not a channel's id and its hours")
    try:
        return channel, positive_number(MAX_HOURS)(hours)
    except ValueError as error:
        raise ValueError(f"has a limit for {channel} that {error}") from None


def names(text: str) -> tuple[str, ...]:
    """Parse a list with commas; blanks and duplicates are dropped."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def slack_ids(text: str) -> tuple[str, ...]:
    """Parse a list of Slack's ids of workspaces, channels, people and user groups."""
    listed = names(text)
    if wrong := [name for name in listed if not re.fullmatch(r"[TECGUWS][A-Z0-9]{1,62}", name)]:
        raise ValueError(f"has {wrong[0]!r}, which is not the id of a workspace, a channel, a person or a user group")
    return listed


def models(text: str) -> tuple[str, ...]:
    """Parse a list of models' names."""
    listed = names(text)
    if not listed or any(re.search(r"\s", name) for name in listed):
        raise ValueError("is not a list of models' names with commas")
    return listed


def prefixes(text: str) -> tuple[str, ...]:
    """Parse a list of URL path prefixes such as `/v1`. None may lie under another one, nor under /healthz."""
    listed = tuple(dict.fromkeys(prefix.rstrip("/") for prefix in names(text)))
    if not listed or not all(re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix) for prefix in listed):
        raise ValueError("is not a list of paths such as /v1")
    for one, other in itertools.permutations((*listed, "/healthz"), 2):
        if f"{one}/".startswith(f"{other}/"):
            raise ValueError(f"is not a list of paths apart: {one} is under {other}")
    return listed


def origins(text: str) -> tuple[str, ...]:
    """Parse a list of web origins as browsers send them: scheme, host and port."""
    listed = names(text)
    if not all(_is_origin(origin) for origin in listed):
        raise ValueError("is not a list of origins such as https://www.example.com")
    return listed


def networks(text: str) -> tuple[Network, ...]:
    """Parse a list of IP addresses and networks."""
    try:
        return tuple(ipaddress.ip_network(name) for name in names(text))
    except ValueError:
        raise ValueError("is not a list of addresses or networks such as 10.0.0.0/8") from None


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and text == f"{parts.scheme}://{parts.netloc}" and bool(parts.hostname)
    except ValueError:
        return False
