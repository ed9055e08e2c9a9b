"""Export: all stored texts of a person, for this person.

Rule: the texts are read in small parts, so that no transaction takes long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from bot.domain.personal_data import ExportedContextMessage, ExportedFile, ExportedForward, ExportedMessage
from bot.store import file_contents
from bot.store.tables import FILE_CONTENTS, MESSAGES, THREAD_CONTEXT, THREADS, TURNS

Rows = Sequence[int]  # ids


def newest(connection: Connection, platform: str, workspace: str, person: str, *, limit: int) -> tuple[Rows, Rows]:
    """Return the ids of the newest `limit` messages that this person wrote to the bot, and of those in contexts."""
    in_workspace = (THREADS.c.platform == platform, THREADS.c.workspace == workspace)
    written = _messages(person).with_only_columns(MESSAGES.c.id).where(*in_workspace).limit(limit)
    in_context = _context_messages(person).with_only_columns(THREAD_CONTEXT.c.id).where(*in_workspace).limit(limit)
    return connection.execute(written).scalars().all(), connection.execute(in_context).scalars().all()


def messages(connection: Connection, person: str, ids: Rows) -> list[ExportedMessage]:
    """Return those of these messages that are still stored, newest first, with the answers to this person alone."""
    rows = connection.execute(_messages(person).where(MESSAGES.c.id.in_(ids))).mappings()
    return [ExportedMessage(**_fields(connection, row)) for row in rows]


def context_messages(connection: Connection, person: str, ids: Rows) -> list[ExportedContextMessage]:
    """Return those of these messages in thread contexts that are still stored, newest first."""
    rows = connection.execute(_context_messages(person).where(THREAD_CONTEXT.c.id.in_(ids))).mappings()
    return [ExportedContextMessage(**_fields(connection, row)) for row in rows]


def _messages(person: str) -> sa.Select[Any]:
    other = MESSAGES.alias("other")
    others_asked = sa.exists().where(
        other.c.turn_id == MESSAGES.c.turn_id, other.c.author_id != person, other.c.fixed_reply.is_(None)
    )
    return (
        sa.select(
            MESSAGES.c.thread_id,
            THREADS.c.channel,
            THREADS.c.root.label("thread"),
            MESSAGES.c.message_id.label("id"),
            MESSAGES.c.accepted_at,
            MESSAGES.c.edited_at,
            MESSAGES.c.text,
            MESSAGES.c.attachments,
            MESSAGES.c.forwarded,
            sa.case((others_asked, None), else_=TURNS.c.answer).label("answer"),
        )
        .join_from(MESSAGES, THREADS)
        .outerjoin(TURNS, TURNS.c.id == MESSAGES.c.turn_id)
        .where(MESSAGES.c.author_id == person, MESSAGES.c.deleted_at.is_(None), MESSAGES.c.fixed_reply.is_(None))
        .order_by(MESSAGES.c.id.desc())
    )


def _context_messages(person: str) -> sa.Select[Any]:
    place = (
        THREAD_CONTEXT.c.thread_id,
        THREADS.c.channel,
        THREADS.c.root.label("thread"),
        THREAD_CONTEXT.c.message_id.label("id"),
    )
    return (
        sa.select(*place, THREAD_CONTEXT.c.text, THREAD_CONTEXT.c.attachments, THREAD_CONTEXT.c.forwarded)
        .join_from(THREAD_CONTEXT, THREADS)
        .where(THREAD_CONTEXT.c.author_id == person, THREAD_CONTEXT.c.by.is_not(None))
        .order_by(THREAD_CONTEXT.c.id.desc())
    )


def _fields(connection: Connection, row: RowMapping) -> dict[str, Any]:
    fields = {name: value for name, value in row.items() if name != "thread_id"}
    texts = (
        _file_texts(connection, row["thread_id"], row["id"])
        if file_contents.ids_in(row["attachments"], row["forwarded"])
        else {}
    )
    forwarded = [
        ExportedForward(**{**each, "attachments": _files(each["attachments"], texts)})
        for each in row["forwarded"] or ()
    ]
    return {**fields, "attachments": _files(row["attachments"], texts), "forwarded": tuple(forwarded)}


def _files(stored: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> tuple[ExportedFile, ...]:
    return tuple(ExportedFile(**file, text=texts.get(file["id"])) for file in stored)


def _file_texts(connection: Connection, thread_id: int, message_id: str) -> dict[str, str]:
    """Return the texts that were read of a message's files, by file."""
    columns = (FILE_CONTENTS.c.file_id, FILE_CONTENTS.c.text)
    rows = connection.execute(sa.select(*columns).where(*file_contents.of_message(thread_id, message_id)))
    return {row.file_id: row.text for row in rows if row.text}
