"""Reads the files of a turn: fetch from the platform, extract, store.

Rule: a file is read once, for the turn that it came with. Later turns and attempts read its content from the store. No
failure here ends a turn: it becomes the outcome of the file, which the model and the person are told.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from bot.access.redaction import Redactor
from bot.domain.events import Attachment
from bot.domain.file_content import FileContent, FileOutcome
from bot.files.extractor import Extractor
from bot.prompt.attached_files import images_of
from bot.prompt.history import Past, Turn, Utterance, files_in, files_of, with_files_of
from bot.prompt.thread_context import EarlierMessage
from bot.store import file_contents
from bot.store.claims import PlatformClaim
from bot.store.engine import Store
from bot.store.file_contents import FilePlace
from bot.turns.adapter import Adapter
from bot.turns.cpu import compute_for_platform

log = logging.getLogger(__name__)

MOST_FILES = 8  # of one turn
MOST_IMAGES = 8  # in a session: with more, those of earlier turns are dropped
IMAGE_TURNS = 5  # further turns that show an image; then it is dropped, too
READ_S = 60.0  # for all files of a turn, with the wait for those of others
_DOWNLOADS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class _Unread:
    """A file of the turn that was not read yet."""

    place: FilePlace
    file: Attachment


class FileReader:
    """Reads the files of turns. Create it in the running loop."""

    def __init__(
        self, store: Store, adapters: Sequence[Adapter], extractor: Extractor, *, most_bytes: int, redactor: Redactor
    ) -> None:
        """A file with more than `most_bytes` is not read."""
        self._store = store
        self._adapters = {adapter.platform: adapter for adapter in adapters}
        self._extractor = extractor
        self._most_bytes = most_bytes
        self._redactor = redactor
        self._downloads = asyncio.Semaphore(_DOWNLOADS_AT_ONCE)
        self._of_person = WeakValueDictionary[str, asyncio.Lock]()

    async def read(self, claim: PlatformClaim, past: Past, newest: Turn) -> tuple[Past, Turn]:
        """Return the turn with the content of its files, and the past without images that are old by now."""
        session_id = claim.session_id
        if session_id is None or not (files_of(newest) or any(images_of(files_of(turn)) for turn in past.turns)):
            return past, newest
        newest = await self._stored(session_id, newest)
        if unread := list(_unread(claim, session_id, newest)):
            # One turn of a person at a time, so that nobody's files keep those of others waiting for long.
            async with self._of_person.setdefault(claim.author.id, asyncio.Lock()):
                await self._read(claim, unread)
            newest = await self._stored(session_id, newest)
        return await self._without_old_images(session_id, past, newest), newest

    async def _read(self, claim: PlatformClaim, unread: Sequence[_Unread]) -> None:
        """Read these files and store their contents. Those that take too long together are not read."""
        async with asyncio.TaskGroup() as tasks:
            for number, each in enumerate(unread):
                tasks.create_task(self._read_one(claim, each, is_one_too_many=number >= MOST_FILES))

    async def _read_one(self, claim: PlatformClaim, unread: _Unread, *, is_one_too_many: bool) -> None:
        fields = {**claim.log_fields, "file": unread.file.id}
        try:
            async with asyncio.timeout(READ_S):
                content = await self._content(claim, unread, is_one_too_many=is_one_too_many)
        except TimeoutError:
            content = FileContent(FileOutcome.TOO_SLOW)
        except OSError as error:  # no room for the download, or for a process
            content = FileContent(FileOutcome.UNREACHABLE)
            log.error("file_not_read", extra={**fields, "error": error.strerror})  # noqa: TRY400 - expected
        log.info("file_read", extra={**fields, "outcome": content.outcome.value})
        await self._store.run_until_available(file_contents.save, unread.place, content)

    async def _content(self, claim: PlatformClaim, unread: _Unread, *, is_one_too_many: bool) -> FileContent:
        if is_one_too_many:
            return FileContent(FileOutcome.TOO_MANY)
        adapter = self._adapters[claim.thread.platform]
        # A file without a name: when this process ends, however it ends, nothing of it is left on the disk.
        with tempfile.TemporaryFile() as downloaded:
            async with self._downloads:
                fetched = await adapter.fetch_file(unread.file, downloaded, self._most_bytes)
            if isinstance(fetched, FileOutcome):
                return FileContent(fetched)
            downloaded.flush()
            content = await self._extractor.read(downloaded, fetched.mimetype, fetched.name)
        text = await compute_for_platform(len(content.text), self._redactor.text, content.text)
        return replace(content, text=text)

    async def _stored(self, session_id: str, turn: Turn) -> Turn:
        in_turns, in_messages = file_contents.in_turns, file_contents.in_messages
        [turn] = await self._store.run_until_available(in_turns, session_id, [turn])
        context = turn.thread_context
        if not any(map(files_in, context.messages)):
            return turn
        earlier = await self._store.run_until_available(in_messages, session_id, context.messages)
        return replace(turn, thread_context=replace(context, messages=tuple(earlier)))

    async def _without_old_images(self, session_id: str, past: Past, newest: Turn) -> Past:
        """Drop the images that were shown for some turns. With many new ones, drop all earlier ones."""
        turns = [*past.turns, newest]
        count = sum(len(images_of(files_of(turn))) for turn in turns)
        first_kept = len(turns) - 1 if count > MOST_IMAGES else max(0, len(turns) - 1 - IMAGE_TURNS)
        old, before = turns[:first_kept], turns[first_kept].messages[:1]
        if not before or not any(images_of(files_of(turn)) for turn in old):
            return past
        drop = file_contents.drop_images
        await self._store.run_until_available(drop, session_id, before[0].message_id)
        kept = [_without_images(turn) for turn in old] + list(past.turns[first_kept:])
        return replace(past, turns=tuple(kept))


def _unread(claim: PlatformClaim, session_id: str, turn: Turn) -> Iterator[_Unread]:
    """Yield the turn's unread files: those of its messages, and then the newest of the thread context."""
    messages: list[Utterance | EarlierMessage] = [*turn.messages, *reversed(turn.thread_context.messages)]
    for message in messages:
        for file in files_in(message):
            if file.content is None:
                yield _Unread(FilePlace(session_id, claim.thread_id, message.message_id, file.id), file)


def _without_images(turn: Turn) -> Turn:
    return with_files_of(turn, map(_without_image, files_of(turn)))


def _without_image(file: Attachment) -> Attachment:
    if file.content is None or file.content.image is None:
        return file
    return replace(file, content=FileContent(FileOutcome.IMAGE_DROPPED))
