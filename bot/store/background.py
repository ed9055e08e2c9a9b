"""What was said in threads before their sessions: kept with the turn that it was read for, gone with the session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.background import Background, By, Earlier, Known
from bot.events import Attachment, storable
from bot.history import Turn
from bot.people import LONGEST_NAME
from bot.store import summaries
from bot.store.engine import insert_or_ignore, stain
from bot.store.tables import answers, background, messages, sessions, threads


def expect(connection: Connection, session_id: str) -> None:
    """This session was opened in the midst of a thread: what was said before is to be read for its first answer."""
    connection.execute(_OF_SESSION, {"this_session": session_id, "background": Known.NOTHING.value})


def keep(connection: Connection, thread_id: int, session_id: str, turn_id: int, found: Background) -> None:
    """Store what was read, to stand with this turn from now on. It is read once; a closed session keeps nothing.

    Left out is what the thread's own rows hold already: what people said to the bot, and what it answered.
    """
    connection.execute(_LOCKED, {"this_thread": thread_id})
    if connection.execute(_EXPECTING, {"this_session": session_id}).first() is None:
        return
    known = _known(connection, thread_id, [message.message_id for message in found.earlier])
    for message in found.earlier:
        if message.message_id not in known:
            insert_or_ignore(connection, background, _row(message) | {"thread_id": thread_id, "session_id": session_id})
    read = {"background": (Known.WHOLE if found.whole else Known.PART).value, "background_turn_id": turn_id}
    connection.execute(_OF_SESSION, {"this_session": session_id, **read})


def attached(connection: Connection, session_id: str, turns: Sequence[Turn]) -> list[Turn]:
    """The session's turns; the one that its background stands with has it, if it is among them."""
    of_session = {"this_session": session_id}
    stands = connection.execute(_STANDS, of_session).first()
    if stands is None or stands.background_turn_id not in {turn.id for turn in turns}:
        return list(turns)
    earlier = [_earlier(row) for row in connection.execute(_ROWS, of_session)]
    found = Background(tuple(earlier), whole=stands.background == Known.WHOLE.value)
    return [replace(turn, background=found) if turn.id == stands.background_turn_id else turn for turn in turns]


def erase(connection: Connection, thread_id: int, message_id: str) -> None:
    """Erase a message that was deleted. One that may be being read at this moment is not kept any more."""
    if connection.execute(sa.delete(background).where(*_this(thread_id, message_id))).rowcount:
        stain(connection)
        _void_summary(connection, thread_id)
        return
    expecting = sa.select(sessions.c.id).where(
        sessions.c.thread_id == thread_id, sessions.c.closed_at.is_(None), sessions.c.background == Known.NOTHING.value
    )
    if (session_id := connection.execute(expecting).scalar()) is not None:
        gone = {"thread_id": thread_id, "session_id": session_id, "message_id": message_id}
        nothing: dict[str, Any] = {"author_id": "", "name": "", "by": None, "text": "", "attachments": []}
        insert_or_ignore(connection, background, gone | nothing)


def edit(
    connection: Connection, thread_id: int, message_id: str, text: str, attachments: Sequence[Attachment] = ()
) -> bool:
    """Replace what a message says; False when it is none of what is kept here."""
    said = {"text": storable(text), "attachments": [asdict(file) for file in attachments]}
    this = sa.update(background).where(*_this(thread_id, message_id), background.c.by.is_not(None))
    if connection.execute(this.values(said)).rowcount == 0:
        return False
    stain(connection)
    _void_summary(connection, thread_id)
    return True


def forget(connection: Connection, session_ids: Sequence[str]) -> None:
    """Erase all that was said before these sessions."""
    connection.execute(sa.delete(background).where(background.c.session_id.in_(session_ids)))


def _void_summary(connection: Connection, thread_id: int) -> None:
    """The thread's summary may hold what was said before it, as a part of the turn that it stands with."""
    open_there = (sessions.c.thread_id == thread_id, sessions.c.closed_at.is_(None))
    stands_with = connection.execute(sa.select(sessions.c.background_turn_id).where(*open_there)).scalar()
    if stands_with is not None:
        summaries.void(connection, stands_with)


def _known(connection: Connection, thread_id: int, ids: Sequence[str]) -> set[str]:
    asked = sa.select(messages.c.message_id).where(messages.c.thread_id == thread_id, messages.c.message_id.in_(ids))
    answered = sa.select(answers.c.answer_id).where(answers.c.thread_id == thread_id, answers.c.answer_id.in_(ids))
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
    return background.c.thread_id == thread_id, background.c.message_id == message_id


_THIS = sessions.c.id == sa.bindparam("this_session")
_OF_SESSION = sa.update(sessions).where(_THIS)
# First of all, as everybody does who changes a session: otherwise two could wait for each other.
_LOCKED = sa.select(threads.c.id).where(threads.c.id == sa.bindparam("this_thread")).with_for_update()
_EXPECTING = (
    sa.select(sessions.c.id)
    .where(_THIS, sessions.c.closed_at.is_(None), sessions.c.background == Known.NOTHING.value)
    .with_for_update()  # against a reset at this moment, which would leave these words behind
)
_STANDS = sa.select(sessions.c.background, sessions.c.background_turn_id).where(_THIS)
_ROWS = (
    sa.select(background)
    .where(background.c.session_id == sa.bindparam("this_session"), background.c.by.is_not(None))
    .order_by(background.c.message_id)
)
