"""File contents: what was read of the files in a session's messages and in its thread context.

Rule: a content lives as long as its message shows the file. A function that erases one has its bytes vacuumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.events import storable
from bot.domain.file_content import FileContent, FileOutcome, ScaledImage
from bot.prompt.history import M, Turn, files_in, with_files
from bot.store import stored_bytes
from bot.store.engine import insert_or_ignore, mark_dirty
from bot.store.locks import lock_if_open
from bot.store.stored_bytes import ROW_BYTES
from bot.store.tables import FILE_CONTENTS, MESSAGES, THREAD_CONTEXT

Files = Sequence[Mapping[str, Any]]  # as events.stored_content returns them


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A file in a message of a session."""

    session_id: str
    thread_id: int
    message_id: str
    file_id: str


def save(connection: Connection, place: FilePlace, content: FileContent) -> bool:
    """Store a content once. Return False if the message does not show the file any more, or the session is closed."""
    if not lock_if_open(connection, place.session_id):
        return False
    message = {
        "this_session": place.session_id,
        "in_thread": place.thread_id,
        "this_message": place.message_id,
    }
    shown = connection.execute(_FILES, message).all()
    if not any(place.file_id in ids_in(row.attachments, row.forwarded) for row in shown):
        return False
    image = content.image
    values = {
        **asdict(place),
        "outcome": content.outcome.value,
        "text": storable(content.text),
        "whole": content.whole,
        "image": image and image.data,
        "width": image and image.width,
        "height": image and image.height,
    }
    if insert_or_ignore(connection, FILE_CONTENTS, values) is not None:
        count = ROW_BYTES + stored_bytes.length(content.text) + len(image.data if image else b"")
        stored_bytes.add(connection, place.session_id, count)
    return True


def in_turns(connection: Connection, session_id: str, turns: Sequence[Turn]) -> list[Turn]:
    """Return these turns of a session with what was read of the files in their messages."""
    ids = [message.message_id for turn in turns for message in turn.messages if files_in(message)]
    contents = _of_messages(connection, session_id, ids)
    if not contents:
        return list(turns)
    return [replace(turn, messages=tuple(_with(contents, message) for message in turn.messages)) for turn in turns]


def in_messages(connection: Connection, session_id: str, messages: Sequence[M]) -> list[M]:
    """Return these messages of a session with what was read of their files."""
    ids = [message.message_id for message in messages if files_in(message)]
    contents = _of_messages(connection, session_id, ids)
    return [_with(contents, message) for message in messages] if contents else list(messages)


def drop_images(connection: Connection, session_id: str, before: str) -> None:
    """Erase the images in the session's messages before this one, which the model has seen."""
    _drop_images(connection, session_id, FileOutcome.IMAGE_DROPPED, FILE_CONTENTS.c.message_id < before)


def drop_unseen_images(connection: Connection, session_id: str) -> None:
    """Erase the images of the session, because the model takes no images."""
    _drop_images(connection, session_id, FileOutcome.IMAGE_UNSEEN)


def _drop_images(
    connection: Connection, session_id: str, outcome: FileOutcome, *selected: sa.ColumnElement[bool]
) -> None:
    images = (FILE_CONTENTS.c.session_id == session_id, FILE_CONTENTS.c.image.is_not(None))
    sizes = sa.select(FILE_CONTENTS.c.id, sa.func.length(FILE_CONTENTS.c.image).label("size"))
    rows = connection.execute(sizes.where(*images, *selected)).all()
    if rows:
        mark_dirty(connection)
        dropped = sa.update(FILE_CONTENTS).where(FILE_CONTENTS.c.id.in_([row.id for row in rows]))
        connection.execute(dropped.values(image=None, outcome=outcome.value))
        stored_bytes.add(connection, session_id, -sum(row.size for row in rows))


def erase(connection: Connection, *selected: sa.ColumnElement[bool]) -> None:
    """Erase these contents, and count them no longer."""
    columns = (FILE_CONTENTS.c.session_id, FILE_CONTENTS.c.text, sa.func.length(FILE_CONTENTS.c.image).label("size"))
    erased = connection.execute(sa.delete(FILE_CONTENTS).where(*selected).returning(*columns)).all()
    if erased:
        mark_dirty(connection)
    counts = Counter[str]()
    for row in erased:
        if row.session_id is not None:  # otherwise it is on its way to another session
            counts[row.session_id] += ROW_BYTES + stored_bytes.length(row.text) + (row.size or 0)
    stored_bytes.subtract(connection, counts, Counter())


def ids_in(attachments: Files, forwarded: Sequence[Mapping[str, Any]] | None) -> set[str]:
    """Return the ids of the files in a message as it is stored: its own, and those of messages that it passes on."""
    return {file["id"] for files in (attachments, *(each["attachments"] for each in forwarded or ())) for file in files}


def keep_only(connection: Connection, thread_id: int, message_id: str, file_ids: Collection[str]) -> None:
    """Erase the contents of the files that a changed message does not show any more."""
    erase(connection, *of_message(thread_id, message_id), FILE_CONTENTS.c.file_id.not_in(file_ids))


def of_message(thread_id: int, message_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the condition for the contents of a message's files."""
    return FILE_CONTENTS.c.thread_id == thread_id, FILE_CONTENTS.c.message_id == message_id


def forget(connection: Connection, session_ids: Sequence[str]) -> None:
    """Delete the contents of these sessions."""
    connection.execute(sa.delete(FILE_CONTENTS).where(FILE_CONTENTS.c.session_id.in_(session_ids)))


def move(connection: Connection, thread_id: int, message_ids: Sequence[str], session_id: str | None) -> None:
    """Move the contents of these messages to another session; None: to no session, for a moment."""
    moved = (FILE_CONTENTS.c.thread_id == thread_id, FILE_CONTENTS.c.message_id.in_(message_ids))
    connection.execute(sa.update(FILE_CONTENTS).where(*moved).values(session_id=session_id))


def _of_messages(
    connection: Connection, session_id: str, message_ids: Sequence[str]
) -> Mapping[tuple[str, str], FileContent]:
    """Return what was read, by message and file. Without ids, nothing is asked for."""
    if not message_ids:
        return {}
    rows = connection.execute(_OF_MESSAGES, {"this_session": session_id, "these": message_ids})
    return {(row.message_id, row.file_id): _content(row) for row in rows}


def _with(contents: Mapping[tuple[str, str], FileContent], message: M) -> M:
    files = files_in(message)
    return with_files(message, (replace(file, content=contents.get((message.message_id, file.id))) for file in files))


def _content(row: Row[*tuple[Any, ...]]) -> FileContent:
    image = ScaledImage(row.image, row.width, row.height) if row.image is not None else None
    return FileContent(FileOutcome(row.outcome), row.text, whole=row.whole, image=image)


_OF_MESSAGES = sa.select(FILE_CONTENTS).where(
    FILE_CONTENTS.c.session_id == sa.bindparam("this_session"),
    FILE_CONTENTS.c.message_id.in_(sa.bindparam("these", expanding=True)),
)
_FILES = sa.union_all(
    *(
        sa.select(table.c.attachments, table.c.forwarded).where(
            table.c.thread_id == sa.bindparam("in_thread"),
            table.c.message_id == sa.bindparam("this_message"),
            table.c.session_id == sa.bindparam("this_session"),
        )
        for table in (MESSAGES, THREAD_CONTEXT)
    )
)
