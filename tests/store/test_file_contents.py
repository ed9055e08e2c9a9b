"""File contents: stored once for a message, found with it, counted, and erased with it. On both databases."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import Attachment, FileDeleted, Forwarded, MessageReceived
from bot.domain.file_content import FileContent, FileOutcome, ScaledImage
from bot.prompt.history import Turn, files_in
from bot.prompt.thread_context import EarlierMessage, ThreadContext
from bot.store import closed_sessions, edits, file_contents, thread_context
from bot.store.claims import PlatformClaim
from bot.store.file_contents import FilePlace
from bot.store.sessions import BYTES_PER_STEP
from bot.store.stored_bytes import ROW_BYTES
from bot.store.tables import FILE_CONTENTS, MESSAGES, SESSIONS, TURNS
from tests.support.builders import ANA, BEN, deletion, edit, mention, reply, reset
from tests.support.store_driver import StoreDriver

FILE = Attachment("F1", "a.txt", "text/plain", 3)
TEXT = FileContent(FileOutcome.TEXT, "the code is 4711", whole=False)
IMAGE = FileContent(FileOutcome.IMAGE, image=ScaledImage(b"jpeg" * 100, 40, 30))


def with_file(message: MessageReceived, *files: Attachment) -> MessageReceived:
    """Return the message with these files, or with FILE."""
    return dataclasses.replace(message, attachments=files or (FILE,))


async def asked(driver: StoreDriver, message: MessageReceived | None = None) -> PlatformClaim:
    """Accept and claim a question with a file."""
    return await driver.claimed(await driver.accepted(message or with_file(mention("read this"))))


async def save(
    driver: StoreDriver, claim: PlatformClaim, content: FileContent = TEXT, *, of: str = "1.0", file: str = "F1"
) -> bool:
    """Store what was read of a file."""
    assert claim.session_id is not None
    place = FilePlace(claim.session_id, claim.thread_id, of, file)
    return await driver.store.run(file_contents.save, place, content)


async def contents(driver: StoreDriver) -> list[FileContent | None]:
    """Return the contents of the files in the newest turn."""
    claim = await driver.claimed(1)
    [turn] = await driver.store.run(file_contents.in_turns, claim.session_id or "", [Turn(claim.utterances)])
    return [file.content for message in turn.messages for file in message.attachments]


async def count(driver: StoreDriver) -> int:
    """Return how many contents are stored."""
    return len(await driver.rows(FILE_CONTENTS))


@pytest.mark.parametrize("content", [TEXT, IMAGE, FileContent(FileOutcome.PROTECTED)])
async def test_a_content_is_found_with_its_message(driver: StoreDriver, content: FileContent) -> None:
    """The next attempt finds what an earlier one has read."""
    claim = await asked(driver)
    assert await save(driver, claim, content)
    await driver.lapse()

    assert await contents(driver) == [content]


async def test_later_turns_find_it(driver: StoreDriver) -> None:
    """The history holds the content of the files in earlier turns."""
    claim = await asked(driver)
    await save(driver, claim)
    await driver.settle(claim, "thank you")
    earlier = await driver.past(await driver.claimed(await driver.accepted(reply("and?", "2.0"))))

    assert [message.attachments[0].content for turn in earlier for message in turn.messages] == [TEXT]


async def test_the_first_content_counts(driver: StoreDriver) -> None:
    """Two attempts that read the same file store it once."""
    claim = await asked(driver)
    assert await save(driver, claim)
    assert await save(driver, claim, IMAGE)
    await driver.lapse()

    assert await contents(driver) == [TEXT]


@pytest.mark.parametrize("why", ["deleted", "edited", "reset", "another file"])
async def test_a_message_that_changed_meanwhile(driver: StoreDriver, why: str) -> None:
    """A content is not stored when the message no longer shows the file, or its session is closed."""
    claim = await asked(driver)
    match why:
        case "deleted":
            await driver.accept_deletion(deletion())
        case "edited":
            await driver.accept_edit(edit("read that"))
        case "reset":
            await driver.accept_reset(reset("2.0"))
    stored = await save(driver, claim, file="F2" if why == "another file" else "F1")

    assert (stored, await count(driver)) == (False, 0)


async def test_a_session_counts_its_files(driver: StoreDriver) -> None:
    """The text and the image of a file count as the session's bytes, and a dropped image no longer does."""
    claim = await asked(driver, with_file(mention("read"), FILE, dataclasses.replace(FILE, id="F2")))
    [before] = [row.stored_bytes for row in await driver.rows(SESSIONS)]
    await save(driver, claim)
    await save(driver, claim, IMAGE, file="F2")
    [after] = [row.stored_bytes for row in await driver.rows(SESSIONS)]
    assert after - before == 2 * ROW_BYTES + len(TEXT.text) + 400

    await driver.store.run(file_contents.drop_images, claim.session_id or "", "2.0")
    [left] = [row.stored_bytes for row in await driver.rows(SESSIONS)]
    assert after - left == 400
    await driver.lapse()
    assert await contents(driver) == [TEXT, FileContent(FileOutcome.IMAGE_DROPPED)]


async def test_images_of_newer_messages_are_kept(driver: StoreDriver) -> None:
    """Only images in messages before the given one are dropped."""
    claim = await asked(driver)
    await save(driver, claim, IMAGE)
    await driver.store.run(file_contents.drop_images, claim.session_id or "", "1.0")
    await driver.lapse()

    assert await contents(driver) == [IMAGE]


@pytest.mark.parametrize("way", ["deletion", "edit", "reset", "forget me"])
async def test_a_content_is_erased_with_its_message(driver: StoreDriver, way: str) -> None:
    """A deletion, an edit without the file, a reset and `forget me` leave no content."""
    claim = await asked(driver)
    await save(driver, claim)
    await driver.settle(claim, "thank you")
    match way:
        case "deletion":
            await driver.accept_deletion(deletion())
        case "edit":
            await driver.accept_edit(edit("read that"))
        case "reset":
            await driver.accept_reset(reset("2.0"))
        case _:
            await driver.forget(ANA)

    assert await count(driver) == 0


async def test_an_edit_of_the_words_keeps_the_content(driver: StoreDriver) -> None:
    """An edit that leaves the file in the message keeps what was read of it."""
    claim = await asked(driver)
    await save(driver, claim)
    changed = edit("read this, please")
    await driver.accept_edit(dataclasses.replace(changed, message=with_file(changed.message)))

    assert await count(driver) == 1


async def test_a_late_reset_moves_the_content(driver: StoreDriver) -> None:
    """Messages after a reset that is delivered late take what was read of their files to the new session."""
    await driver.answer(mention("before", "1.0"), "ok")
    claim = await asked(driver, with_file(reply("read this", "3.0")))
    await save(driver, claim, of="3.0")
    await driver.accept_reset(reset("2.0"))

    [row] = await driver.rows(FILE_CONTENTS)
    [message] = [row for row in await driver.rows(MESSAGES) if row.message_id == "3.0"]
    assert row.session_id == message.session_id != claim.session_id


async def test_a_large_session_is_erased_in_steps(driver: StoreDriver) -> None:
    """What was read of large files is erased in steps after their session has closed."""
    files = [dataclasses.replace(FILE, id=f"F{number}") for number in range(3)]
    claim = await asked(driver, with_file(mention("read"), *files))
    for file in files:
        large = FileContent(FileOutcome.IMAGE, image=ScaledImage(b"x" * BYTES_PER_STEP, 9, 9))
        await save(driver, claim, large, file=file.id)
    await driver.accept_reset(reset("2.0"))
    counts = [await count(driver)]
    progress = await driver.store.run(closed_sessions.erase_next, None)
    while progress is not None:
        counts.append(await count(driver))
        progress = await driver.store.run(closed_sessions.erase_next, progress)

    assert counts[0] == 3
    assert await count(driver) == 0
    assert all(earlier - later <= 1 for earlier, later in itertools.pairwise(counts))


async def test_another_version_can_delete_a_session(driver: StoreDriver) -> None:
    """The previous version, which knows no contents, can delete a session that has some. They go with it."""
    claim = await asked(driver)
    await save(driver, claim)

    def delete(connection: Connection) -> None:
        for table in (MESSAGES, TURNS, SESSIONS):
            connection.execute(sa.delete(table))

    await driver.store.run(delete)
    assert await count(driver) == 0


async def test_a_deleted_file_is_forgotten(driver: StoreDriver) -> None:
    """When a file is deleted, its content goes, its message no longer names it, and a running answer restarts."""
    claim = await asked(driver)
    await save(driver, claim)

    assert await driver.store.run(edits.accept_file_deletion, FileDeleted("chat", "T1", "F1"))
    assert await count(driver) == 0
    assert [row.attachments for row in await driver.rows(MESSAGES)] == [[]]
    assert not await driver.store.run(edits.accept_file_deletion, FileDeleted("chat", "T1", "F1"))


async def test_a_file_of_another_workspace_is_left_alone(driver: StoreDriver) -> None:
    """The deletion of a file with the same id elsewhere changes nothing here."""
    claim = await asked(driver)
    await save(driver, claim)
    await driver.store.run(edits.accept_file_deletion, FileDeleted("chat", "T2", "F1"))

    assert await count(driver) == 1


async def test_the_context_has_contents(driver: StoreDriver) -> None:
    """Files in a thread context are stored with its messages, and are erased with them, and with their author."""
    claim = await with_context(driver)
    assert await save(driver, claim)
    [turn] = await driver.store.run(thread_context.attached, claim.session_id or "", [Turn((), id=claim.turn_id)])
    assert turn.thread_context.messages[0].attachments[0].content == TEXT

    await driver.forget(BEN)
    assert await count(driver) == 0


async def test_a_deleted_file_leaves_the_context(driver: StoreDriver) -> None:
    """When a file in the thread context is deleted, its content goes, and a running answer restarts without it."""
    claim = await with_context(driver)
    await save(driver, claim)

    assert await driver.store.run(edits.accept_file_deletion, FileDeleted("chat", "T1", "F1"))
    [turn] = await driver.store.run(thread_context.attached, claim.session_id or "", [Turn((), id=claim.turn_id)])
    assert turn.thread_context.messages[0].attachments == ()


async def with_context(driver: StoreDriver) -> PlatformClaim:
    """Return the claim of a question in a thread whose first message, of another person, has a file."""
    await driver.accepted(mention("what is this?", "2.0"))
    claim = await driver.claimed(1)
    context = ThreadContext((EarlierMessage("1.0", BEN.id, "the codes", (FILE,)),))
    await driver.store.run(thread_context.save, claim.thread_id, claim.session_id or "", claim.turn_id, context)
    return claim


async def forwarding(driver: StoreDriver) -> PlatformClaim:
    """Return the claim of a question of Ana's that passes on a message of Ben's with a file."""
    passed_on = (Forwarded(BEN.id, "Ben", "the codes", "", (FILE,)),)
    claim = await asked(driver, dataclasses.replace(mention("read this"), forwarded=passed_on))
    await save(driver, claim)
    await driver.lapse()
    return await driver.claimed(claim.thread_id)


async def test_a_forwarded_file_is_found(driver: StoreDriver) -> None:
    """A file of a forwarded message has its content in the message that passes it on."""
    claim = await forwarding(driver)
    [turn] = await driver.store.run(file_contents.in_turns, claim.session_id or "", [Turn(claim.utterances)])

    assert [file.content for file in files_in(turn.messages[0])] == [TEXT]


@pytest.mark.parametrize("way", ["its author is forgotten", "the file is deleted", "the forward is edited away"])
async def test_a_forwarded_file_is_forgotten(driver: StoreDriver, way: str) -> None:
    """The content of a forwarded file goes with its author, with the file, and with the forward."""
    await forwarding(driver)
    match way:
        case "its author is forgotten":
            await driver.forget(BEN)
        case "the file is deleted":
            assert await driver.store.run(edits.accept_file_deletion, FileDeleted("chat", "T1", "F1"))
        case _:
            await driver.accept_edit(edit("read that"))

    assert await count(driver) == 0
    assert '"F1"' not in str([row.forwarded for row in await driver.rows(MESSAGES)])
