"""Inbox: a message is stored once, completely, and only if it wants an answer. On both databases."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from bot.domain.events import Attachment, MessageReceived, Thread
from bot.store.engine import Store
from bot.store.tables import MESSAGES, SESSIONS, THREADS, TURNS
from bot.testing import SettableClock
from tests.support.builders import ANA, BEN, DIRECT, NOON, THREAD, mention, reply, reset, thread
from tests.support.store_driver import Books, texts

ELSEWHERE = [
    dataclasses.replace(THREAD, platform="other"),
    dataclasses.replace(THREAD, workspace="T2"),
    dataclasses.replace(THREAD, channel="C2"),
    dataclasses.replace(THREAD, root="2.0"),
]


async def test_a_mention_is_stored_with_all_its_parts(books: Books) -> None:
    """The row has the author, text, attachments, time and session."""
    file = Attachment("F1", "log.txt", "text/plain", 12)
    await books.accepted(dataclasses.replace(mention("hello"), attachments=(file,), client_id="c1"))

    [row] = await books.rows(MESSAGES)
    assert (row.message_id, row.author_id, row.author_workspace, row.text) == ("1.0", "U-ANA", "T1", "hello")
    assert (row.session_id, row.turn_id, row.client_id, row.accepted_at) == ("s1", None, "c1", NOON)
    assert row.attachments == [{"id": "F1", "name": "log.txt", "mimetype": "text/plain", "size_bytes": 12}]


@pytest.mark.parametrize("again", [mention("hello"), reply("hello", "1.0")], ids=["mention", "plain"])
async def test_the_same_message_is_accepted_once_in_any_shape(books: Books, again: MessageReceived) -> None:
    """A second delivery is a duplicate, as `app_mention` or as `message`."""
    await books.accepted(mention("hello"))

    assert await books.accept(again) is None
    assert len(await books.rows(MESSAGES)) == 1


async def test_a_duplicate_is_recognised_after_its_turn_and_after_a_reset(books: Books) -> None:
    """A delivery hours later is a duplicate, also when the session is answered or closed."""
    await books.answer(mention("hello"))
    assert await books.accept(mention("hello")) is None
    await books.reset(THREAD, ANA)

    assert await books.accept(mention("hello")) is None
    assert len(await books.rows(SESSIONS)) == 1


async def test_an_ignored_message_leaves_no_trace(books: Books) -> None:
    """A message that wants no answer is not stored, nor is its thread."""
    assert await books.accept(reply("just chatting", "1.0")) is None
    assert await books.accept_reset(reset("2.0")) is None

    for table in (THREADS, SESSIONS, TURNS, MESSAGES):
        assert await books.rows(table) == []


async def test_an_ignored_event_does_not_hide_the_mention(books: Books) -> None:
    """The `message` event of a mention may come first and be ignored; the mention is then accepted."""
    assert await books.accept(reply("hello", "1.0")) is None

    assert await books.accept(mention("hello", "1.0")) is not None


async def test_after_a_mention_replies_need_none(books: Books) -> None:
    """The bot takes part in a thread after its first mention, and the session continues."""
    await books.accepted(mention("hello"))

    assert await books.accept(reply("still broken", "2.0", by=BEN)) is not None
    assert {row.session_id for row in await books.rows(MESSAGES)} == {"s1"}


async def test_a_reply_that_addresses_somebody_else_is_theirs(books: Books) -> None:
    """A reply that begins with another person's mention is ignored."""
    await books.accepted(mention("hello"))
    theirs = dataclasses.replace(reply("<@U-BEN> can you look?", "2.0"), addresses_other=True)

    assert await books.accept(theirs) is None


async def test_a_direct_message_needs_no_mention(books: Books) -> None:
    """Every direct message is for the bot."""
    thread_id = await books.accepted(reply("hello", "1.0", in_=DIRECT))

    assert (await books.claimed(thread_id)).thread == DIRECT


async def test_one_gesture_under_two_ids_is_accepted_once(books: Books) -> None:
    """Two deliveries with the same client id are one message."""
    gesture = dataclasses.replace(mention("hello", "1.0"), client_id="c1")
    await books.accepted(gesture)

    again = dataclasses.replace(gesture, message_id="2.0", thread=thread(2))
    assert await books.accept(again) is None


@pytest.mark.parametrize(
    "other",
    [{"author": BEN}, {"client_id": "c2"}, {"client_id": None}, {"thread": ELSEWHERE[1]}, {"thread": ELSEWHERE[2]}],
    ids=["author", "id", "no id", "workspace", "channel"],
)
async def test_the_gestures_id_counts_only_for_its_author_and_channel(books: Books, other: dict[str, Any]) -> None:
    """The same client id of another author, or in another channel, is another message."""
    gesture = dataclasses.replace(mention("hello", "1.0"), client_id="c1")
    await books.accepted(gesture)

    different = dataclasses.replace(gesture, message_id="2.0", **other)
    assert await books.accept(different) is not None


@pytest.mark.parametrize("other", ELSEWHERE, ids=["platform", "workspace", "channel", "root"])
async def test_places_are_told_apart_by_every_part_of_their_key(books: Books, other: Thread) -> None:
    """Platform, workspace, channel and root each make another thread with another session."""
    here = await books.accepted(mention("here"))
    there = await books.accepted(mention("there", in_=other))

    assert here != there
    assert texts(await books.claimed(here)) == ["here"]
    assert texts(await books.claimed(there)) == ["there"]
    assert await books.accept(mention("here")) is None


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
async def test_any_text_can_be_stored(books: Books, text: str, stored: str) -> None:
    """Every text is accepted and read back, as far as a database can store it."""
    thread_id = await books.accepted(mention(text))

    assert texts(await books.claimed(thread_id)) == [stored]


async def test_a_strange_file_name_can_be_stored(books: Books) -> None:
    """A file's name may have characters that a text may not; the message is accepted."""
    file = Attachment("F1", "a\0b\ud83d.txt", "text/plain", 1)
    thread_id = await books.accepted(dataclasses.replace(mention("see"), attachments=(file,)))

    [utterance] = (await books.claimed(thread_id)).utterances
    assert utterance.attachments[0].id == "F1"


async def test_many_deliveries_at_once_make_one_message(store: Store, clock: SettableClock) -> None:
    """Forty concurrent deliveries from two replicas make one row and one session."""
    replica = Store(store.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    both = [Books(store, clock), Books(replica, clock)]
    thread_ids = await asyncio.gather(*(books.accept(mention("hello")) for books in both * 20))
    await replica.close()

    assert len([thread_id for thread_id in thread_ids if thread_id is not None]) == 1
    assert len(await both[0].rows(MESSAGES)) == len(await both[0].rows(SESSIONS)) == 1


async def test_many_messages_of_a_new_thread_at_once_share_one_session(books: Books) -> None:
    """Concurrent first messages of a thread open one session together."""
    await asyncio.gather(*(books.accept(mention(str(number), f"{number}.0")) for number in range(20)))

    assert len(await books.rows(MESSAGES)) == 20
    assert len(await books.rows(SESSIONS)) == len(await books.rows(THREADS)) == 1
