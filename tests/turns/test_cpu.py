"""CPU work on large texts runs beside the event loop, whatever it is for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bot.domain.events import StatusRequested
from bot.errors import ModelError, Trouble
from bot.prompt.budget import Budget
from bot.store import status_requests
from bot.store.claims import PlatformClaim
from bot.store.engine import Store
from bot.testing import ScriptedLLM, SettableClock
from bot.turns.cpu import INLINE, compute
from tests.support.builders import ANA, THREAD, mention, reply
from tests.support.interfered_store import InterferedStore
from tests.support.loop_probe import loop_probe
from tests.support.store_driver import StoreDriver
from tests.support.timeouts import GENEROUS_S
from tests.support.work_layer import Echo, WorkLayer
from tests.turns.test_chat_service import ChatStage
from tests.turns.test_handler import answered, claimed

LONGEST_MS = 20  # of CPU time of the event loop's thread
HOSTILE = ".a" * 20_000  # each character is a token
MESSAGES = 20


def wide() -> Budget:
    """Return a budget with room for much of the history."""
    return Budget(window_tokens=1_000_000, answer_tokens=1_000, history_tokens=500_000)


async def test_a_platforms_turn_is_composed_beside_the_loop(
    store: Store, clock: SettableClock, driver: StoreDriver
) -> None:
    """Long texts do not hold the loop, whether they stand in the question or before it. Nor does their summary."""
    work_layer = WorkLayer(store, Echo(), clock, budget=wide())
    question = await claimed(driver, mention(HOSTILE))
    with loop_probe() as probe:
        await answered(work_layer, question)
        for number in range(MESSAGES):
            await driver.answer(reply(HOSTILE, f"2.{number:03}"), "fine")
        await answered(work_layer, await claimed(driver, reply("and now?", "9.0")))
        await work_layer.summariser.idle()

    assert set(work_layer.assistant.threads) == {"platforms-cpu_0"}
    assert probe.longest_ms < LONGEST_MS


async def test_a_short_turn_is_composed_at_once(store: Store, clock: SettableClock, driver: StoreDriver) -> None:
    """A usual turn needs no thread."""
    work_layer = WorkLayer(store, Echo(), clock)
    await answered(work_layer, await claimed(driver, mention("hi")))

    assert work_layer.assistant.threads == [threading.current_thread().name]


async def test_a_callers_turn_is_composed_beside_the_loop(database_url: str, clock: SettableClock) -> None:
    """A short question does not hold the loop for the history of its session."""
    store = InterferedStore(database_url)
    stage = ChatStage(store, Echo(), clock, budget=wide())
    await stage.asks(HOSTILE)
    with loop_probe() as probe:
        for _ in range(MESSAGES // 2):
            await stage.asks(HOSTILE)
        await stage.asks("and now?")
        await stage.summariser.idle()

    assert set(stage.assistant.threads) == {"cpu_0"}
    assert probe.longest_ms < LONGEST_MS
    await store.close()


async def test_a_sessions_memory_is_measured_beside_the_loop(
    store: Store, clock: SettableClock, driver: StoreDriver
) -> None:
    """Telling how much of the memory is filled does not hold the loop."""
    work_layer = WorkLayer(store, Echo(), clock, budget=wide())
    for number in range(MESSAGES):
        await driver.answer(mention(HOSTILE, f"{number:03}.0"), "fine")
    claim = await status_claimed(store, driver)
    with loop_probe() as probe:
        await answered(work_layer, claim)

    assert probe.longest_ms < LONGEST_MS


async def test_a_platform_does_not_wait_for_callers(
    store: Store, clock: SettableClock, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """While a caller's work takes long, a platform's turn is composed, and again where the window is too small.

    A request for the memory's figures is answered, too.
    """
    work_layer = WorkLayer(store, llm, clock, budget=wide())
    await driver.answer(mention(HOSTILE), HOSTILE)
    question = await claimed(driver, reply("and now?", "2.0"))
    llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long"))
    llm.script("Fine.")
    with callers_at_work():
        async with asyncio.timeout(GENEROUS_S):
            [answer] = await answered(work_layer, question)
            await answered(work_layer, await status_claimed(store, driver))
    assert answer.result.text == "Fine."


async def status_claimed(store: Store, driver: StoreDriver) -> PlatformClaim:
    """Accept a request for the memory's figures, and claim its thread."""
    thread_id = await store.run(status_requests.accept, StatusRequested(THREAD, "9.0", ANA), now=driver.now)
    assert thread_id is not None
    return await driver.claimed(thread_id)


@contextmanager
def callers_at_work() -> Iterator[None]:
    """Keep the thread busy that does the callers' work."""
    may_end = threading.Event()
    work = asyncio.ensure_future(compute(INLINE + 1, may_end.wait, GENEROUS_S))
    try:
        yield
        assert not work.done()
    finally:
        may_end.set()
