"""The engine of a PostgreSQL database: its connections, and whether they are encrypted on their way.

Rule: the operator says how a connection to another machine is protected. libpq's default, `sslmode=prefer`, falls back
to plain text without a word (https://www.postgresql.org/docs/current/libpq-ssl.html, table 32.1).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine, event

from bot.errors import StartupError

THREADS = 4
_DECIDED = {"require", "verify-ca", "verify-full", "disable"}


def open_engine(url: sa.URL, *, idle_transaction_s: float) -> Engine:
    """Return an engine that does not connect yet. Raises StartupError for another machine without an sslmode."""
    if str(url.query.get("sslmode", "")) not in _DECIDED and not all(map(_is_local, _hosts(url))):
        raise StartupError(
            "DATABASE_URL names a server on another machine, and no sslmode that decides. Add sslmode=verify-full to "
            "its query, or sslmode=require without a certificate to check, or sslmode=disable in a network you trust."
        )
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=THREADS + 1,  # one holds the process's lock
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # errors are logged, and parameters hold people's texts
        # A server that vanishes silently must not block a thread for longer. Seconds, and milliseconds for the last.
        connect_args={
            "connect_timeout": 5,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
    )
    event.listen(engine, "connect", partial(_set_up, idle_transaction_s))
    return engine


def _hosts(url: sa.URL) -> Iterator[str]:
    """Yield each host that the URL names, before the slash or in its query; a service may name any."""
    yield url.host or ""
    for name in ("host", "hostaddr", "service"):
        values = url.query.get(name, ())
        for value in (values,) if isinstance(values, str) else values:
            yield from (f"{name} {value}",) if name == "service" else value.split(",")


def _is_local(host: str) -> bool:
    """Whether this is a UNIX socket or this machine. Nothing at all means libpq's default, a socket."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    address = host.rpartition(":")[0] if host.count(":") == 1 else host  # a port may follow the name
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def _set_up(idle_transaction_s: float, connection: Any, _record: object) -> None:
    # A process that is frozen during a transaction must not keep its locks.
    connection.execute(f"SET idle_in_transaction_session_timeout = {round(idle_transaction_s * 1000)}")
    connection.commit()
