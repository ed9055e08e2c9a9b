"""Export: all stored texts of a person, for this person."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from bot.domain.events import Attachment
from bot.domain.personal_data import ExportedContextMessage, ExportedMessage, PersonalDataExport
from bot.store.tables import MESSAGES, THREAD_CONTEXT, THREADS, TURNS


def of_person(connection: Connection, platform: str, workspace: str, person: str, *, limit: int) -> PersonalDataExport:
    """Return this person's messages, and the answers to them alone: the newest `limit` messages of each kind."""
    in_workspace = (THREADS.c.platform == platform, THREADS.c.workspace == workspace)
    # One more than the limit shows whether there are more.
    messages = connection.execute(_messages(person).where(*in_workspace).limit(limit + 1)).mappings().all()
    context = connection.execute(_context_messages(person).where(*in_workspace).limit(limit + 1)).mappings().all()
    return PersonalDataExport(
        tuple(ExportedMessage(**_fields(row)) for row in messages[:limit][::-1]),
        tuple(ExportedContextMessage(**_fields(row)) for row in context[:limit][::-1]),
        complete=max(len(messages), len(context)) <= limit,
    )


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
        sa.select(*place, THREAD_CONTEXT.c.text, THREAD_CONTEXT.c.attachments)
        .join_from(THREAD_CONTEXT, THREADS)
        .where(THREAD_CONTEXT.c.author_id == person, THREAD_CONTEXT.c.by.is_not(None))
        .order_by(THREAD_CONTEXT.c.id.desc())
    )


def _fields(row: RowMapping) -> dict[str, Any]:
    return {**row, "attachments": tuple(Attachment(**file) for file in row["attachments"])}
