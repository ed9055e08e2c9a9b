"""The address of a client: the peer's, or the one that a trusted proxy reports in X-Forwarded-For."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from aiohttp import web

from bot.config.parsers import Network

IPV6_SUBSCRIBER_BITS = 64  # an internet provider gives each customer a network of at least this size
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](:\d+)?|(?P<v4>[\d.]+):\d+", re.ASCII)


def client_address(request: web.Request, trusted: Sequence[Network]) -> str:
    """Return the client's IPv4 address or IPv6 network.

    Each proxy appends the address of its own peer to X-Forwarded-For. Entries are read from the right, and only as
    long as a trusted proxy wrote them. The client may have invented the others.
    """
    forwarded = [part.strip() for line in request.headers.getall("X-Forwarded-For", []) for part in line.split(",")]
    address = _parse(request.remote or "")
    while address is not None and forwarded and _is_trusted(address, trusted):
        if (before := _parse(forwarded.pop())) is None:
            break
        address = before
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_SUBSCRIBER_BITS), strict=False))
    return str(address or "unknown")


def _is_trusted(address: ipaddress.IPv4Address | ipaddress.IPv6Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address. Some proxies append the port: `192.0.2.7:5678`, `[2001:db8::1]:5678`."""
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port["v6"] or with_port["v4"]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
