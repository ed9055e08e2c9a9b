"""Recalled turns: what a session knows, read outside of the transaction that begins its next turn."""

from __future__ import annotations

from sqlalchemy import event

from bot.domain.sessions import ResetOutcome
from bot.prompt.history import Turn, Utterance
from bot.store import chat_turns, claims, inbox, recalled_turns, tables
from bot.store.chat_turns import ChatClaim, NewTurn, Outdated
from bot.store.recalled_turns import MOST_CHARACTERS, MOST_TURNS, RecalledTurns
from bot.store.settlement import Settlement, TurnState
from bot.turns.caller_places import CallerPlaces
from tests.support.builders import DAY
from tests.support.store_driver import MINUTE, StoreDriver

OURS = CallerPlaces(b"secret").session("key-1", "one")


def numbered(count: int, length: int = 1) -> tuple[Turn, ...]:
    """Return turns whose questions are numbers, with answers of this length."""
    return tuple(Turn((Utterance("key-1", str(number)),), "a" * length) for number in range(count))


async def begin(
    driver: StoreDriver, *lacking: Turn, after: int | None = None, text: str = "now"
) -> ChatClaim | Outdated:
    """Begin a turn, with turns that the session lacked when this turn was its newest."""
    new, lease, new_id = NewTurn((text,), lacking, None, after), driver.lease("one"), driver.new_id()
    begun = await driver.store.run(chat_turns.begin, lease, OURS, new, new_id=new_id, idle_after=DAY)
    assert isinstance(begun, ChatClaim | Outdated)
    return begun


async def answered(driver: StoreDriver, *lacking: Turn, text: str = "now") -> ChatClaim:
    """Begin a turn after these turns, and settle it."""
    claim = await begin(driver, *lacking, text=text)
    assert isinstance(claim, ChatClaim)
    assert await driver.store.run(
        claims.settle, claim, Settlement(TurnState.ANSWERED, "done", model="m"), now=driver.now
    )
    return claim


async def recalled(driver: StoreDriver) -> RecalledTurns:
    """Return the turns that the session has by now."""
    return await driver.store.run(recalled_turns.read, OURS, now=driver.now, idle_after=DAY)


async def newest(driver: StoreDriver) -> int:
    """Return the id of the newest of these turns."""
    return await driver.store.run(recalled_turns.newest, OURS, now=driver.now, idle_after=DAY)


async def test_a_sessions_turns_are_recalled_in_order(driver: StoreDriver) -> None:
    """They are whole, oldest first, over several pages. The running turn is not one of them."""
    await answered(driver, *numbered(100))
    await begin(driver, text="running")
    known = await recalled(driver)

    assert [turn.messages[0].text for turn in known.turns] == [*map(str, range(100)), "now"]
    assert (known.whole, known.newest) == (True, await newest(driver))


async def test_nothing_is_recalled_of_a_closed_session(driver: StoreDriver) -> None:
    """Neither before the first question, nor after a reset or an expiry."""
    found = [(await recalled(driver), await newest(driver))]
    await answered(driver)
    assert await driver.store.run(inbox.reset, OURS, chat_turns.speaker(OURS), now=driver.now) is ResetOutcome.DONE
    found.append((await recalled(driver), await newest(driver)))
    await answered(driver)
    driver.now += DAY + MINUTE
    found.append((await recalled(driver), await newest(driver)))

    assert found == [(RecalledTurns(), 0)] * 3


async def test_only_the_newest_turns_are_recalled(driver: StoreDriver) -> None:
    """However many turns a session has, and however long they are, a bounded part is read."""
    await answered(driver, *numbered(MOST_TURNS + 1))
    many = await recalled(driver)
    await answered(driver, *numbered(4, MOST_CHARACTERS // 2))
    long = await recalled(driver)

    assert (len(many.turns), many.whole) == (MOST_TURNS, False)
    assert len(long.turns) < 50
    assert (long.turns[-1].answer, long.whole) == ("done", False)


async def test_a_session_that_changed_meanwhile_is_compared_again(driver: StoreDriver) -> None:
    """The turn is not begun when the session got turns, was reset or has expired since. The thread stays free."""
    first = await answered(driver)
    outdated = [await begin(driver, *numbered(1), after=0)]
    await driver.store.run(inbox.reset, OURS, chat_turns.speaker(OURS), now=driver.now)
    outdated.append(await begin(driver, *numbered(1), after=first.turn_id))
    second = await answered(driver)
    driver.now += DAY + MINUTE
    outdated.append(await begin(driver, *numbered(1), after=second.turn_id))

    assert all(isinstance(each, Outdated) for each in outdated)
    assert len(await driver.rows(tables.MESSAGES)) == 2
    assert isinstance(await begin(driver, *numbered(1), after=0), ChatClaim)


async def test_turns_are_imported_in_a_few_statements(driver: StoreDriver) -> None:
    """The number of statements does not grow with the number of turns. Ids and messages are in order."""
    statements: list[str] = []
    event.listen(driver.store.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    counts = []
    for size in (2, 300):
        statements.clear()
        claim = await answered(driver, *numbered(size))
        counts.append(len(statements))
        assert list(claim.imported) == sorted(claim.imported)
        assert claim.imported[-1] < claim.turn_id

    assert counts[1] <= counts[0]  # the first one makes the session, too
    rows = await driver.rows(tables.MESSAGES)
    assert [row.text for row in rows] == ["0", "1", "now", *map(str, range(300)), "now"]
    assert [row.message_id for row in rows] == sorted(row.message_id for row in rows)
