"""PostgreSQL's set-up: a connection to another machine is not in plain text unless the operator says so."""

from __future__ import annotations

import traceback

import pytest

from bot.errors import StartupError
from bot.store.engine import Store


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bot:hunter2@db.internal/bot",
        "postgresql://bot:hunter2@10.0.0.7/bot",
        "postgresql://bot:hunter2@127.0.0.1.example.com/bot",
        "postgresql://bot:hunter2@db.internal/bot?sslmode=prefer",
        "postgresql://bot:hunter2@db.internal/bot?sslmode=allow",
        "postgresql://bot:hunter2@db.internal/bot?sslmode=",
        "postgresql://bot:hunter2@/bot?host=/run/postgresql&host=db.internal",
        "postgresql://bot:hunter2@/bot?host=localhost:5432&host=db.internal:5432",
        "postgresql://bot:hunter2@localhost/bot?hostaddr=10.0.0.7",
        "postgresql://bot:hunter2@/bot?service=production",
    ],
)
def test_another_machine_needs_an_sslmode(url: str) -> None:
    """The start stops with one line, which gives the remedy and no part of the URL."""
    with pytest.raises(StartupError, match=r"^DATABASE_URL names [^\n]* Add sslmode=verify-full [^\n]+\.$") as caught:
        Store(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///bot",
        "postgresql://bot@localhost:5432/bot",
        "postgresql://bot@127.0.0.1/bot",
        "postgresql://bot@127.1.2.3/bot",
        "postgresql://bot@[::1]:5432/bot",
        "postgresql://bot:@/bot?host=/run/postgresql",
        "postgresql://bot:@/bot?host=localhost:5432",
    ],
)
def test_this_machine_needs_none(url: str) -> None:
    """A socket and the loopback interface lead to this machine, so nobody reads along."""
    assert Store(url).engine.dialect.name == "postgresql"


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full", "disable"])
def test_an_sslmode_that_decides_is_accepted(sslmode: str) -> None:
    """Also `disable`: in a network of containers the operator may trust everybody, but must say it."""
    url = f"postgresql://bot@db.internal/bot?sslmode={sslmode}"

    assert Store(url).engine.url.query == {"sslmode": sslmode}
