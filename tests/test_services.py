"""The services: Slack's turns, API callers' requests and summaries have room of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bot.config.settings import Settings
from bot.errors import Overloaded
from bot.services import REQUESTS_SHARE, PlatformServices, open_platform_services, open_services
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


async def _read(services: PlatformServices, number: int) -> None:
    async with services.chat_service.ask(_question(number)) as reply:
        assert [piece async for piece in reply.words()]


def _question(number: int) -> Question:
    return Question(f"key-{number}", None, messages=({"role": "user", "content": "hi"},))
