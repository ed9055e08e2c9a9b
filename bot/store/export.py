"""Export: what is kept of a person, for the person."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from bot.domain.events import Attachment
from bot.domain.sessions import Kept, KeptEarlier, KeptMessage
from bot.store.tables import THREAD_CONTEXT, MESSAGES, THREADS, TURNS


def of_person(connection: Connection, platform: str, workspace: str, person: str, *, limit: int) -> Kept:
    """What this person wrote, with the answers to them alone; of more than `limit` messages the newest."""
    there = (THREADS.c.platform == platform, THREADS.c.workspace == workspace)
    found = connection.execute(_messages(person).where(*there).limit(limit + 1)).mappings().all()
    earlier = connection.execute(_background(person).where(*there).limit(limit + 1)).mappings().all()
    said = [KeptMessage(**_named(row)) for row in found[:limit]]
    told = [KeptEarlier(**_named(row)) for row in earlier[:limit]]
    return Kept(tuple(said[::-1]), tuple(told[::-1]), whole=max(len(found), len(earlier)) <= limit)


def _messages(person: str) -> sa.Select[Any]:
    other = MESSAGES.alias("other")
    asked_as_well = sa.exists().where(
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
            sa.case((asked_as_well, None), else_=TURNS.c.answer).label("answer"),
        )
        .join_from(MESSAGES, THREADS)
        .outerjoin(TURNS, TURNS.c.id == MESSAGES.c.turn_id)
        .where(MESSAGES.c.author_id == person, MESSAGES.c.deleted_at.is_(None), MESSAGES.c.fixed_reply.is_(None))
        .order_by(MESSAGES.c.id.desc())
    )


def _background(person: str) -> sa.Select[Any]:
    place = (THREADS.c.channel, THREADS.c.root.label("thread"), THREAD_CONTEXT.c.message_id.label("id"))
    return (
        sa.select(*place, THREAD_CONTEXT.c.text, THREAD_CONTEXT.c.attachments)
        .join_from(THREAD_CONTEXT, THREADS)
        .where(THREAD_CONTEXT.c.author_id == person, THREAD_CONTEXT.c.by.is_not(None))
        .order_by(THREAD_CONTEXT.c.id.desc())
    )


def _named(row: RowMapping) -> dict[str, Any]:
    return {**row, "attachments": tuple(Attachment(**file) for file in row["attachments"])}
