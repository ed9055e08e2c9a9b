"""The tables. A change here comes with a migration; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, MetaData, Table, UniqueConstraint
from sqlalchemy.engine import Dialect

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware UTC datetime on both databases; SQLite has no time zones, so it is stored there without one."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime reached the store")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give UTC back, always aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # only INTEGER counts up by itself on SQLite

threads = Table(
    "threads",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("platform", sa.String(32), nullable=False),
    Column("workspace", sa.String(64), nullable=False),
    Column("channel", sa.String(64), nullable=False),
    Column("root", sa.String(64), nullable=False),
    Column("direct", sa.Boolean, nullable=False),
    Column("engaged", sa.Boolean, nullable=False),  # the bot takes part: replies need no mention
    # A session began here, or a reset was asked for: what is older is never read (any more).
    Column("begun", sa.Boolean, nullable=False, server_default=sa.false()),
    Column("lease_owner", sa.String(64)),  # the worker that answers there now
    Column("lease_until", UtcDateTime),  # by the database's clock
    Column("interrupted", sa.String(16)),  # sessions.Interrupted: why the running turn is to end now
    Column("fence", sa.Integer, nullable=False, server_default="0"),  # counts claims: a late write shows an old one
    UniqueConstraint("platform", "workspace", "channel", "root"),
)

_INTERRUPTED = threads.c.interrupted.is_not(None)
Index("ix_threads_interrupted", threads.c.lease_owner, sqlite_where=_INTERRUPTED, postgresql_where=_INTERRUPTED)

sessions = Table(
    "sessions",
    metadata,
    Column("id", sa.String(36), primary_key=True),  # a UUID
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("channel", sa.String(64), nullable=False, server_default=""),  # the thread's, for sweeps of one channel
    Column("opened_at", UtcDateTime, nullable=False),
    Column("last_active_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("closed_why", sa.String(16)),  # sessions.Closed
    Column("follows_expired", sa.Boolean, nullable=False),  # the session before it expired: the bot says so once
    Column("warned_at", UtcDateTime),  # that it will expire; null again as soon as somebody writes
    Column("background", sa.String(16)),  # background.Known; null: there is none
    Column("background_turn_id", BigId),  # the turn that it stands with
)
_OPEN = sessions.c.closed_at.is_(None)
Index("uq_sessions_open", sessions.c.thread_id, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_sessions_idle", sessions.c.last_active_at, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_sessions_channel", sessions.c.channel, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_sessions_thread", sessions.c.thread_id, sessions.c.opened_at)
_CLOSED = sessions.c.closed_at.is_not(None)
Index("ix_sessions_closed", sessions.c.closed_at, sqlite_where=_CLOSED, postgresql_where=_CLOSED)

turns = Table(
    "turns",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("session_id", sa.String(36), ForeignKey("sessions.id")),  # null: a command's fixed reply
    Column("attempt", sa.Integer, nullable=False),
    Column("postponed", sa.Integer, nullable=False, server_default="0"),  # attempts that were no failure of it
    Column("state", sa.String(16), nullable=False),  # claims.State
    Column("answer", sa.Text),
    Column("trouble", sa.String(32)),  # errors.Trouble
    Column("model", sa.String(200)),
    Column("prompt_tokens", sa.Integer),
    Column("cached_tokens", sa.Integer),
    Column("completion_tokens", sa.Integer),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column(
        "idempotency_key", sa.String(64)
    ),  # of an exchange: a hash of what its caller calls it, to have it answered once
    Column("request_digest", sa.String(64)),  # of all that was asked with that key
    Column("truncated", sa.Boolean),  # of an exchange: the answer stopped at the model's length limit
)
RUNNING = turns.c.state == sa.literal_column("'running'")  # a bound value would keep PostgreSQL from its index
Index("uq_turns_running", turns.c.thread_id, unique=True, sqlite_where=RUNNING, postgresql_where=RUNNING)
Index("ix_turns_session", turns.c.session_id, turns.c.id)
Index("ix_turns_thread", turns.c.thread_id)
Index("ix_turns_started", turns.c.started_at)
WORDLESS = {turns.c.answer: None, turns.c.request_digest: None}  # by a digest one could still guess short words
_KEYED = turns.c.idempotency_key.is_not(None)
Index("ix_turns_request", turns.c.thread_id, turns.c.idempotency_key, sqlite_where=_KEYED, postgresql_where=_KEYED)

messages = Table(
    "messages",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("message_id", sa.String(64), nullable=False),  # the platform's; sorts as text in the order of sending
    Column("session_id", sa.String(36), ForeignKey("sessions.id")),  # null: a command
    Column("turn_id", BigId, ForeignKey("turns.id")),  # null: still owed an answer
    Column("author_id", sa.String(64), nullable=False),
    Column("author_workspace", sa.String(64), nullable=False),
    Column("text", sa.Text, nullable=False),
    Column("attachments", sa.JSON, nullable=False),
    Column("client_id", sa.String(64)),
    Column("fixed_reply", sa.String(32)),  # a command's outcome: answered by a sentence of ours, not by the model
    Column("edited_at", UtcDateTime),  # by the platform's clock
    Column("deleted_at", UtcDateTime),
    Column("accepted_at", UtcDateTime, nullable=False),
    UniqueConstraint("thread_id", "message_id"),
)
_OWED = messages.c.turn_id.is_(None)
# With the order in it: SQLite would rather walk all of a thread's messages in their order than sort the few waiting.
Index("ix_messages_owed", messages.c.thread_id, messages.c.message_id, sqlite_where=_OWED, postgresql_where=_OWED)
Index("ix_messages_turn", messages.c.turn_id)
Index("ix_messages_author", messages.c.author_id, messages.c.session_id)
Index("ix_messages_session", messages.c.session_id)
Index("ix_messages_client", messages.c.client_id)
_APART = messages.c.session_id.is_(None)
Index("ix_messages_apart", messages.c.accepted_at, sqlite_where=_APART, postgresql_where=_APART)

background = Table(  # what was said in a thread before the bot was called into it
    "background",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("session_id", sa.String(36), ForeignKey("sessions.id"), nullable=False),
    Column("message_id", sa.String(64), nullable=False),
    Column("author_id", sa.String(64), nullable=False),
    Column("name", sa.String(80), nullable=False),  # another bot's
    Column("by", sa.String(8)),  # background.By; null: a note of what became of it before it could be read
    Column("text", sa.Text, nullable=False),
    Column("attachments", sa.JSON, nullable=False),
    UniqueConstraint("thread_id", "message_id"),
)
Index("ix_background_session", background.c.session_id)
Index("ix_background_author", background.c.author_id)

names = Table(  # what the model reads people as: the same from a session's first word to its last
    "names",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("session_id", sa.String(36), ForeignKey("sessions.id"), nullable=False),
    Column("person_id", sa.String(64), nullable=False),
    Column("name", sa.String(120), nullable=False),
    UniqueConstraint("session_id", "person_id"),
)
Index("ix_names_person", names.c.person_id)

summaries = Table(  # of the sessions that have grown too long to be shown whole
    "summaries",
    metadata,
    Column("session_id", sa.String(36), ForeignKey("sessions.id"), primary_key=True),
    Column("shown_after", BigId, nullable=False),  # the last turn that is not shown any more
    Column("reaches", BigId, nullable=False),  # the last turn that is in the summary
    Column("text", sa.Text, nullable=False),
    Column("several", sa.Boolean, nullable=False),  # several people had written by then
    Column("lease_until", UtcDateTime),  # somebody is writing a new one
    Column("fence", sa.Integer, nullable=False),  # counts those who began to, and what made their work void
)

answers = Table(  # the platform's messages that hold the turns' answers: a long answer has several
    "answers",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("turn_id", BigId, ForeignKey("turns.id"), nullable=False),
    Column("answer_id", sa.String(64), nullable=False),
    UniqueConstraint("thread_id", "answer_id"),
)
Index("ix_answers_turn", answers.c.turn_id)

preferences = Table(  # what a person asked us to keep in mind
    "preferences",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("platform", sa.String(32), nullable=False),
    Column("workspace", sa.String(64), nullable=False),
    Column("user_id", sa.String(64), nullable=False),
    Column("wishes", sa.JSON, nullable=False),  # by field, as preferences.Preferences.wishes tells them
    Column("changed_at", UtcDateTime, nullable=False),
    UniqueConstraint("platform", "workspace", "user_id"),
)

refusals = Table(  # deliveries that no replica could take in, and left to be delivered again
    "refusals",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("hour", UtcDateTime, nullable=False, unique=True),
    Column("deliveries", sa.Integer, nullable=False),
)

keys = Table(  # who may ask over HTTP, and what of this minute's allowance is spent
    "keys",
    metadata,
    Column("id", sa.String(16), primary_key=True),
    Column("name", sa.String(64), nullable=False),
    Column("digest", sa.String(64), nullable=False),  # of its secret, which is stored nowhere
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("requests_per_minute", sa.Integer),  # null: the settings' limit
    Column("tokens_per_minute", sa.Integer),
    Column("minute", sa.BigInteger, nullable=False, server_default="0"),  # since 1970, that the counts are of
    Column("requests", sa.Integer, nullable=False, server_default="0"),
    Column("tokens", sa.BigInteger, nullable=False, server_default="0"),
)
