"""What was said in threads before their sessions: kept with the turn that it was read for, gone with the session.

Rule: what the platform hands over may be older than what became of it meanwhile. That is noted, in rows of nobody's
(`by` is null), until what was read is kept: a deletion by the message's id alone, an edit with the new text, and a
person who is forgotten by their id in place of a message's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.events import Attachment, MessageReceived, storable
from bot.prompt.history import Turn
from bot.prompt.speakers import LONGEST_NAME
from bot.prompt.thread_context import By, Earlier, Known, ThreadContext
from bot.store import summaries
from bot.store import threads as thread_rows
from bot.store.engine import insert_or_ignore, mark_dirty
from bot.store.tables import RUNNING, POSTED_MESSAGES, THREAD_CONTEXT, MESSAGES, SESSIONS, THREADS, TURNS


def expect(connection: Connection, session_id: str) -> None:
    """This session was opened in the midst of a thread: what was said before is to be read for its first answer."""
    connection.execute(_OF_SESSION, {"this_session": session_id, "background": Known.NOTHING.value})


def keep(connection: Connection, thread_id: int, session_id: str, turn_id: int, found: ThreadContext) -> None:
    """Store what was read, to stand with this turn from now on. It is read once; a closed session keeps nothing.

    Left out is what the thread's own rows hold already: what people said to the bot, and what it answered.
    """
    connection.execute(_LOCKED, {"this_thread": thread_id})
    if connection.execute(_EXPECTING, {"this_session": session_id}).first() is None:
        return
    known = _known(connection, thread_id, [message.message_id for message in found.earlier])
    of_session = {"this_session": session_id}
    noted = {row.message_id: row for row in connection.execute(_NOTES, of_session)}
    connection.execute(_DROP_NOTES, of_session)
    for message in found.earlier:
        note = noted.get(message.message_id)
        deleted = note is not None and not note.author_id
        if message.message_id not in known and message.author_id not in noted and not deleted:
            edited = {"text": note.text, "attachments": note.attachments} if note is not None else {}
            here = {"thread_id": thread_id, "session_id": session_id}
            insert_or_ignore(connection, THREAD_CONTEXT, here | _row(message) | edited)
    read = {"background": (Known.WHOLE if found.whole else Known.PART).value, "background_turn_id": turn_id}
    connection.execute(_OF_SESSION, of_session | read)


def attached(connection: Connection, session_id: str, turns: Sequence[Turn]) -> list[Turn]:
    """The session's turns; the one that its background stands with has it, if it is among them."""
    of_session = {"this_session": session_id}
    stands = connection.execute(_STANDS, of_session).first()
    if stands is None or stands.background_turn_id not in {turn.id for turn in turns}:
        return list(turns)
    earlier = [_earlier(row) for row in connection.execute(_ROWS, of_session)]
    found = ThreadContext(tuple(earlier), whole=stands.background == Known.WHOLE.value)
    return [replace(turn, background=found) if turn.id == stands.background_turn_id else turn for turn in turns]


def erase(connection: Connection, thread_id: int, message_id: str) -> None:
    """Erase a message that was deleted. One that may be being read at this moment is not kept any more."""
    session = connection.execute(_OPEN_THERE, {"this_thread": thread_id}).first()
    erased = connection.execute(sa.delete(THREAD_CONTEXT).where(*_this(thread_id, message_id))).rowcount
    if erased:
        mark_dirty(connection)
    if session is None:
        return
    if session.reads:
        _note(connection, thread_id, session.id, message_id)
    elif erased:
        summaries.void(connection, session.background_turn_id)


def edit(connection: Connection, thread_id: int, message: MessageReceived) -> bool:
    """Replace what a message says, also one that may be being read; False when it is none of what is kept here."""
    session = connection.execute(_OPEN_THERE, {"this_thread": thread_id}).first()
    if session is None:
        return False
    said = {"text": storable(message.text), "attachments": [asdict(file) for file in message.attachments]}
    this = sa.update(THREAD_CONTEXT).where(*_this(thread_id, message.message_id), THREAD_CONTEXT.c.author_id != "")
    replaced = connection.execute(this.values(said)).rowcount > 0
    if replaced:
        mark_dirty(connection)
    if session.reads:
        _note(connection, thread_id, session.id, message.message_id, author_id=message.author.id, **said)
        return False
    if replaced:
        summaries.void(connection, session.background_turn_id)
    return replaced


def erase_in(connection: Connection, place: Sequence[sa.ColumnElement[bool]], person: str | None) -> None:
    """Erase what this person said, or everybody, in the threads at a place; also what is being read of them."""
    theirs = [] if person is None else [THREAD_CONTEXT.c.author_id == person]
    spoken = sa.select(THREAD_CONTEXT.c.id).where(THREADS.c.id == THREAD_CONTEXT.c.thread_id, *place, *theirs).correlate(None)
    there = sa.exists().where(THREADS.c.id == SESSIONS.c.thread_id, *place).correlate(SESSIONS)
    reading = sa.select(SESSIONS.c.id).where(_UNREAD, SESSIONS.c.thread_id.in_(_RUNS), there).correlate(None)
    concerned = SESSIONS.c.id.in_(sa.union(spoken.with_only_columns(THREAD_CONTEXT.c.session_id), reading))
    # First of all: so does everybody who changes a session.
    thread_rows.lock(connection, THREADS.c.id.in_(sa.select(SESSIONS.c.thread_id).where(concerned)))
    found = connection.execute(_HELD.where(concerned).order_by(SESSIONS.c.thread_id)).all()
    connection.execute(sa.delete(THREAD_CONTEXT).where(THREAD_CONTEXT.c.id.in_(spoken)))
    for session in found:
        if session.background_turn_id is not None:
            summaries.void(connection, session.background_turn_id)
        elif session.reads and person is not None:
            _note(connection, session.thread_id, session.id, person, author_id=person)


def forget(connection: Connection, session_ids: Sequence[str]) -> None:
    """Erase all that was said before these sessions."""
    connection.execute(sa.delete(THREAD_CONTEXT).where(THREAD_CONTEXT.c.session_id.in_(session_ids)))


def _note(connection: Connection, thread_id: int, session_id: str, message_id: str, **edited: object) -> None:
    """Note what became of a message, or of a person, while their words may be being read."""
    nothing: dict[str, Any] = {"author_id": "", "name": "", "by": None, "text": "", "attachments": []}
    this = {"thread_id": thread_id, "session_id": session_id, "message_id": message_id}
    insert_or_ignore(connection, THREAD_CONTEXT, this | nothing | edited)


def _known(connection: Connection, thread_id: int, ids: Sequence[str]) -> set[str]:
    asked = sa.select(MESSAGES.c.message_id).where(MESSAGES.c.thread_id == thread_id, MESSAGES.c.message_id.in_(ids))
    answered = sa.select(POSTED_MESSAGES.c.answer_id).where(POSTED_MESSAGES.c.thread_id == thread_id, POSTED_MESSAGES.c.answer_id.in_(ids))
    return {*connection.execute(asked).scalars(), *connection.execute(answered).scalars()}


def _row(message: Earlier) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "author_id": message.author_id,
        "name": storable(message.name)[:LONGEST_NAME],
        "by": message.by.value,
        "text": storable(message.text),
        "attachments": [asdict(file) for file in message.attachments],
    }


def _earlier(row: Row[*tuple[Any, ...]]) -> Earlier:
    files = tuple(Attachment(**kept) for kept in row.attachments)
    return Earlier(row.message_id, row.author_id, row.text, files, By(row.by), row.name)


def _this(thread_id: int, message_id: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return THREAD_CONTEXT.c.thread_id == thread_id, THREAD_CONTEXT.c.message_id == message_id


_THIS = SESSIONS.c.id == sa.bindparam("this_session")
_OF_SESSION = sa.update(SESSIONS).where(_THIS)
# First of all, as everybody does who changes a session: otherwise two could wait for each other.
_LOCKED = sa.select(THREADS.c.id).where(THREADS.c.id == sa.bindparam("this_thread")).with_for_update()
_EXPECTING = (
    sa.select(SESSIONS.c.id)
    .where(_THIS, SESSIONS.c.closed_at.is_(None), SESSIONS.c.background == Known.NOTHING.value)
    .with_for_update()  # against a reset at this moment, which would leave these words behind
)
# What is read was asked for by a turn that runs: what happens at other times is in what will be read.
_UNREAD = sa.and_(SESSIONS.c.closed_at.is_(None), SESSIONS.c.background == Known.NOTHING.value)
_RUNS = sa.select(TURNS.c.thread_id).where(RUNNING)
_READS = sa.and_(_UNREAD, _RUNS.where(TURNS.c.thread_id == SESSIONS.c.thread_id).correlate(SESSIONS).exists())
_HELD = (
    sa.select(SESSIONS.c.id, SESSIONS.c.thread_id, SESSIONS.c.background_turn_id, _READS.label("reads"))
    .where(SESSIONS.c.closed_at.is_(None))
    .with_for_update()  # as whoever closes it does, before its words are touched
)
_OPEN_THERE = _HELD.where(SESSIONS.c.thread_id == sa.bindparam("this_thread"))
_NOTED = (THREAD_CONTEXT.c.session_id == sa.bindparam("this_session"), THREAD_CONTEXT.c.by.is_(None))
_NOTES = sa.select(THREAD_CONTEXT).where(*_NOTED)
_DROP_NOTES = sa.delete(THREAD_CONTEXT).where(*_NOTED)
_STANDS = sa.select(SESSIONS.c.background, SESSIONS.c.background_turn_id).where(_THIS)
_ROWS = (
    sa.select(THREAD_CONTEXT)
    .where(THREAD_CONTEXT.c.session_id == sa.bindparam("this_session"), THREAD_CONTEXT.c.by.is_not(None))
    .order_by(THREAD_CONTEXT.c.message_id)
)
