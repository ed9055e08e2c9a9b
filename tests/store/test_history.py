"""History: a session's settled turns, in order, read only up to the budget. On both databases."""

from __future__ import annotations

import dataclasses

from sqlalchemy import event

from bot.domain import texts
from bot.domain.events import Attachment
from bot.prompt.history import HistoryWindow, Turn, Utterance
from bot.store import history, summaries
from bot.store.history import FIRST_PAGE, PAGE
from bot.store.settlement import TurnState
from tests.support.builders import ANA, BEN, THREAD, deletion, mention, reply, stop, thread
from tests.support.store_driver import StoreDriver


async def long_session(driver: StoreDriver, turns: int) -> None:
    """Create a session with this many numbered turns."""
    for number in range(turns):
        await driver.answer(mention(f"question {number}", f"{number:06}"), f"answer {number}")


async def test_a_turn_is_read_as_it_was_stored(driver: StoreDriver) -> None:
    """The turn has its authors, texts, files and answer, in order."""
    file = Attachment("F1", "log.txt", "text/plain", 12)
    thread_id = await driver.accepted(dataclasses.replace(mention("hello", "1.0"), attachments=(file,)))
    await driver.accepted(reply("me too", "2.0", by=BEN))
    await driver.settle(await driver.claimed(thread_id), "hi both")
    now = await driver.claimed(await driver.accepted(reply("thanks", "3.0")))

    messages = (Utterance("U-ANA", "hello", (file,)), Utterance("U-BEN", "me too"))
    assert await driver.past(now) == [Turn(messages, "hi both")]


async def test_the_history_has_failed_turns_and_no_superseded_ones(driver: StoreDriver) -> None:
    """The note of a failed turn stays. A superseded turn is left out."""
    failed = await driver.claimed(await driver.accepted(mention("one", "1.0")))
    await driver.settle(failed, "(no answer)", TurnState.FAILED)
    now = await driver.claimed(await driver.accepted(reply("two", "2.0")))
    assert [turn.answer for turn in await driver.past(now)] == ["(no answer)"]
    await driver.reset(THREAD, ANA)
    await driver.settle(now)

    assert await driver.past(await driver.claimed(await driver.accepted(reply("three", "3.0")))) == []


async def test_the_history_has_the_partial_answer_of_a_stopped_turn(driver: StoreDriver) -> None:
    """The history has the answer up to the stop, without the stop command."""
    claim = await driver.claimed(await driver.accepted(mention("one", "1.0")))
    await driver.accept_stop(stop("2.0"))
    await driver.settle(claim, "half a", TurnState.STOPPED)
    now = await driver.claimed(await driver.accepted(reply("two", "3.0")))

    assert await driver.past(now) == [Turn((Utterance("U-ANA", "one"),), "half a")]


async def test_deleted_messages_are_no_part_of_the_history(driver: StoreDriver) -> None:
    """The other messages of the turn stay, with a note for the answer. A turn without messages is left out."""
    thread_id = await driver.accepted(mention("one", "1.0"))
    await driver.accepted(reply("two", "2.0"))
    await driver.settle(await driver.claimed(thread_id), "to both")
    await driver.answer(reply("three", "3.0"), "to the third")
    for message_id in ("1.0", "3.0"):
        await driver.accept_deletion(deletion(message_id))
    now = await driver.claimed(await driver.accepted(reply("four", "4.0")))

    assert await driver.past(now) == [Turn((Utterance("U-ANA", "two"),), texts.ANSWER_ERASED)]


async def test_every_turn_is_read_oldest_first_over_several_pages(driver: StoreDriver) -> None:
    """With a large budget each turn is read once."""
    await long_session(driver, PAGE + 10)
    now = await driver.claimed(await driver.accepted(mention("now", "9")))

    assert [turn.answer for turn in await driver.past(now)] == [f"answer {number}" for number in range(PAGE + 10)]


async def test_the_rows_read_do_not_grow_with_the_session(driver: StoreDriver) -> None:
    """A small budget reads one page, with the newest turns, in a session of any length."""
    await long_session(driver, PAGE + 10)
    now = await driver.claimed(await driver.accepted(mention("now", "9")))
    statements: list[str] = []
    event.listen(driver.store.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    turns = await driver.past(now, budget=10)

    assert turns[-1].answer == f"answer {PAGE + 9}"
    assert len(turns) == FIRST_PAGE
    assert len([statement for statement in statements if "FROM turns" in statement]) == 1


async def test_unread_turns_count_as_cut(driver: StoreDriver) -> None:
    """The window begins after the unread turns. From the window on, every author is named."""
    await long_session(driver, PAGE + 10)
    now = await driver.claimed(await driver.accepted(mention("now", "9")))
    assert now.session_id is not None
    past = await driver.store.run(history.before, now.session_id, now.turn_id, budget_tokens=100)

    assert past.window == HistoryWindow(past.turns[0].id - 1, several=True)


async def test_rows_before_the_window_are_not_read(driver: StoreDriver) -> None:
    """No row before the window is read."""
    turns = [await driver.answer(mention(f"question {number}", f"{number}.0")) for number in range(1, 5)]
    await driver.store.run(summaries.move, "s1", HistoryWindow(turns[1].turn_id))
    now = await driver.claimed(await driver.accepted(mention("now", "9")))

    assert [turn.messages[0].text for turn in await driver.past(now)] == ["question 3", "question 4"]


async def test_no_other_sessions_turns_are_read(driver: StoreDriver) -> None:
    """Turns of another thread, or of the thread's closed session, are not read."""
    await driver.answer(mention("theirs", in_=thread(1)))
    await driver.answer(mention("forgotten", "1.0"))
    await driver.reset(THREAD, ANA)
    await driver.answer(mention("mine", "2.0"))
    now = await driver.claimed(await driver.accepted(mention("now", "3.0")))

    assert [message.text for turn in await driver.past(now) for message in turn.messages] == ["mine"]
