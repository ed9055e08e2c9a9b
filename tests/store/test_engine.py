"""The store: transactions are atomic, and errors do not quote people's messages."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import threading
import traceback
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, event

from bot.errors import StartupError, StoreUnavailable
from bot.store.engine import MAX_QUEUED, MAX_QUEUED_OF_OTHERS, Store, mark_dirty
from bot.store.pool import OF_OTHERS
from bot.store.tables import MESSAGES, THREADS
from bot.store.vacuum import PAGES_PER_STEP
from tests.support.builders import NOON, mention
from tests.support.interfered_store import busied, rival
from tests.support.store_driver import StoreDriver

SECRET = "my-password-is-hunter2"


def add_thread(connection: Connection, root: str) -> None:
    """Insert a row, which shows whether the transaction was committed."""
    place = {"platform": "p", "workspace": "w", "channel": "c", "root": root, "direct": False, "engaged": False}
    connection.execute(sa.insert(THREADS).values(place))


async def test_a_failed_transaction_is_rolled_back(driver: StoreDriver) -> None:
    """When the function raises, its writes are rolled back, and the error is raised unchanged."""

    def half(connection: Connection) -> None:
        add_thread(connection, "1.0")
        raise LookupError("half-way")

    with pytest.raises(LookupError, match="half-way"):
        await driver.store.run(half)
    assert await driver.rows(THREADS) == []


async def test_a_cancelled_caller_does_not_abort_the_transaction(driver: StoreDriver) -> None:
    """The caller may be cancelled. The running transaction is still committed."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        add_thread(connection, "1.0")
        begun.set()
        go_on.wait(60)
        add_thread(connection, "2.0")

    waiting = asyncio.create_task(driver.store.run(slow))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await driver.store.close()  # waits for the running transaction

    with driver.store.engine.connect() as connection:
        assert set(connection.execute(sa.select(THREADS.c.root)).scalars()) == {"1.0", "2.0"}
    driver.store.engine.dispose()


async def test_required_writes_wait_for_a_locked_database(empty_sqlite_url: str) -> None:
    """Another process holds the lock for longer than the busy timeout. Afterwards everything is stored."""
    store = Store(empty_sqlite_url)
    other = await rival(store)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        await store.run(add_thread, "1.0")
    event.listen(store.engine, "handle_error", lambda _: other.rollback())
    await store.run_until_available(add_thread, "2.0")

    assert await store.run(lambda connection: connection.execute(sa.select(THREADS.c.root)).all()) == [("2.0",)]
    await store.close()
    other.close()


async def test_required_writes_are_retried_after_a_lost_connection(empty_postgres_url: str) -> None:
    """The server closes a connection during a transaction. The retry stores everything."""
    store, tries = Store(empty_postgres_url), itertools.count(1)

    def cut_at_first(connection: Connection) -> None:
        number = next(tries)
        add_thread(connection, str(number))
        if number == 1:
            connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    await store.run_until_available(cut_at_first)

    assert await store.run(lambda connection: connection.execute(sa.select(THREADS.c.root)).all()) == [("2",)]
    await store.close()


async def test_a_caller_that_waits_for_the_database_can_be_cancelled(empty_sqlite_url: str) -> None:
    """A process that shuts down does not wait for a missing database."""
    store, failed = Store(empty_sqlite_url), threading.Event()
    other = await rival(store)
    other.execute("BEGIN IMMEDIATE")
    event.listen(store.engine, "handle_error", lambda _: failed.set())
    waiting = asyncio.create_task(store.run_until_available(add_thread, "1.0"))
    await asyncio.to_thread(failed.wait)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.close()
    other.close()


async def test_a_violated_constraint_is_not_retried(driver: StoreDriver) -> None:
    """A violated constraint raises at once, so that the caller can react."""
    await driver.store.run(add_thread, "1.0")

    with pytest.raises(StoreUnavailable, match=r"IntegrityError|UniqueViolation"):
        await driver.store.run_until_available(add_thread, "1.0")


async def test_the_queue_for_the_database_is_bounded(empty_sqlite_url: str) -> None:
    """A full queue refuses further transactions until it is shorter. The queued ones run."""
    store, go_on = Store(empty_sqlite_url), threading.Event()
    first = asyncio.create_task(store.run(lambda _: go_on.wait(60)))
    queued = [asyncio.create_task(store.run(lambda _: True)) for _ in range(MAX_QUEUED - 1)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="too many"):
        await store.run(lambda _: True)
    go_on.set()

    assert all(await asyncio.gather(first, *queued))
    assert await store.run(lambda _: True)
    await store.close()


async def test_transactions_of_requests_take_turns_with_the_others(empty_sqlite_url: str) -> None:
    """However many requests of API callers wait, each other transaction waits for one of them at most."""
    store, go_on, order = Store(empty_sqlite_url), threading.Event(), list[str]()
    busy = await busied(store, go_on)

    async def run(name: str, *, of_request: bool) -> None:
        OF_OTHERS.set(of_request)
        await store.run(lambda _: order.append(name))

    queued = [asyncio.create_task(run(f"request {number}", of_request=True)) for number in range(50)]
    await asyncio.sleep(0)
    queued += [asyncio.create_task(run(f"turn {number}", of_request=False)) for number in range(3)]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(busy, *queued)
    await store.close()

    assert [order.index(f"turn {number}") <= 2 * number + 1 for number in range(3)] == [True] * 3
    assert [name for name in order if "request" in name] == [f"request {number}" for number in range(50)]


async def test_requests_do_not_fill_the_queue_of_others(empty_sqlite_url: str) -> None:
    """When as many transactions of API callers wait as may, Slack's events are still stored."""
    store, go_on = Store(empty_sqlite_url), threading.Event()
    busy = await busied(store, go_on)

    async def request() -> bool:
        OF_OTHERS.set(True)
        return await store.run(lambda _: True)

    queued = [asyncio.create_task(request()) for _ in range(MAX_QUEUED_OF_OTHERS)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="too many"):
        await asyncio.create_task(request())
    event = asyncio.create_task(store.run_urgent(lambda _: True))
    go_on.set()

    assert all(await asyncio.gather(event, *queued))
    await busy
    await store.close()


async def test_urgent_transactions_go_first(empty_sqlite_url: str) -> None:
    """Urgent transactions overtake the queue, but not the running one. They keep their own order."""
    store, go_on, order = Store(empty_sqlite_url), threading.Event(), list[str]()
    busy = await busied(store, go_on)

    def note(_: Connection, name: str) -> None:
        order.append(name)

    urgency = (("c", store.run), ("a", store.run_urgent), ("d", store.run), ("b", store.run_urgent))
    queued = [asyncio.create_task(run(note, name)) for name, run in urgency]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(busy, *queued)

    assert order == ["a", "b", "c", "d"]
    await store.close()


async def test_a_transaction_cancelled_in_the_queue_does_not_run(empty_sqlite_url: str) -> None:
    """A transaction that is cancelled in the queue does not run. The ones behind it do."""
    store, go_on = Store(empty_sqlite_url), threading.Event()
    busy = await busied(store, go_on)
    queued = [asyncio.create_task(store.run(add_thread, root)) for root in ("1.0", "2.0")]
    await asyncio.sleep(0)
    queued[0].cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(busy, queued[1])

    assert await store.run(lambda connection: connection.execute(sa.select(THREADS.c.root)).all()) == [("2.0",)]
    await store.close()


async def test_a_database_error_quotes_no_message(driver: StoreDriver) -> None:
    """Neither the error nor its causes hold a statement's parameters."""
    await driver.accepted(mention(SECRET))
    [row] = await driver.rows(MESSAGES)
    again = {**row._mapping, "id": row.id + 1, "message_id": row.message_id}  # noqa: SLF001 - the documented name
    with pytest.raises(StoreUnavailable) as caught:
        await driver.store.run(lambda connection: connection.execute(sa.insert(MESSAGES).values(again)))

    error = caught.value
    assert SECRET not in "".join([str(error), repr(error), *traceback.format_exception(error)])
    assert (error.__cause__, error.__context__) == (None, None)


async def test_a_programming_error_quotes_no_message(driver: StoreDriver) -> None:
    """The log line of a programming error in a statement has none of the statement's other values."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - what must be refused
    wrong = {"text": SECRET, "accepted_at": naive}
    with pytest.raises(sa.exc.StatementError, match="naive") as caught:
        await driver.store.run(lambda connection: connection.execute(sa.update(MESSAGES), wrong))

    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_times_come_back_aware_and_in_utc(driver: StoreDriver) -> None:
    """A time in any zone is the same moment in UTC when it is read."""
    tokyo = datetime(2026, 1, 1, 9, 30, 15, 123456, tzinfo=timezone(timedelta(hours=9)))
    driver.now = tokyo
    await driver.accepted(mention("hello"))

    stored = (await driver.rows(MESSAGES))[0].accepted_at
    assert stored == tokyo
    assert stored.tzinfo is UTC


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://bot:{SECRET}@127.0.0.1:1/bot",
        f"postgresql://bot@127.0.0.1:1/bot?password={SECRET}",
    ],
)
async def test_an_unreachable_server_is_one_line_without_the_password(url: str) -> None:
    """The error line has the host and the remedy. It hides the password in every spelling of the URL."""
    store = Store(url)
    with pytest.raises(StartupError, match="DATABASE_URL") as caught:
        await store.check()
    await store.close()

    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text
    assert "127.0.0.1" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["sqlite:///", "sqlite:///:memory:", "sqlite:///{here}/a-file/x.db", "nonsense", "postgresql://host:port/db"],
)
def test_a_url_that_cannot_work_is_one_line(url: str, tmp_path: Path) -> None:
    """A URL without a file, or with an impossible folder, stops the start with one error line."""
    (tmp_path / "a-file").touch()
    with pytest.raises(StartupError, match=r"^[^\n]*DATABASE_URL[^\n]*$"):
        Store(url.format(here=tmp_path))


async def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    """The start stops with one error line and does not change the file."""
    file = tmp_path / "notes.txt"
    file.write_text("not a database\n" * 100)
    store = Store(f"sqlite:///{file}")
    with pytest.raises(StartupError, match="DATABASE_URL"):
        await store.check()
    await store.close()

    assert file.read_text() == "not a database\n" * 100


async def test_the_folder_of_a_sqlite_file_is_made_also_under_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path may begin with ~ and have missing folders, which are created."""
    monkeypatch.setenv("HOME", str(tmp_path))
    store = Store("sqlite:///~/new/folder/x.db")
    await store.check()
    await store.close()

    assert (tmp_path / "new/folder/x.db").exists()


async def test_sqlite_uses_a_write_ahead_log_and_checks_foreign_keys(empty_sqlite_url: str) -> None:
    """The write-ahead log and foreign keys are on. The busy timeout is two seconds, because Slack waits for three."""
    store = Store(empty_sqlite_url)
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    values = await store.run(
        lambda connection: [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    )
    await store.close()

    assert values == ["wal", 1, 1, 2000]


async def test_processes_that_make_a_new_file_at_once_all_open_it(tmp_path: Path) -> None:
    """Two bots may start together on a missing SQLite file. Both open it."""
    for number in range(40):
        stores = [Store(f"sqlite:///{tmp_path / str(number)}") for _ in range(3)]
        await asyncio.gather(*(store.check() for store in stores))
        await asyncio.gather(*(store.close() for store in stores))


def used(store: Store, word: str, chance: random.Random) -> None:
    """Use the database for a while, as a bot does, and then erase every text."""
    with store.engine.begin() as connection:
        add_thread(connection, "1.0")
    row = {"thread_id": 1, "author_id": "U1", "author_workspace": "T1", "attachments": [], "accepted_at": NOON}
    for number in range(1, 600):
        text = f"{word} {number} " * chance.choice([1, 10, 60, 200, 600])
        with store.engine.begin() as connection:
            connection.execute(sa.insert(MESSAGES).values(**row, message_id=f"{number:06}", text=text))
        with store.engine.begin() as connection:
            some = MESSAGES.c.id == chance.randint(1, number)
            erased = chance.random() < 0.5
            connection.execute(sa.update(MESSAGES).where(some).values(text="" if erased else text, client_id=text[:60]))
    with store.engine.begin() as connection:
        connection.execute(sa.update(MESSAGES).values(text="", client_id=None))
        mark_dirty(connection)


def in_files(store: Store, word: str) -> int:
    """Count a word in the bytes of the database's files."""
    names = [f"{store.engine.url.database}{suffix}" for suffix in ("", "-wal", "-shm")]
    return sum(Path(name).read_bytes().count(word.encode()) for name in names if Path(name).exists())


def changed_at(store: Store) -> float:
    """Return when the database's file was changed, in seconds since 1970."""
    return Path(str(store.engine.url.database)).stat().st_mtime


@pytest.mark.parametrize("seed", range(3))
async def test_erased_text_leaves_the_file(empty_sqlite_url: str, seed: int) -> None:
    """After a vacuum, erased text is neither in the file, where SQLite copies rows between pages, nor in its log."""
    store = Store(empty_sqlite_url)
    await asyncio.to_thread(used, store, "pelargonium", random.Random(seed))  # noqa: S311 - to be repeated
    assert in_files(store, "pelargonium") > 0

    await store.vacuum()

    assert in_files(store, "pelargonium") == 0
    await store.close()


async def test_a_vacuum_changes_the_file_only_after_an_erasure(empty_sqlite_url: str) -> None:
    """The vacuum of a clean file does not change its modification time."""
    store = Store(empty_sqlite_url)
    await asyncio.to_thread(used, store, "pelargonium", random.Random(1))  # noqa: S311 - to be repeated
    with closing(store.engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for is_changed in (True, False):
        os.utime(str(store.engine.url.database), (0, 0))
        await store.vacuum()
        assert (changed_at(store) > 0) is is_changed
    await store.close()


async def test_transactions_run_between_the_steps_of_a_vacuum(empty_sqlite_url: str) -> None:
    """A vacuum never holds the database for longer than one step, in which it reads a fixed number of pages."""
    store, order = Store(empty_sqlite_url), list[str]()
    await asyncio.to_thread(used, store, "pelargonium", random.Random(1))  # noqa: S311 - to be repeated
    pages = await store.run(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar())
    assert pages is not None
    assert pages > PAGES_PER_STEP

    def note(_: Connection) -> None:
        order.append("transaction")

    vacuum = asyncio.create_task(store.vacuum())
    vacuum.add_done_callback(lambda _: order.append("vacuum"))
    await asyncio.sleep(0)
    transactions = [asyncio.create_task(store.run(note)) for _ in range(3)]
    await asyncio.gather(vacuum, *transactions)

    assert order == ["transaction", "transaction", "transaction", "vacuum"]
    assert in_files(store, "pelargonium") == 0
    await store.close()


async def test_a_vacuum_ends_when_the_store_is_closed(empty_sqlite_url: str) -> None:
    """A process that shuts down does not wait for the whole pass. The next process begins it again."""
    store = Store(empty_sqlite_url)
    await asyncio.to_thread(used, store, "pelargonium", random.Random(1))  # noqa: S311 - to be repeated
    vacuum = asyncio.create_task(store.vacuum_now(lock_timeout_s=1.0))
    await asyncio.sleep(0)
    await store.close()

    assert not await vacuum
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.run(mark_dirty)
    again = Store(empty_sqlite_url)
    assert await again.vacuum_now(lock_timeout_s=1.0)
    assert in_files(again, "pelargonium") == 0
    await again.close()


async def test_another_process_brings_no_erased_text_back(empty_sqlite_url: str) -> None:
    """Another process that has old pages in its memory reads them again before it changes them."""
    store = Store(empty_sqlite_url)
    other = await rival(store)
    await asyncio.to_thread(used, store, "pelargonium", random.Random(1))  # noqa: S311 - to be repeated
    other.execute("SELECT sum(length(attachments)) FROM messages").fetchone()
    assert await store.vacuum_now(lock_timeout_s=1.0)
    other.execute("UPDATE messages SET author_id = 'U2'")

    assert in_files(store, "pelargonium") == 0
    assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    other.close()
    await store.close()


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN; SELECT count(*) FROM messages"], ids=["write", "read"])
async def test_a_blocked_vacuum_is_done_by_the_next_one(empty_sqlite_url: str, lock: str) -> None:
    """A vacuum that another process blocks does not fail. The next one does its work."""
    store = Store(empty_sqlite_url)
    other = await rival(store)
    await asyncio.to_thread(used, store, "pelargonium", random.Random(1))  # noqa: S311 - to be repeated
    other.executescript(lock)
    await store.vacuum()
    assert in_files(store, "pelargonium") > 0
    other.execute("ROLLBACK")
    await store.vacuum()

    assert in_files(store, "pelargonium") == 0
    other.close()
    await store.close()


async def test_a_vacuum_waits_for_the_lock(empty_sqlite_url: str) -> None:
    """A vacuum with a timeout continues when the lock is free. After the timeout it reports the failure."""
    store = Store(empty_sqlite_url)
    other = await rival(store)
    await asyncio.to_thread(used, store, "pelargonium", random.Random(1))  # noqa: S311 - to be repeated
    other.executescript("BEGIN IMMEDIATE")
    assert not await store.vacuum_now(lock_timeout_s=0.1)

    waiting = asyncio.create_task(store.vacuum_now(lock_timeout_s=20.0))
    other.execute("ROLLBACK")

    assert await waiting
    assert in_files(store, "pelargonium") == 0
    other.close()
    await store.close()


async def test_a_process_that_freezes_in_a_transaction_keeps_no_lock(empty_postgres_url: str) -> None:
    """PostgreSQL ends an idle transaction, so that other processes go on."""
    store = Store(empty_postgres_url)
    setting = await store.run(lambda c: c.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar())

    assert setting == "5s"
    await store.close()
