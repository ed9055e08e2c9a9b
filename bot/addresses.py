"""Addresses in settings: path prefixes, the origins of web pages, networks. Each is a list with commas.

Rule: pure. What cannot be one raises ValueError in the words of a setting's error.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def names(text: str) -> tuple[str, ...]:
    """The parts between the commas."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def prefixes(text: str) -> tuple[str, ...]:
    """Where an API's paths begin: `/v1`, without a slash in the end."""
    found = tuple(dict.fromkeys(prefix.rstrip("/") for prefix in names(text)))
    if not found or not all(re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix) for prefix in found):
        raise ValueError("is not a list of paths such as /v1")
    return found


def origins(text: str) -> tuple[str, ...]:
    """Web origins as browsers send them: scheme, host and port."""
    found = names(text)
    if not all(_is_origin(origin) for origin in found):
        raise ValueError("is not a list of origins such as https://www.example.com")
    return found


def networks(text: str) -> tuple[Network, ...]:
    """IP addresses and networks."""
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
