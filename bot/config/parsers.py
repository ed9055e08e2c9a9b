"""Lists in settings, with commas: models, path prefixes, the origins of web pages, networks.

Rule: pure. What cannot be one raises ValueError in the words of a setting's error.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def names(text: str) -> tuple[str, ...]:
    """The parts between the commas."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def models(text: str) -> tuple[str, ...]:
    """The names of models."""
    found = names(text)
    if not found or any(re.search(r"\s", name) for name in found):
        raise ValueError("is not a list of models' names with commas")
    return found


def prefixes(text: str) -> tuple[str, ...]:
    """Where an API's paths begin: `/v1`, without a slash in the end. No path is under two of them, nor is /healthz."""
    found = tuple(dict.fromkeys(prefix.rstrip("/") for prefix in names(text)))
    if not found or not all(re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix) for prefix in found):
        raise ValueError("is not a list of paths such as /v1")
    for one, other in itertools.permutations((*found, "/healthz"), 2):
        if f"{one}/".startswith(f"{other}/"):
            raise ValueError(f"is not a list of paths apart: {one} is under {other}")
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
