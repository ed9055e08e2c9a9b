"""The file reader: who waits for whom, what is stored, and what a broken machine costs. On both databases."""

from __future__ import annotations

import dataclasses
import tempfile

import pytest

from bot.domain.events import Attachment, Author, MessageReceived, Thread
from bot.domain.file_content import FileContent, FileOutcome
from bot.domain.file_texts import IMAGES_UNSEEN, unread_files
from bot.llm import Done
from bot.store.tables import FILE_CONTENTS
from bot.testing import ScriptedLLM
from bot.turns import file_reader
from bot.turns.file_reader import MOST_IMAGES
from tests.support import sample_files
from tests.support.builders import ANA, BEN, THREAD, mention, reply, thread
from tests.support.sample_files import LINE
from tests.support.store_driver import StoreDriver
from tests.support.work_layer import WorkLayer

NOTES = Attachment("F1", "notes.txt", "text/plain", 9)
PICTURE = Attachment("F2", "a.png", "image/png", 9)


def asks(*files: Attachment, by: Author = ANA, in_: Thread = THREAD) -> MessageReceived:
    """Return a question with files."""
    return dataclasses.replace(mention("read this", by=by, in_=in_), attachments=files)


async def ask(work_layer: WorkLayer, *messages: MessageReceived) -> None:
    """Accept these messages, and wait until they are answered."""
    for message in messages:
        await work_layer.inbox.accept(message)
    await work_layer.worker.idle()


async def outcomes(driver: StoreDriver) -> list[str]:
    """Return the outcomes that are stored."""
    return [row.outcome for row in await driver.rows(FILE_CONTENTS)]


async def test_a_content_is_shown_and_stored(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """The model reads the file, and the database holds what was read."""
    work_layer.adapter.files["F1"] = LINE.encode()
    llm.script("4711")
    await ask(work_layer, asks(NOTES))

    assert llm.calls[-1].knows(LINE)
    [row] = await driver.rows(FILE_CONTENTS)
    assert (row.outcome, row.text, row.whole, row.message_id, row.file_id) == ("text", LINE, True, "1.0", "F1")


async def test_the_files_of_one_person_delay_nobody_else(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """One turn of a person reads its files at a time. Other people's turns read theirs meanwhile."""
    adapter = work_layer.adapter
    adapter.files_available.clear()
    for number in range(3):
        llm.script("ok")
        await work_layer.inbox.accept(asks(dataclasses.replace(NOTES, id=f"ana-{number}"), in_=thread(number)))
    llm.script("ok")
    await work_layer.inbox.accept(asks(dataclasses.replace(NOTES, id="ben"), by=BEN, in_=thread(9)))
    await adapter.until(lambda: "ben" in adapter.fetched and len(adapter.fetched) > 1)

    assert len([file for file in adapter.fetched if file.startswith("ana")]) == 1
    adapter.files_available.set()
    await work_layer.worker.idle()
    assert len(adapter.fetched) == 4


async def test_files_take_a_minute_at_most(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there in time is given up, and the question is answered without it."""
    monkeypatch.setattr(file_reader, "READ_S", 0.05)
    work_layer.adapter.files_available.clear()
    llm.script("I can't")
    await ask(work_layer, asks(NOTES))

    assert await outcomes(driver) == ["too_slow"]
    assert work_layer.adapter.replies[THREAD][0].startswith("I can't\n\n_(I haven't read `notes.txt`")


@pytest.mark.parametrize("broken", ["disk", "processes"])
async def test_a_machine_without_room(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Without a folder for temporary files, or without processes, the question is answered, and a line says so."""
    work_layer.adapter.files["F1"] = LINE.encode()
    if broken == "disk":
        monkeypatch.setattr(tempfile, "TemporaryFile", no_room)
    else:
        monkeypatch.setattr("bot.files.extractor.sys.executable", "/nowhere/python")
    llm.script("ok")
    await ask(work_layer, asks(NOTES))

    assert await outcomes(driver) == ["unreachable"]


async def test_many_new_images_drop_the_earlier_ones(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """When a session would show more than MOST_IMAGES images, those of earlier turns are dropped."""
    pictures = [dataclasses.replace(PICTURE, id=f"P{number}") for number in range(MOST_IMAGES)]
    work_layer.adapter.files.update({picture.id: sample_files.png() for picture in [PICTURE, *pictures]})
    llm.script("one")
    llm.script("many")
    await ask(work_layer, asks(PICTURE))
    await ask(work_layer, dataclasses.replace(reply("and these?", "2.0"), attachments=tuple(pictures)))

    assert await outcomes(driver) == ["dropped", *["image"] * MOST_IMAGES]


async def test_unseen_images_are_not_kept(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """Where the model takes no images, the image is erased with the answer, so that another attempt says so, too."""
    work_layer.adapter.files["F2"] = sample_files.png()
    llm.script("no idea", done=Done("blind", None, images_unseen=True))
    await ask(work_layer, asks(PICTURE))

    assert work_layer.adapter.replies[THREAD] == [f"no idea\n\n{IMAGES_UNSEEN}"]
    assert await outcomes(driver) == ["unseen"]


def test_every_outcome_is_told() -> None:
    """Each outcome that leaves a file unread has a sentence for people and a reason for the model."""
    read = {FileOutcome.TEXT, FileOutcome.IMAGE, FileOutcome.IMAGE_DROPPED}
    for outcome in FileOutcome:
        lines = unread_files([dataclasses.replace(NOTES, content=FileContent(outcome))])
        assert bool(lines) is (outcome not in read)


def test_a_files_name_is_harmless() -> None:
    """A name in a line is code without backticks, on one line, and bounded. Many names are counted."""
    name = "`x`](https://evil)\n@channel " + "y" * 300
    content = FileContent(FileOutcome.PROTECTED)
    [line] = unread_files([Attachment(str(number), name, "", 1, content=content) for number in range(5)])

    assert line.count("`") == 6
    assert "\n" not in line
    assert len(line) < 300
    assert line.endswith("and 2 more (it's protected by a password).)_")


def no_room() -> None:
    """Fail like a full disk."""
    raise OSError(28, "No space left on device")
