"""Session locks: one question at a time, in the order of arrival; unused locks are deleted."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import SessionBusy
from bot.turns.session_locks import SessionLocks
from tests.support.builders import PLACES


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=20))
async def test_a_session_answers_one_question_at_a_time(people: list[tuple[str, bool]]) -> None:
    """Questions run in the order of their arrival, also if some are cancelled. At the end no lock is left."""
    locks, most, inside = SessionLocks(timeout_s=20), [1], dict.fromkeys("ab", 0)
    came: dict[str, list[int]] = {"a": [], "b": []}

    async def ask(number: int, session: str) -> None:
        async with locks.lock(PLACES.session("key-1", session)):
            inside[session] += 1
            most.append(inside[session])
            came[session].append(number)
            try:
                await asyncio.sleep(0)
            finally:
                inside[session] -= 1

    asking = [asyncio.create_task(ask(number, session)) for number, (session, _) in enumerate(people)]
    await asyncio.sleep(0)
    for task, (_, leaves) in zip(asking, people, strict=True):
        if leaves:
            task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)

    stayed = {number for number, (_, leaves) in enumerate(people) if not leaves}
    assert max(most) == 1
    assert {session: sorted(numbers) for session, numbers in came.items()} == came
    assert stayed <= {number for numbers in came.values() for number in numbers}
    assert locks._locks == {}  # noqa: SLF001 - it must not grow


async def test_waiting_for_a_session_times_out() -> None:
    """A question that waits longer than the timeout raises, and does not delay those behind it."""
    locks, thread = SessionLocks(timeout_s=0.01), PLACES.session("key-1", "one")
    async with locks.lock(thread):
        with pytest.raises(SessionBusy):
            async with locks.lock(thread):
                pass

    async with locks.lock(thread):
        pass
