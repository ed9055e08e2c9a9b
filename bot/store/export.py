"""Export: what is kept of a person, for the person."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.events import Attachment
from bot.sessions import KeptMessage
from bot.store.tables import messages, threads, turns


def of_person(connection: Connection, platform: str, workspace: str, person: str, *, limit: int) -> list[KeptMessage]:
    """The messages that this person wrote, with their answers, oldest first; of more than `limit` the newest."""
    theirs = (
        sa.select(
            threads.c.channel,
            threads.c.root,
            messages.c.message_id,
            messages.c.accepted_at,
            messages.c.edited_at,
            messages.c.text,
            messages.c.attachments,
            turns.c.answer,
        )
        .join_from(messages, threads)
        .outerjoin(turns, turns.c.id == messages.c.turn_id)
        .where(
            threads.c.platform == platform,
            threads.c.workspace == workspace,
            messages.c.author_id == person,
            messages.c.deleted_at.is_(None),
            messages.c.fixed_reply.is_(None),
        )
        .order_by(messages.c.id.desc())
        .limit(limit)
    )
    return [
        KeptMessage(*row[:6], tuple(Attachment(**kept) for kept in row.attachments), row.answer)
        for row in connection.execute(theirs)
    ][::-1]
