"""Thread context: the messages in a thread before the bot was called into it, stored with the session.

Rule: while the platform's answer is on its way, a message in it may be edited or deleted, or its author forgotten.
Marker rows (`by` is null) remember that until the context is stored. A deletion has the message's id and no author, an
edit has the new text, and a forgotten person has their id in place of the message's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.events import Attachment, MessageReceived, storable, stored_content
from bot.prompt.history import Turn
from bot.prompt.speakers import LONGEST_NAME
from bot.prompt.thread_context import AuthorKind, ContextState, EarlierMessage, ThreadContext
from bot.store import stored_bytes, summaries
from bot.store.engine import insert_or_ignore, mark_dirty
from bot.store.locks import lock_threads
from bot.store.tables import MESSAGES, POSTED_MESSAGES, RUNNING, SESSIONS, THREAD_CONTEXT, THREADS, TURNS


def expect(connection: Connection, session_id: str) -> None:
    """Note that this session began inside a thread: its first turn reads the earlier messages from the platform."""
    connection.execute(_OF_SESSION, {"this_session": session_id, "background": ContextState.UNREAD.value})


def save(connection: Connection, thread_id: int, session_id: str, turn_id: int, context: ThreadContext) -> None:
    """Store the context that was read, to be shown with this turn. Do nothing if the session closed or has one.

    Messages that the thread already has rows of are left out: the questions to the bot, and its answers.
    """
    lock_threads(connection, THREADS.c.id == thread_id)
    if connection.execute(_UNREAD_SESSION, {"this_session": session_id}).first() is None:
        return
    stored = _stored_ids(connection, thread_id, [message.message_id for message in context.messages])
    of_session = {"this_session": session_id}
    markers = {row.message_id: row for row in connection.execute(_MARKERS, of_session)}
    connection.execute(_DELETE_MARKERS, of_session)
    for message in context.messages:
        marker = markers.get(message.message_id)
        deleted = marker is not None and not marker.author_id
        if message.message_id not in stored and message.author_id not in markers and not deleted:
            edit = {"text": marker.text, "attachments": marker.attachments} if marker is not None else {}
            ids = {"thread_id": thread_id, "session_id": session_id}
            insert_or_ignore(connection, THREAD_CONTEXT, ids | _row(message) | edit)
    texts = [row.text for row in connection.execute(_MESSAGES_OF, of_session)]
    stored_bytes.add(connection, session_id, stored_bytes.size(texts))
    state = (ContextState.COMPLETE if context.complete else ContextState.PARTIAL).value
    connection.execute(_OF_SESSION, of_session | {"background": state, "background_turn_id": turn_id})


def attached(connection: Connection, session_id: str, turns: Sequence[Turn]) -> list[Turn]:
    """Return these turns of a session, with the thread context in the one that shows it."""
    of_session = {"this_session": session_id}
    session = connection.execute(_CONTEXT_OF, of_session).first()
    if session is None or session.background_turn_id not in {turn.id for turn in turns}:
        return list(turns)
    messages = [_message(row) for row in connection.execute(_MESSAGES_OF, of_session)]
    context = ThreadContext(tuple(messages), complete=session.background == ContextState.COMPLETE.value)
    return [replace(turn, thread_context=context) if turn.id == session.background_turn_id else turn for turn in turns]


def erase(connection: Connection, thread_id: int, message_id: str) -> None:
    """Erase a deleted message from the context. While the context is being read, mark the message as deleted."""
    session = connection.execute(_OPEN_IN, {"this_thread": thread_id}).first()
    erased = _delete(connection, *_is_message(thread_id, message_id))
    if erased:
        mark_dirty(connection)
    if session is None:
        return
    if session.is_reading:
        _add_marker(connection, thread_id, session.id, message_id)
    elif erased:
        summaries.void(connection, [session.background_turn_id])


def edit(connection: Connection, thread_id: int, message: MessageReceived) -> bool:
    """Replace the text of a message. Return whether the stored context has it.

    While the context is being read, a marker keeps the new text.
    """
    session = connection.execute(_OPEN_IN, {"this_thread": thread_id}).first()
    if session is None:
        return False
    new = stored_content(message.text, message.attachments)
    selected = (*_is_message(thread_id, message.message_id), THREAD_CONTEXT.c.author_id != "")
    before = _counted(connection.execute(sa.select(THREAD_CONTEXT).where(*selected)))
    updated = sa.update(THREAD_CONTEXT).where(*selected).values(new).returning(*THREAD_CONTEXT.c)
    rows = connection.execute(updated).all()
    stored_bytes.subtract(connection, before, _counted(rows))
    replaced = len(rows) > 0
    if replaced:
        mark_dirty(connection)
    if session.is_reading:
        _add_marker(connection, thread_id, session.id, message.message_id, author_id=message.author.id, **new)
        return False
    if replaced:
        summaries.void(connection, [session.background_turn_id])
    return replaced


def erase_in(connection: Connection, place: Sequence[sa.ColumnElement[bool]], person: str | None) -> None:
    """Erase this person's messages, or everybody's, from the context of the threads that match `place`.

    Where the context is being read, a marker keeps the person's messages out of it.
    """
    of_person = [] if person is None else [THREAD_CONTEXT.c.author_id == person]
    rows = sa.select(THREAD_CONTEXT.c.id).where(THREADS.c.id == THREAD_CONTEXT.c.thread_id, *place, *of_person)
    rows = rows.correlate(None)
    in_place = sa.exists().where(THREADS.c.id == SESSIONS.c.thread_id, *place).correlate(SESSIONS)
    reading = sa.select(SESSIONS.c.id).where(_UNREAD, SESSIONS.c.thread_id.in_(_RUNNING_IN), in_place).correlate(None)
    concerned = SESSIONS.c.id.in_(sa.union(rows.with_only_columns(THREAD_CONTEXT.c.session_id), reading))
    lock_threads(connection, THREADS.c.id.in_(sa.select(SESSIONS.c.thread_id).where(concerned)))
    sessions = connection.execute(_LOCK_OPEN.where(concerned).order_by(SESSIONS.c.thread_id)).all()
    if person is None:  # the sessions are closed, and their texts may be many
        connection.execute(sa.delete(THREAD_CONTEXT).where(THREAD_CONTEXT.c.id.in_(rows)))
    else:
        _delete(connection, THREAD_CONTEXT.c.id.in_(rows))
    for session in sessions:
        if session.background_turn_id is not None:
            summaries.void(connection, [session.background_turn_id])
        elif session.is_reading and person is not None:
            _add_marker(connection, session.thread_id, session.id, person, author_id=person)


def _delete(connection: Connection, *selected: sa.ColumnElement[bool]) -> bool:
    """Delete these rows, and count them no longer. Return whether there were any."""
    deleted = connection.execute(sa.delete(THREAD_CONTEXT).where(*selected).returning(*THREAD_CONTEXT.c)).all()
    stored_bytes.subtract(connection, _counted(deleted), Counter())
    return bool(deleted)


def _counted(rows: Iterable[Row[*tuple[Any, ...]]]) -> Counter[str]:
    """Return how many bytes these rows count for in each session. Markers are not counted."""
    totals = Counter[str]()
    for row in rows:
        totals[row.session_id] += stored_bytes.size([row.text]) if row.by is not None else 0
    return totals


def forget(connection: Connection, session_ids: Sequence[str]) -> None:
    """Delete the thread context of these sessions."""
    connection.execute(sa.delete(THREAD_CONTEXT).where(THREAD_CONTEXT.c.session_id.in_(session_ids)))


def _add_marker(connection: Connection, thread_id: int, session_id: str, message_id: str, **values: object) -> None:
    """Remember an edit, a deletion or a forgotten person until the context is stored (see the module's rule)."""
    empty: dict[str, Any] = {"author_id": "", "name": "", "by": None, "text": "", "attachments": []}
    ids = {"thread_id": thread_id, "session_id": session_id, "message_id": message_id}
    insert_or_ignore(connection, THREAD_CONTEXT, ids | empty | values)


def _stored_ids(connection: Connection, thread_id: int, ids: Sequence[str]) -> set[str]:
    """Return those of these message ids that the thread has rows of."""
    received = sa.select(MESSAGES.c.message_id).where(MESSAGES.c.thread_id == thread_id, MESSAGES.c.message_id.in_(ids))
    posted = sa.select(POSTED_MESSAGES.c.answer_id).where(
        POSTED_MESSAGES.c.thread_id == thread_id, POSTED_MESSAGES.c.answer_id.in_(ids)
    )
    return {*connection.execute(received).scalars(), *connection.execute(posted).scalars()}


def _row(message: EarlierMessage) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "author_id": message.author_id,
        "name": storable(message.name)[:LONGEST_NAME],
        "by": message.by.value,
        **stored_content(message.text, message.attachments),
    }


def _message(row: Row[*tuple[Any, ...]]) -> EarlierMessage:
    attachments = tuple(Attachment(**file) for file in row.attachments)
    return EarlierMessage(row.message_id, row.author_id, row.text, attachments, AuthorKind(row.by), row.name)


def _is_message(thread_id: int, message_id: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return THREAD_CONTEXT.c.thread_id == thread_id, THREAD_CONTEXT.c.message_id == message_id


_THIS = SESSIONS.c.id == sa.bindparam("this_session")
_OF_SESSION = sa.update(SESSIONS).where(_THIS)
_UNREAD = sa.and_(SESSIONS.c.closed_at.is_(None), SESSIONS.c.background == ContextState.UNREAD.value)
_UNREAD_SESSION = (
    sa.select(SESSIONS.c.id)
    .where(_THIS, _UNREAD)
    .with_for_update()  # a concurrent reset would leave these texts in a closed session
)
# The context is read for a running turn. Without one, the next read returns the current texts.
_RUNNING_IN = sa.select(TURNS.c.thread_id).where(RUNNING)
_IS_READING = sa.and_(
    _UNREAD, _RUNNING_IN.where(TURNS.c.thread_id == SESSIONS.c.thread_id).correlate(SESSIONS).exists()
)
_LOCK_OPEN = (
    sa.select(SESSIONS.c.id, SESSIONS.c.thread_id, SESSIONS.c.background_turn_id, _IS_READING.label("is_reading"))
    .where(SESSIONS.c.closed_at.is_(None))
    .with_for_update()
)
_OPEN_IN = _LOCK_OPEN.where(SESSIONS.c.thread_id == sa.bindparam("this_thread"))
_IN_SESSION = THREAD_CONTEXT.c.session_id == sa.bindparam("this_session")
_MARKERS = sa.select(THREAD_CONTEXT).where(_IN_SESSION, THREAD_CONTEXT.c.by.is_(None))
_DELETE_MARKERS = sa.delete(THREAD_CONTEXT).where(_IN_SESSION, THREAD_CONTEXT.c.by.is_(None))
_CONTEXT_OF = sa.select(SESSIONS.c.background, SESSIONS.c.background_turn_id).where(_THIS)
_MESSAGES_OF = (
    sa.select(THREAD_CONTEXT).where(_IN_SESSION, THREAD_CONTEXT.c.by.is_not(None)).order_by(THREAD_CONTEXT.c.message_id)
)
