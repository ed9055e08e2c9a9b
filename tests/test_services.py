"""The services: Slack's turns, API callers' requests and summaries have room of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bot.config.settings import Settings
from bot.errors import NoDatabase, Overloaded
from bot.services import REQUESTS_SHARE, PlatformServices, open_platform_services, open_services, open_store
from bot.testing import PausedStep, SettableClock
from bot.turns.chat_question import Question
from tests.support.builders import mention, thread
from tests.support.openai_server import OpenAIServer, says
from tests.support.recording_adapter import RecordingAdapter
from tests.support.timeouts import GENEROUS_S

AT_ONCE = 8
REQUESTS = int(AT_ONCE * REQUESTS_SHARE)


@pytest.fixture
def settings(empty_sqlite_url: str, reciter: OpenAIServer) -> Settings:
    """Settings of a process that may answer eight turns at once."""
    model = {"OPENAI_BASE_URL": reciter.base_url, "OPENAI_MODEL": "test-model"}
    return Settings.load({"DATABASE_URL": empty_sqlite_url, "MAX_RUNNING_TURNS": f"{AT_ONCE}", **model})


@pytest.fixture
async def services(settings: Settings, clock: SettableClock) -> AsyncIterator[PlatformServices]:
    """The services of such a process, on a chat platform."""
    async with open_platform_services(settings, [RecordingAdapter()], clock=clock.now) as opened:
        yield opened


@pytest.fixture
def empty_of_tables(tmp_path: Path) -> str:
    """A SQLite file without tables."""
    file = tmp_path / "empty.db"
    file.touch()
    return f"sqlite:///{file}"


async def test_api_callers_run_a_share_of_the_turns_beside_a_platform(
    services: PlatformServices, settings: Settings, clock: SettableClock
) -> None:
    """One more is refused. A process without a chat platform gives them all."""
    async with AsyncExitStack() as stack:
        for number in range(REQUESTS):
            await stack.enter_async_context(services.chat_service.ask(_question(number)))
        with pytest.raises(Overloaded):
            await stack.enter_async_context(services.chat_service.ask(_question(REQUESTS)))
    async with open_services(settings, clock=clock.now) as alone, AsyncExitStack() as stack:
        for number in range(AT_ONCE):
            await stack.enter_async_context(alone.chat_service.ask(_question(number)))


async def test_every_turn_reaches_the_model_while_api_callers_hold_all_their_streams(
    services: PlatformServices, reciter: OpenAIServer
) -> None:
    """The model's connections of API callers are their own: as many turns as may run at once get one each."""
    hold = PausedStep()
    reciter.script(*[says("word", hold)] * (REQUESTS + AT_ONCE))
    readers = [asyncio.create_task(_read(services, number)) for number in range(REQUESTS)]
    await reciter.asked(REQUESTS, within_s=GENEROUS_S)
    for number in range(AT_ONCE):
        await services.inbox.accept(mention("hi", in_=thread(number)))
    await reciter.asked(REQUESTS + AT_ONCE, within_s=GENEROUS_S)
    hold.release()
    await asyncio.gather(*readers)


async def test_a_new_database_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong DATABASE_URL makes a new database. The event has its path, and the next start logs none."""
    caplog.set_level("INFO", "bot")
    file = tmp_path / "elsewhere.db"
    settings = Settings.load({"DATABASE_URL": f"sqlite:///{file}"})
    for _ in range(2):
        async with open_store(settings):
            pass

    created = [record for record in caplog.records if record.getMessage() == "database_created"]
    assert [vars(record)["database"] for record in created] == [str(file)]


async def test_commands_that_read_refuse_an_empty_database(empty_of_tables: str) -> None:
    """They name its place and DATABASE_URL, and make no tables."""
    settings = Settings.load({"DATABASE_URL": empty_of_tables})
    for _ in range(2):
        with pytest.raises(NoDatabase, match=r"^The database at [^\n]+ is empty\. Check DATABASE_URL\.$"):
            async with open_store(settings, must_exist=True):
                pass


async def _read(services: PlatformServices, number: int) -> None:
    async with services.chat_service.ask(_question(number)) as reply:
        assert [piece async for piece in reply.words()]


def _question(number: int) -> Question:
    return Question(f"key-{number}", None, messages=({"role": "user", "content": "hi"},))
