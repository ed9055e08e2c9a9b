"""Where a request comes from: the peer's address, or, behind a proxy that is trusted, the one that the proxy tells."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from aiohttp import web

from bot.config.parsers import Network

IPv6_SUBSCRIBER = 64  # bits: whoever has one IPv6 address has a whole network of them
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](:\d+)?|(?P<v4>[\d.]+):\d+", re.ASCII)


def client(request: web.Request, trusted: Sequence[Network]) -> str:
    """The address, IPv6 ones by their network. What a client writes into X-Forwarded-For itself is not believed."""
    told = [part.strip() for line in request.headers.getall("X-Forwarded-For", []) for part in line.split(",")]
    address = _address(request.remote or "")
    while address is not None and told and _is_trusted(address, trusted):
        if (before := _address(told.pop())) is None:
            break  # what stands to the left of it, nobody whom we trust vouches for
        address = before
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPv6_SUBSCRIBER), strict=False))
    return str(address or "unknown")


def _is_trusted(address: ipaddress.IPv4Address | ipaddress.IPv6Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Some proxies write the port, too: `192.0.2.7:5678`, `[2001:db8::1]:5678`."""
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port["v6"] or with_port["v4"]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
