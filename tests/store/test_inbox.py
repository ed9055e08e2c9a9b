"""Inbox: a message is stored once, completely, and only if it wants an answer. On both databases."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa

from bot.domain.events import Attachment, MessageReceived, Thread
from bot.domain.sessions import ResetOutcome
from bot.store.engine import Store
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, SESSIONS, THREADS, TURNS
from bot.testing import SettableClock
from tests.support.builders import ANA, BEN, DIRECT, NOON, THREAD, mention, reply, reset, thread
from tests.support.store_driver import StoreDriver, texts

ELSEWHERE = [
    dataclasses.replace(THREAD, platform="other"),
    dataclasses.replace(THREAD, workspace="T2"),
    dataclasses.replace(THREAD, channel="C2"),
    dataclasses.replace(THREAD, root="2.0"),
]


async def test_a_mention_is_stored_with_all_its_parts(driver: StoreDriver) -> None:
    """The row has the author, text, attachments, time and session."""
    file = Attachment("F1", "log.txt", "text/plain", 12)
    await driver.accepted(dataclasses.replace(mention("hello"), attachments=(file,), client_id="c1"))

    [row] = await driver.rows(MESSAGES)
    assert (row.message_id, row.author_id, row.author_workspace, row.text) == ("1.0", "U-ANA", "T1", "hello")
    assert (row.session_id, row.turn_id, row.client_id, row.accepted_at) == ("s1", None, "c1", NOON)
    assert row.attachments == [{"id": "F1", "name": "log.txt", "mimetype": "text/plain", "size_bytes": 12}]


@pytest.mark.parametrize("again", [mention("hello"), reply("hello", "1.0")], ids=["mention", "plain"])
async def test_the_same_message_is_accepted_once_in_any_shape(driver: StoreDriver, again: MessageReceived) -> None:
    """A second delivery is a duplicate, as `app_mention` or as `message`."""
    await driver.accepted(mention("hello"))

    assert await driver.accept(again) is None
    assert len(await driver.rows(MESSAGES)) == 1


async def test_a_duplicate_is_recognised_after_its_turn_and_after_a_reset(driver: StoreDriver) -> None:
    """A delivery hours later is a duplicate, also when the session is answered or closed."""
    await driver.answer(mention("hello"))
    assert await driver.accept(mention("hello")) is None
    await driver.reset(THREAD, ANA)

    assert await driver.accept(mention("hello")) is None
    assert len(await driver.rows(SESSIONS)) == 1


async def test_an_ignored_message_leaves_no_row(driver: StoreDriver) -> None:
    """Neither the message nor its thread is stored."""
    assert await driver.accept(reply("just chatting", "1.0")) is None
    assert await driver.accept_reset(reset("2.0")) is None

    for table in (THREADS, SESSIONS, TURNS, MESSAGES):
        assert await driver.rows(table) == []


async def test_an_ignored_event_does_not_hide_the_mention(driver: StoreDriver) -> None:
    """The `message` event of a mention may come first and be ignored. The mention is then accepted."""
    assert await driver.accept(reply("hello", "1.0")) is None

    assert await driver.accept(mention("hello", "1.0")) is not None


async def test_replies_after_a_mention_need_no_mention(driver: StoreDriver) -> None:
    """The bot takes part in a thread after its first mention. Replies continue the session."""
    await driver.accepted(mention("hello"))

    assert await driver.accept(reply("still broken", "2.0", by=BEN)) is not None
    assert {row.session_id for row in await driver.rows(MESSAGES)} == {"s1"}


async def test_a_reply_that_addresses_another_person_is_ignored(driver: StoreDriver) -> None:
    """The bot ignores a reply that begins with another person's mention."""
    await driver.accepted(mention("hello"))
    theirs = dataclasses.replace(reply("<@U-BEN> can you look?", "2.0"), addresses_other=True)

    assert await driver.accept(theirs) is None


async def test_a_direct_message_needs_no_mention(driver: StoreDriver) -> None:
    """Every direct message is for the bot."""
    thread_id = await driver.accepted(reply("hello", "1.0", in_=DIRECT))

    assert (await driver.claimed(thread_id)).thread == DIRECT


async def test_one_client_id_under_two_message_ids_is_accepted_once(driver: StoreDriver) -> None:
    """Two deliveries with the same client id are one message."""
    gesture = dataclasses.replace(mention("hello", "1.0"), client_id="c1")
    await driver.accepted(gesture)

    again = dataclasses.replace(gesture, message_id="2.0", thread=thread(2))
    assert await driver.accept(again) is None


@pytest.mark.parametrize(
    "other",
    [{"author": BEN}, {"client_id": "c2"}, {"client_id": None}, {"thread": ELSEWHERE[1]}, {"thread": ELSEWHERE[2]}],
    ids=["author", "id", "no id", "workspace", "channel"],
)
async def test_a_client_id_is_unique_per_author_and_channel(driver: StoreDriver, other: dict[str, Any]) -> None:
    """The same client id of another author, or in another channel, is another message."""
    gesture = dataclasses.replace(mention("hello", "1.0"), client_id="c1")
    await driver.accepted(gesture)

    different = dataclasses.replace(gesture, message_id="2.0", **other)
    assert await driver.accept(different) is not None


@pytest.mark.parametrize("other", ELSEWHERE, ids=["platform", "workspace", "channel", "root"])
async def test_every_part_of_a_threads_key_counts(driver: StoreDriver, other: Thread) -> None:
    """A different platform, workspace, channel or root makes another thread with another session."""
    here = await driver.accepted(mention("here"))
    there = await driver.accepted(mention("there", in_=other))

    assert here != there
    assert texts(await driver.claimed(here)) == ["here"]
    assert texts(await driver.claimed(there)) == ["there"]
    assert await driver.accept(mention("here")) is None


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("nul\0byte", "nulbyte"),
        ("half \ud83d a pair", "half ? a pair"),
        ("👩\u200d🚒 Grüße \u202e", "👩\u200d🚒 Grüße \u202e"),
        ("x" * 100_000, "x" * 100_000),
        ("'; DROP TABLE messages; -- %s :text ?", "'; DROP TABLE messages; -- %s :text ?"),
        ("", ""),
    ],
    ids=["nul", "surrogate", "emoji", "long", "sql", "empty"],
)
async def test_any_text_can_be_stored(driver: StoreDriver, text: str, stored: str) -> None:
    """Every text is accepted and read back. Only characters that a database refuses are lost."""
    thread_id = await driver.accepted(mention(text))

    assert texts(await driver.claimed(thread_id)) == [stored]


async def test_a_strange_file_name_can_be_stored(driver: StoreDriver) -> None:
    """A file's name may have characters that a text may not have. The message is accepted."""
    file = Attachment("F1", "a\0b\ud83d.txt", "text/plain", 1)
    thread_id = await driver.accepted(dataclasses.replace(mention("see"), attachments=(file,)))

    [utterance] = (await driver.claimed(thread_id)).utterances
    assert utterance.attachments[0].id == "F1"


async def test_many_deliveries_at_once_make_one_message(store: Store, clock: SettableClock) -> None:
    """Forty concurrent deliveries from two replicas make one row and one session."""
    replica = Store(store.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    both = [StoreDriver(store, clock), StoreDriver(replica, clock)]
    thread_ids = await asyncio.gather(*(driver.accept(mention("hello")) for driver in both * 20))
    await replica.close()

    assert len([thread_id for thread_id in thread_ids if thread_id is not None]) == 1
    assert len(await both[0].rows(MESSAGES)) == len(await both[0].rows(SESSIONS)) == 1


async def test_many_messages_of_a_new_thread_at_once_share_one_session(driver: StoreDriver) -> None:
    """Concurrent first messages of a thread open one session together."""
    await asyncio.gather(*(driver.accept(mention(str(number), f"{number}.0")) for number in range(20)))

    assert len(await driver.rows(MESSAGES)) == 20
    assert len(await driver.rows(SESSIONS)) == len(await driver.rows(THREADS)) == 1


async def test_a_reset_of_a_dm_costs_no_statement_per_session(driver: StoreDriver) -> None:
    """Hundreds of messages may wait in a DM. None is answered after the reset, and it runs as many statements for 3."""
    statements: list[str] = []
    sa.event.listen(driver.store.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    counts = []
    for channel, waiting in (("D1", 3), ("D2", 30)):
        for number in range(1, waiting + 1):
            message_id = f"{number:06}.0"
            in_ = dataclasses.replace(DIRECT, channel=channel, root=message_id)
            await driver.accepted(reply("hello", message_id, in_=in_))
        statements.clear()
        in_ = dataclasses.replace(DIRECT, channel=channel, root="999999.0")
        assert await driver.accept_reset(reset("999999.0", in_=in_)) is ResetOutcome.DONE
        counts.append(len(statements))

    assert counts[0] == counts[1]
    messages = [row for row in await driver.rows(MESSAGES) if row.fixed_reply is None]
    turns = {row.id: row for row in await driver.rows(TURNS)}
    assert len(turns) == len(messages)
    assert all(turns[row.turn_id].session_id == row.session_id for row in messages)
    assert {row.state for row in turns.values()} == {TurnState.SUPERSEDED.value}
