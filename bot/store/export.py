"""Export: what is kept of a person, for the person."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from bot.domain.events import Attachment
from bot.domain.sessions import Kept, KeptEarlier, KeptMessage
from bot.store.tables import background, messages, threads, turns


def of_person(connection: Connection, platform: str, workspace: str, person: str, *, limit: int) -> Kept:
    """What this person wrote, with the answers to them alone; of more than `limit` messages the newest."""
    there = (threads.c.platform == platform, threads.c.workspace == workspace)
    found = connection.execute(_messages(person).where(*there).limit(limit + 1)).mappings().all()
    earlier = connection.execute(_background(person).where(*there).limit(limit + 1)).mappings().all()
    said = [KeptMessage(**_named(row)) for row in found[:limit]]
    told = [KeptEarlier(**_named(row)) for row in earlier[:limit]]
    return Kept(tuple(said[::-1]), tuple(told[::-1]), whole=max(len(found), len(earlier)) <= limit)


def _messages(person: str) -> sa.Select[Any]:
    other = messages.alias("other")
    asked_as_well = sa.exists().where(
        other.c.turn_id == messages.c.turn_id, other.c.author_id != person, other.c.fixed_reply.is_(None)
    )
    return (
        sa.select(
            threads.c.channel,
            threads.c.root.label("thread"),
            messages.c.message_id.label("id"),
            messages.c.accepted_at,
            messages.c.edited_at,
            messages.c.text,
            messages.c.attachments,
            sa.case((asked_as_well, None), else_=turns.c.answer).label("answer"),
        )
        .join_from(messages, threads)
        .outerjoin(turns, turns.c.id == messages.c.turn_id)
        .where(messages.c.author_id == person, messages.c.deleted_at.is_(None), messages.c.fixed_reply.is_(None))
        .order_by(messages.c.id.desc())
    )


def _background(person: str) -> sa.Select[Any]:
    place = (threads.c.channel, threads.c.root.label("thread"), background.c.message_id.label("id"))
    return (
        sa.select(*place, background.c.text, background.c.attachments)
        .join_from(background, threads)
        .where(background.c.author_id == person, background.c.by.is_not(None))
        .order_by(background.c.id.desc())
    )


def _named(row: RowMapping) -> dict[str, Any]:
    return {**row, "attachments": tuple(Attachment(**file) for file in row["attachments"])}
