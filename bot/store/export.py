"""Export: all stored texts of a person, for this person.

Rule: the texts are read in small parts, so that no transaction takes long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from bot.domain.events import Attachment, read_forwarded
from bot.domain.personal_data import ExportedContextMessage, ExportedMessage
from bot.store.tables import MESSAGES, THREAD_CONTEXT, THREADS, TURNS

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
    return [ExportedMessage(**_fields(row)) for row in rows]


def context_messages(connection: Connection, person: str, ids: Rows) -> list[ExportedContextMessage]:
    """Return those of these messages in thread contexts that are still stored, newest first."""
    rows = connection.execute(_context_messages(person).where(THREAD_CONTEXT.c.id.in_(ids))).mappings()
    return [ExportedContextMessage(**_fields(row)) for row in rows]


def _messages(person: str) -> sa.Select[Any]:
    other = MESSAGES.alias("other")
    others_asked = sa.exists().where(
        other.c.turn_id == MESSAGES.c.turn_id, other.c.author_id != person, other.c.fixed_reply.is_(None)
    )
    return (
        sa.select(
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
    place = (THREADS.c.channel, THREADS.c.root.label("thread"), THREAD_CONTEXT.c.message_id.label("id"))
    return (
        sa.select(*place, THREAD_CONTEXT.c.text, THREAD_CONTEXT.c.attachments, THREAD_CONTEXT.c.forwarded)
        .join_from(THREAD_CONTEXT, THREADS)
        .where(THREAD_CONTEXT.c.author_id == person, THREAD_CONTEXT.c.by.is_not(None))
        .order_by(THREAD_CONTEXT.c.id.desc())
    )


def _fields(row: RowMapping) -> dict[str, Any]:
    files = tuple(Attachment(**file) for file in row["attachments"])
    return {**row, "attachments": files, "forwarded": read_forwarded(row["forwarded"])}
