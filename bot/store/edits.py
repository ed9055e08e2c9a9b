"""Edits and deletions: the bot remembers and answers the current text of a message."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.events import MessageDeleted, MessageEdited, MessageReceived, stored_content
from bot.domain.sessions import EditOutcome, Interrupted, wants_answer, wants_answer_now
from bot.store import posted_messages, stored_bytes, thread_context, threads
from bot.store.erasure import erase_messages, texts_changed
from bot.store.inbox import store_message
from bot.store.interruptions import drop_kept, interrupt, leave_unanswered
from bot.store.locks import lock_if_open
from bot.store.tables import MESSAGES, NO_CONTENT


def accept_edit(
    connection: Connection, edited: MessageEdited, *, now: datetime, new_id: str, idle_after: timedelta
) -> tuple[EditOutcome, int | None]:
    """Replace a message's text. Return the outcome and, if the edit made it a question, the thread's id.

    Nothing changes when a later edit is stored already, or the message is deleted, a command or of a closed session.
    """
    message = edited.message
    _edit_context(connection, message)
    place = threads.located(connection, message.thread, message.message_id)
    edited = replace(edited, message=replace(message, thread=place))
    thread = threads.find(connection, place)
    stored = _find(connection, thread, edited.message.message_id)
    if stored is None:
        return _accept_new(connection, edited, thread, now=now, new_id=new_id, idle_after=idle_after)
    if thread is None or not _replace(connection, stored, edited):
        return EditOutcome.NOTHING, None
    texts_changed(connection, [stored.turn_id] if stored.turn_id else [])
    is_running = stored.turn_id and interrupt(connection, thread.id, Interrupted.EDITED, stored.turn_id)
    if is_running:
        drop_kept(connection, stored.turn_id)
    return (EditOutcome.ANEW if is_running else EditOutcome.REPLACED), None


def _accept_new(
    connection: Connection,
    edited: MessageEdited,
    thread: Row[int, bool, bool] | None,
    *,
    now: datetime,
    new_id: str,
    idle_after: timedelta,
) -> tuple[EditOutcome, int | None]:
    """Accept an edited message that is not stored: as a question, or as a part of the thread context."""
    message = edited.message
    followed = thread is not None and threads.is_followed(connection, thread.id, message.message_id)
    engaged = thread is not None and thread.engaged and followed
    if edited.by_bot or not wants_answer_now(edited, engaged=engaged, now=now, idle_after=idle_after):
        replaced = thread is not None and thread_context.edit(connection, thread.id, message)
        return (EditOutcome.REPLACED if replaced else EditOutcome.NOTHING), None
    thread_id = store_message(
        connection,
        message,
        thread,
        followed=followed,
        now=now,
        new_id=new_id,
        idle_after=idle_after,
        edited_at=edited.edited_at,
    )
    return (EditOutcome.ASKED if thread_id is not None else EditOutcome.NOTHING), thread_id


def accept_deletion(connection: Connection, deleted: MessageDeleted, *, now: datetime) -> bool:
    """Erase a deleted message, which is not answered any more. Return whether a running turn must end or restart.

    A message of the bot's own takes the answer with it that it holds a part of. A message that wants an answer and is
    not stored may still be delivered: a row remembers that it was deleted.
    """
    if deleted.thread.rolling and (below := threads.find(connection, replace(deleted.thread, root=deleted.message_id))):
        thread_context.erase(connection, below.id, deleted.message_id)
    deleted = replace(deleted, thread=threads.located(connection, deleted.thread, deleted.message_id))
    thread = threads.find(connection, deleted.thread)
    stored = _find(connection, thread, deleted.message_id)
    if thread is not None:
        thread_context.erase(connection, thread.id, deleted.message_id)
        posted_messages.erase(connection, thread.id, deleted.message_id)
    if stored is None:
        if deleted.message and wants_answer(deleted.message, engaged=thread is not None and thread.engaged):
            _insert_deleted(connection, deleted, now)
        return False
    if thread is None or stored.fixed_reply is not None:
        return False
    return erase_messages(connection, thread.id, [stored.id], Interrupted.DELETED, now=now)


def _edit_context(connection: Connection, message: MessageReceived) -> None:
    """Edit a message of a rolling conversation in the context of the thread below it, which is another conversation."""
    if message.thread.rolling and (below := threads.find(connection, replace(message.thread, root=message.message_id))):
        thread_context.edit(connection, below.id, message)


def _find(connection: Connection, thread: Row[int, bool, bool] | None, message_id: str) -> Row[*tuple[Any, ...]] | None:
    if thread is None:
        return None
    return connection.execute(_STORED, {"in_thread": thread.id, "this_message": message_id}).first()


_STORED = sa.select(MESSAGES).where(
    MESSAGES.c.thread_id == sa.bindparam("in_thread"), MESSAGES.c.message_id == sa.bindparam("this_message")
)


def _replace(connection: Connection, stored: Row[*tuple[Any, ...]], edited: MessageEdited) -> bool:
    """Store the new text. Return False when the edit changes nothing."""
    new = stored_content(edited.message.text, edited.message.attachments, edited.message.forwarded)
    is_editable = stored.deleted_at is None and stored.fixed_reply is None and stored.session_id is not None
    is_outdated = stored.edited_at is not None and stored.edited_at >= edited.edited_at
    if not is_editable or is_outdated or all(getattr(stored, name) == value for name, value in new.items()):
        return False
    if not lock_if_open(connection, stored.session_id):
        return False
    row = sa.update(MESSAGES).where(MESSAGES.c.id == stored.id)
    connection.execute(row.values(**new, edited_at=edited.edited_at))
    more = stored_bytes.of_message(new["text"], new["forwarded"]) - stored_bytes.of_message(
        stored.text, stored.forwarded
    )
    stored_bytes.add(connection, stored.session_id, more)
    return True


def _insert_deleted(connection: Connection, deleted: MessageDeleted, now: datetime) -> None:
    """Insert a row for a deleted message, without its text and author, so that a late delivery is a duplicate."""
    thread_id = threads.ensure(connection, deleted.thread)
    empty = {"author_id": "", "author_workspace": "", **NO_CONTENT}
    row = {"thread_id": thread_id, "message_id": deleted.message_id, "deleted_at": now, "accepted_at": now, **empty}
    connection.execute(sa.insert(MESSAGES), row)
    inserted = sa.and_(MESSAGES.c.thread_id == thread_id, MESSAGES.c.message_id == deleted.message_id)
    leave_unanswered(connection, thread_id, inserted, now)
