"""Edits and deletions: what is remembered, and answered, is what people say now."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.events import MessageDeleted, MessageEdited, storable
from bot.domain.sessions import EditOutcome, Interrupted, wants_answer, wants_answer_now
from bot.store import posted_messages, thread_context
from bot.store import threads as thread_rows
from bot.store.erasure import erase_messages, words_changed
from bot.store.inbox import take_in
from bot.store.interruptions import answer_never, interrupt
from bot.store.locks import is_open
from bot.store.tables import MESSAGES


def accept_edit(
    connection: Connection, edited: MessageEdited, *, now: datetime, new_id: str, idle_after: timedelta
) -> tuple[EditOutcome, int | None]:
    """Replace a message's text; what came of it, and the thread's id where the message is to be answered only now.

    An older edit than the one known changes nothing, nor does one of a message that is deleted, a command, or gone
    with its session.
    """
    message = edited.message
    known = thread_rows.find(connection, message.thread)
    before = _find(connection, known, message.message_id)
    if before is None:
        followed = known is not None and thread_rows.is_followed(connection, known.id, message.message_id)
        engaged = known is not None and known.engaged and followed
        if edited.by_bot or not wants_answer_now(edited, engaged=engaged, now=now, idle_after=idle_after):
            replaced = known is not None and thread_context.edit(connection, known.id, message)
            return (EditOutcome.REPLACED if replaced else EditOutcome.NOTHING), None
        thread_id = take_in(
            connection,
            message,
            known,
            followed=followed,
            now=now,
            new_id=new_id,
            idle_after=idle_after,
            edited_at=edited.edited_at,
        )
        return (EditOutcome.ASKED if thread_id is not None else EditOutcome.NOTHING), thread_id
    if known is None or not _replace(connection, before, edited):
        return EditOutcome.NOTHING, None
    words_changed(connection, [before.turn_id] if before.turn_id else [])
    runs = before.turn_id and interrupt(connection, known.id, Interrupted.EDITED, before.turn_id)
    return (EditOutcome.ANEW if runs else EditOutcome.REPLACED), None


def accept_deletion(connection: Connection, deleted: MessageDeleted, *, now: datetime) -> bool:
    """Erase a deleted message. What waits gets no answer; whether a running answer is to end, or to begin again.

    A message that would be answered and is not known may still come: it is remembered as deleted. One of our own takes
    the answer with it that it held.
    """
    known = thread_rows.find(connection, deleted.thread)
    row = _find(connection, known, deleted.message_id)
    if known is not None:
        thread_context.erase(connection, known.id, deleted.message_id)
        posted_messages.erase(connection, known.id, deleted.message_id)
    if row is None:
        if deleted.message and wants_answer(deleted.message, engaged=known is not None and known.engaged):
            _bury(connection, deleted, now)
        return False
    if known is None or row.fixed_reply is not None:
        return False
    return erase_messages(connection, known.id, [row.id], Interrupted.DELETED, now=now)


def _find(connection: Connection, known: Row[int, bool, bool] | None, message_id: str) -> Row[*tuple[Any, ...]] | None:
    if known is None:
        return None
    return connection.execute(_KNOWN, {"in_thread": known.id, "known_as": message_id}).first()


_KNOWN = sa.select(MESSAGES).where(
    MESSAGES.c.thread_id == sa.bindparam("in_thread"), MESSAGES.c.message_id == sa.bindparam("known_as")
)


def _replace(connection: Connection, before: Row[*tuple[Any, ...]], edited: MessageEdited) -> bool:
    """Whether the edit changes what is remembered; if so, it does now."""
    text, attachments = storable(edited.message.text), [asdict(file) for file in edited.message.attachments]
    is_kept = before.deleted_at is None and before.fixed_reply is None and before.session_id is not None
    is_late = before.edited_at is not None and before.edited_at >= edited.edited_at
    if not is_kept or is_late or (before.text, before.attachments) == (text, attachments):
        return False
    if not is_open(connection, before.session_id):
        return False
    this = sa.update(MESSAGES).where(MESSAGES.c.id == before.id)
    connection.execute(this.values(text=text, attachments=attachments, edited_at=edited.edited_at))
    return True


def _bury(connection: Connection, deleted: MessageDeleted, now: datetime) -> None:
    """Remember that a message was deleted, and nothing else of it."""
    thread_id = thread_rows.ensure(connection, deleted.thread)
    nobody = {"author_id": "", "author_workspace": "", "text": "", "attachments": []}
    row = {"thread_id": thread_id, "message_id": deleted.message_id, "deleted_at": now, "accepted_at": now, **nobody}
    connection.execute(sa.insert(MESSAGES), row)
    this = sa.and_(MESSAGES.c.thread_id == thread_id, MESSAGES.c.message_id == deleted.message_id)
    answer_never(connection, thread_id, this, now)
