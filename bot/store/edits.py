"""Edits and deletions: the bot remembers and answers the current text of a message."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.events import FileDeleted, MessageDeleted, MessageEdited, MessageReceived, stored_content
from bot.domain.listening import ThreadAnswers
from bot.domain.sessions import EditOutcome, Interrupted, wants_answer, wants_answer_now
from bot.store import answer_files, file_contents, listening, posted_messages, stored_bytes, thread_context, threads
from bot.store.erasure import erase_messages, texts_changed
from bot.store.file_contents import Files, ids_in
from bot.store.inbox import store_message
from bot.store.interruptions import drop_kept, interrupt, leave_unanswered
from bot.store.locks import lock_if_open, lock_threads
from bot.store.tables import FILE_CONTENTS, MESSAGES, NO_CONTENT, SESSIONS, THREAD_CONTEXT, THREADS
from bot.store.threads import ThreadRow


def accept_edit(
    connection: Connection,
    edited: MessageEdited,
    *,
    now: datetime,
    new_id: str,
    idle_after: timedelta,
    answers: ThreadAnswers = ThreadAnswers.ALL,
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
    if stored is None or (edited.calls_bot and stored.overheard and stored.deleted_at is None):
        return _accept_new(connection, edited, thread, now=now, new_id=new_id, idle_after=idle_after, answers=answers)
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
    thread: ThreadRow | None,
    *,
    now: datetime,
    new_id: str,
    idle_after: timedelta,
    answers: ThreadAnswers,
) -> tuple[EditOutcome, int | None]:
    """Accept an edited message that is not stored as a question: as one, or as a part of what people say otherwise."""
    message = edited.message
    followed = thread is not None and threads.is_followed(connection, thread.id, message.message_id)
    engaged = followed and listening.is_engaged(connection, thread, message, answers)
    if edited.by_bot or not wants_answer_now(edited, engaged=engaged, now=now, idle_after=idle_after):
        if thread is not None and thread_context.edit(connection, thread.id, message):
            return EditOutcome.REPLACED, None
        if not edited.by_bot:  # it was delivered before its message
            overhear = listening.overhear
            overhear(connection, message, thread, now=now, idle_after=idle_after, edited_at=edited.edited_at)
        return EditOutcome.NOTHING, None
    thread_id = store_message(
        connection,
        replace(message, mentions_bot=message.mentions_bot or edited.calls_bot),
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

    A message of the bot's own takes the answer with it that it holds a part of. A message that is to be
    stored and is not may still be delivered: a row remembers that it was deleted.
    """
    if deleted.thread.rolling and (below := threads.find(connection, replace(deleted.thread, root=deleted.message_id))):
        thread_context.erase(connection, below.id, deleted.message_id)
    deleted = replace(deleted, thread=threads.located(connection, deleted.thread, deleted.message_id))
    thread = threads.find(connection, deleted.thread)
    stored = _find(connection, thread, deleted.message_id)
    if thread is not None:
        thread_context.erase(connection, thread.id, deleted.message_id)
        posted_messages.erase(connection, thread.id, deleted.message_id)
        _erase_answers_in(connection, thread.id, deleted)
    if stored is None:
        engaged = thread is not None and thread.engaged
        if deleted.message and (engaged or wants_answer(deleted.message, engaged=False)):
            _insert_deleted(connection, deleted, now)
        return False
    if thread is None or stored.fixed_reply is not None:
        return False
    return erase_messages(connection, thread.id, [stored.id], Interrupted.DELETED, now=now)


def accept_file_deletion(connection: Connection, deleted: FileDeleted) -> bool:
    """Erase what was read of a file, wherever it was shared. Return whether a running answer restarts without it.

    A file of the bot's own takes the answer with it that it holds a part of.
    """
    in_workspace = (THREADS.c.platform == deleted.platform, THREADS.c.workspace == deleted.workspace)
    found = sa.select(FILE_CONTENTS).join(THREADS).where(FILE_CONTENTS.c.file_id == deleted.file_id, *in_workspace)
    rows = connection.execute(found.order_by(FILE_CONTENTS.c.thread_id)).all()
    answers = answer_files.turns_of_file(connection, deleted.platform, deleted.workspace, deleted.file_id)
    lock_threads(connection, THREADS.c.id.in_([*(row.thread_id for row in rows), *answers.values()]))
    for turn_id in answers:
        posted_messages.erase_answer(connection, turn_id)
    return sum(_erase_file(connection, row) for row in rows) > 0


def _erase_answers_in(connection: Connection, thread_id: int, deleted: MessageDeleted) -> None:
    """Erase the answers of this thread that the deleted message's files hold a part of."""
    for file_id in deleted.file_ids:
        turns = answer_files.turns_of_file(connection, deleted.thread.platform, deleted.thread.workspace, file_id)
        for turn_id in (turn_id for turn_id, place in turns.items() if place == thread_id):
            posted_messages.erase_answer(connection, turn_id)


def _erase_file(connection: Connection, content: Row[*tuple[Any, ...]]) -> bool:
    """Remove the file from its message, or from the message in the thread context. Return whether a turn restarts."""
    file_contents.erase(connection, FILE_CONTENTS.c.id == content.id)
    for table in (MESSAGES, THREAD_CONTEXT):
        message = (table.c.thread_id == content.thread_id, table.c.message_id == content.message_id)
        if row := connection.execute(sa.select(table.c.attachments, table.c.forwarded).where(*message)).first():
            left = _without_file(row.attachments, row.forwarded, content.file_id)
            connection.execute(sa.update(table).where(*message).values(left))
    place = {"this_thread": content.thread_id, "this_message": content.message_id, "this_session": content.session_id}
    turn_id = connection.execute(_TURN_OF_CONTENT, place).scalar()
    if turn_id is None:
        return False
    texts_changed(connection, [turn_id])
    if not interrupt(connection, content.thread_id, Interrupted.EDITED, turn_id):
        return False
    drop_kept(connection, turn_id)
    return True


def _without_file(attachments: Files, forwarded: Files | None, file_id: str) -> dict[str, Any]:
    """Return the stored files of a message, and of messages that it passes on, without this one."""

    def left(files: Files) -> Files:
        return [file for file in files if file["id"] != file_id]

    passed_on = [{**each, "attachments": left(each["attachments"])} for each in forwarded or ()]
    return {"attachments": left(attachments), "forwarded": passed_on or None}


_TURN_OF_CONTENT = sa.select(
    sa.func.coalesce(
        sa.select(MESSAGES.c.turn_id)
        .where(
            MESSAGES.c.thread_id == sa.bindparam("this_thread"), MESSAGES.c.message_id == sa.bindparam("this_message")
        )
        .scalar_subquery(),
        sa.select(SESSIONS.c.background_turn_id).where(SESSIONS.c.id == sa.bindparam("this_session")).scalar_subquery(),
    )
)


def _edit_context(connection: Connection, message: MessageReceived) -> None:
    """Edit a message of a rolling conversation in the context of the thread below it, which is another conversation."""
    if message.thread.rolling and (below := threads.find(connection, replace(message.thread, root=message.message_id))):
        thread_context.edit(connection, below.id, message)


def _find(connection: Connection, thread: ThreadRow | None, message_id: str) -> Row[*tuple[Any, ...]] | None:
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
    left = ids_in(new["attachments"], new["forwarded"])
    if ids_in(stored.attachments, stored.forwarded) - left:
        file_contents.keep_only(connection, stored.thread_id, stored.message_id, left)
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
