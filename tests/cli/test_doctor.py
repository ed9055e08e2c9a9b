"""The doctor's measurement of the model, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from bot.cli.doctor import first_token
from bot.config.settings import Settings
from bot.testing import PausedStep
from tests.support.openai_server import OpenAIServer, Step, event, says
from tests.support.virtual_time import in_virtual_time

THOUGHT = event({"choices": [{"delta": {"reasoning_content": "Hm"}}]})


@pytest.mark.parametrize(
    ("first", "after_s", "found"),
    [
        ("Hello", 20.0, "after 20.0 s"),
        ("Hello", 40.0, "after 40.0 s. WARNING: that is close to MODEL_TIMEOUT_SECONDS (60); raise it to 160"),
        (THOUGHT, 20.0, "after 20.0 s"),
    ],
)
def test_a_slow_first_token_is_a_warning(first: Step, after_s: float, found: str) -> None:
    """The time until the first text or reasoning is measured. Half of the timeout is a reason to warn."""

    @in_virtual_time
    async def play() -> None:
        hold = PausedStep()
        server = OpenAIServer(lambda _: says(hold, first, PausedStep()))
        settings = Settings(openai_base_url=await server.start())

        async def release() -> None:
            await hold.reached()
            await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=after_s)
            hold.release()

        releasing = asyncio.create_task(release())
        assert await first_token(settings) == found
        await releasing
        await server.stop()

    play()
