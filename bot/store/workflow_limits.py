"""Limits on answers to workflows, so that a workflow and the bot do not answer each other without end.

A workflow can start on a message of the bot, mention it again, and so on, in one thread or in ever new ones.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import MessageReceived
from bot.store.tables import MESSAGES

log = logging.getLogger(__name__)

IN_A_ROW = 3  # questions of one workflow in a thread in which nobody else writes
PER_HOUR = 60  # questions of one workflow


def exceeded(connection: Connection, thread_id: int, message: MessageReceived, now: datetime) -> bool:
    """Return whether a workflow wrote this message, and has asked too much. It is not answered then."""
    if not message.by_workflow:
        return False
    newest = (
        sa.select(MESSAGES.c.author_id)
        .where(MESSAGES.c.thread_id == thread_id, MESSAGES.c.message_id < message.message_id)
        .order_by(MESSAGES.c.message_id.desc())
        .limit(IN_A_ROW)
    )
    by_it = connection.execute(newest).scalars().all() == [message.author.id] * IN_A_ROW
    in_hour = (MESSAGES.c.author_id == message.author.id, MESSAGES.c.accepted_at > now - timedelta(hours=1))
    asked = sa.select(MESSAGES.c.id).where(*in_hour).limit(PER_HOUR).subquery()
    if by_it or connection.execute(sa.select(sa.func.count()).select_from(asked)).scalar_one() >= PER_HOUR:
        log.warning("workflow_not_answered", extra={"place": str(message.thread), "workflow": message.author.id})
        return True
    return False
