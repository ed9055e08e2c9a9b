"""The tables. A change here comes with a migration; a test compares the two.

Rule: a table's constant is in capitals, so that modules (bot/store/sessions.py) and variables can have the same noun.
Some tables and columns have an older name in the database than here: renaming them would break older replicas.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, MetaData, Table, UniqueConstraint, event

from bot.store.column_types import BigId, UtcDateTime, copy_conditions

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

THREADS = Table(
    "threads",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("platform", sa.String(32), nullable=False),
    Column("workspace", sa.String(64), nullable=False),
    Column("channel", sa.String(64), nullable=False),
    Column("root", sa.String(64), nullable=False),
    Column("direct", sa.Boolean, nullable=False),
    Column("engaged", sa.Boolean, nullable=False),  # the bot takes part: replies need no mention
    # A session was opened or reset here: older messages are never read from the platform.
    Column("begun", sa.Boolean, nullable=False, server_default=sa.false()),
    Column("quiet", sa.Boolean, nullable=False, server_default=sa.false()),  # only a mention is answered
    Column("quiet_set_by", sa.String(64)),  # the message that began or ended it last
    Column("lease_owner", sa.String(64)),  # the process that is answering; the name ends with its lock's token
    Column("lease_until", UtcDateTime),  # by the database's clock
    Column("interrupted", sa.String(16)),  # sessions.Interrupted: why the running turn must end
    Column("fence", sa.Integer, nullable=False, server_default="0"),  # counts claims; an older fence cannot write
    UniqueConstraint("platform", "workspace", "channel", "root"),
)

_INTERRUPTED = THREADS.c.interrupted.is_not(None)
Index("ix_threads_interrupted", THREADS.c.lease_owner, sqlite_where=_INTERRUPTED)

SESSIONS = Table(
    "sessions",
    metadata,
    Column("id", sa.String(36), primary_key=True),  # a UUID
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("channel", sa.String(64), nullable=False, server_default=""),  # the thread's, for sweeps by channel
    Column("opened_at", UtcDateTime, nullable=False),
    Column("last_active_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("closed_why", sa.String(16)),  # sessions.Closed
    Column("follows_expired", sa.Boolean, nullable=False),  # the previous session expired: the bot says so once
    Column("warned_at", UtcDateTime),  # when the thread was warned of expiry; null again after a new message
    Column("background", sa.String(16)),  # prompt.thread_context.ContextState; null: the session has no thread context
    Column("background_turn_id", BigId),  # the turn that shows the thread context
    Column("owner", sa.String(64), nullable=False, server_default=""),  # the person or key that began it; "": closed
    # Of its texts and rows (store/stored_bytes.py). In a closed session: not 0 until all its texts are erased.
    Column("stored_bytes", sa.BigInteger, nullable=False, server_default="0"),
)
_OPEN = SESSIONS.c.closed_at.is_(None)
Index("uq_sessions_open", SESSIONS.c.thread_id, unique=True, sqlite_where=_OPEN)
Index("ix_sessions_idle", SESSIONS.c.last_active_at, sqlite_where=_OPEN)
Index("ix_sessions_channel", SESSIONS.c.channel, sqlite_where=_OPEN)
Index("ix_sessions_thread", SESSIONS.c.thread_id, SESSIONS.c.opened_at)
_CLOSED = SESSIONS.c.closed_at.is_not(None)
Index("ix_sessions_closed", SESSIONS.c.closed_at, sqlite_where=_CLOSED)
Index("ix_sessions_owner", SESSIONS.c.owner, SESSIONS.c.last_active_at, sqlite_where=_OPEN)
UNERASED = sa.and_(_CLOSED, SESSIONS.c.stored_bytes > sa.literal_column("0"))
Index("ix_sessions_unerased", SESSIONS.c.id, sqlite_where=UNERASED)

TURNS = Table(
    "turns",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("session_id", sa.String(36), ForeignKey("sessions.id")),  # null: the turn is a command's fixed reply
    Column("attempt", sa.Integer, nullable=False),
    Column("postponed", sa.Integer, nullable=False, server_default="0"),  # attempts that do not count as failures
    Column("state", sa.String(16), nullable=False),  # settlement.TurnState
    Column("answer", sa.Text),
    Column("trouble", sa.String(32)),  # errors.Trouble
    Column("model", sa.String(200)),
    Column("prompt_tokens", sa.Integer),
    Column("cached_tokens", sa.Integer),
    Column("completion_tokens", sa.Integer),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("idempotency_key", sa.String(64)),  # a keyed hash of the API caller's key; null: a turn without one
    Column("request_digest", sa.String(64)),  # of the whole request that was sent with the key
    Column("truncated", sa.Boolean),  # the answer stopped at the model's length limit
)
RUNNING = TURNS.c.state == sa.literal_column("'running'")  # a bound value would not match PostgreSQL's partial index
Index("uq_turns_running", TURNS.c.thread_id, unique=True, sqlite_where=RUNNING)
Index("ix_turns_session", TURNS.c.session_id, TURNS.c.id)
Index("ix_turns_thread", TURNS.c.thread_id)
Index("ix_turns_started", TURNS.c.started_at)
NO_TEXT = {TURNS.c.answer: None, TURNS.c.request_digest: None}  # short texts could be guessed from a digest
_KEYED = TURNS.c.idempotency_key.is_not(None)
Index("ix_turns_request", TURNS.c.thread_id, TURNS.c.idempotency_key, sqlite_where=_KEYED)

MESSAGES = Table(
    "messages",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("message_id", sa.String(64), nullable=False),  # the platform's; sorts as text by sending time
    Column("session_id", sa.String(36), ForeignKey("sessions.id")),  # null: a command
    Column("turn_id", BigId, ForeignKey("turns.id")),  # null: not answered yet
    Column("author_id", sa.String(64), nullable=False),
    Column("author_workspace", sa.String(64), nullable=False),
    Column("text", sa.Text, nullable=False),
    Column("attachments", sa.JSON, nullable=False),
    Column("forwarded", sa.JSON(none_as_null=True)),  # events.Forwarded: messages that it passes on
    Column("client_id", sa.String(64)),
    Column("fixed_reply", sa.String(32)),  # a command's outcome: the bot replies without the model
    # Not written to the bot, but the model reads it with the later questions. Its turn has no answer.
    Column("overheard", sa.Boolean, nullable=False, server_default=sa.false()),
    Column("edited_at", UtcDateTime),  # by the platform's clock
    Column("deleted_at", UtcDateTime),
    Column("accepted_at", UtcDateTime, nullable=False),
    UniqueConstraint("thread_id", "message_id"),
)
_OWED = MESSAGES.c.turn_id.is_(None)
# Includes message_id: without it SQLite reads all messages of a thread in order instead of sorting the few waiting.
Index("ix_messages_owed", MESSAGES.c.thread_id, MESSAGES.c.message_id, sqlite_where=_OWED)
Index("ix_messages_turn", MESSAGES.c.turn_id)
Index("ix_messages_author", MESSAGES.c.author_id, MESSAGES.c.session_id)
Index("ix_messages_session", MESSAGES.c.session_id)
Index("ix_messages_client", MESSAGES.c.client_id)
NO_CONTENT: dict[str, Any] = {"text": "", "attachments": [], "forwarded": None}
_FORWARDS = MESSAGES.c.forwarded.is_not(None)
Index("ix_messages_forwarded", MESSAGES.c.id, sqlite_where=_FORWARDS)
_WITHOUT_SESSION = MESSAGES.c.session_id.is_(None)
Index("ix_messages_apart", MESSAGES.c.accepted_at, sqlite_where=_WITHOUT_SESSION)

THREAD_CONTEXT = Table(  # messages that people wrote in a thread before the bot was called into it
    "background",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("session_id", sa.String(36), ForeignKey("sessions.id"), nullable=False),
    Column("message_id", sa.String(64), nullable=False),
    Column("author_id", sa.String(64), nullable=False),
    Column("name", sa.String(80), nullable=False),  # of another bot, which cannot be looked up
    Column("by", sa.String(8)),  # prompt.thread_context.AuthorKind; null: a marker (see store/thread_context.py)
    Column("text", sa.Text, nullable=False),
    Column("attachments", sa.JSON, nullable=False),
    Column("forwarded", sa.JSON(none_as_null=True)),
    UniqueConstraint("thread_id", "message_id"),
)
Index("ix_background_session", THREAD_CONTEXT.c.session_id)
Index("ix_background_forwarded", THREAD_CONTEXT.c.id, sqlite_where=THREAD_CONTEXT.c.forwarded.is_not(None))
Index("ix_background_author", THREAD_CONTEXT.c.author_id)

FILE_CONTENTS = Table(  # what was read of the files in messages and thread contexts
    "file_contents",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("session_id", sa.String(36), ForeignKey("sessions.id", ondelete="CASCADE")),  # null: on its way to another
    Column("message_id", sa.String(64), nullable=False),
    Column("file_id", sa.String(255), nullable=False),
    Column("outcome", sa.String(16), nullable=False),  # domain.file_content.FileOutcome
    Column("text", sa.Text, nullable=False),
    Column("whole", sa.Boolean, nullable=False),  # false: the text is only the beginning
    Column("image", sa.LargeBinary),  # a JPEG; null: none, or not any more
    Column("width", sa.Integer),
    Column("height", sa.Integer),
    UniqueConstraint("thread_id", "message_id", "file_id"),
)
Index("ix_file_contents_session", FILE_CONTENTS.c.session_id)
Index("ix_file_contents_file", FILE_CONTENTS.c.file_id)

DISPLAY_NAMES = Table(  # the names that the model reads; a person's name never changes within a session
    "names",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("session_id", sa.String(36), ForeignKey("sessions.id"), nullable=False),
    Column("person_id", sa.String(64), nullable=False),
    Column("name", sa.String(120), nullable=False),
    UniqueConstraint("session_id", "person_id"),
)
Index("ix_names_person", DISPLAY_NAMES.c.person_id)

SUMMARIES = Table(  # of the sessions that are too long for the model
    "summaries",
    metadata,
    Column("session_id", sa.String(36), ForeignKey("sessions.id"), primary_key=True),
    Column("shown_after", BigId, nullable=False),  # the last turn before the window
    Column("reaches", BigId, nullable=False),  # the last turn that the summary covers
    Column("text", sa.Text, nullable=False),
    Column("several", sa.Boolean, nullable=False),  # several people have written up to there
    Column("lease_owner", sa.String(64)),  # null: a replica of the previous version
    Column("lease_until", UtcDateTime),  # of the process that is writing the next summary
    Column("fence", sa.Integer, nullable=False),  # counts leases and invalidations
)

SUMMARY_PARTS = Table(  # the parts that a summary is put together from (prompt/summary_parts.py)
    "summary_parts",
    metadata,
    # The previous version deletes summaries, and knows no parts.
    Column("session_id", sa.String(36), ForeignKey("summaries.session_id", ondelete="CASCADE"), primary_key=True),
    Column("level", sa.Integer, primary_key=True),
    Column("reaches", BigId, primary_key=True),  # its last turn
    Column("after", BigId, nullable=False),  # the last turn before it
    Column("text", sa.Text),  # null: void
    Column("merged", sa.Boolean, nullable=False),  # a part of the next level holds it
)
Index("ix_summary_parts_loose", SUMMARY_PARTS.c.session_id, SUMMARY_PARTS.c.merged, SUMMARY_PARTS.c.after)

POSTED_MESSAGES = Table(  # the platform's messages that hold a turn's answer: a long answer has several
    "answers",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("thread_id", BigId, ForeignKey("threads.id"), nullable=False),
    Column("turn_id", BigId, ForeignKey("turns.id"), nullable=False),
    Column("answer_id", sa.String(64), nullable=False),
    UniqueConstraint("thread_id", "answer_id"),
)
Index("ix_answers_turn", POSTED_MESSAGES.c.turn_id)

ANSWER_FILES = Table(  # the platform's files that hold the rest of a turn's answer
    "answer_files",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("turn_id", BigId, ForeignKey("turns.id", ondelete="CASCADE"), nullable=False),
    Column("file_id", sa.String(64), nullable=False),
    Column("doomed", sa.Boolean, nullable=False),  # the answer was erased: the file is to be deleted
    UniqueConstraint("turn_id", "file_id"),
)
Index("ix_answer_files_file", ANSWER_FILES.c.file_id)
Index("ix_answer_files_doomed", ANSWER_FILES.c.id, sqlite_where=ANSWER_FILES.c.doomed)


def _one_each() -> list[Any]:
    sizes = {"platform": 32, "workspace": 64, "user_id": 64}
    return [*(Column(name, sa.String(size), nullable=False) for name, size in sizes.items()), UniqueConstraint(*sizes)]


PREFERENCES = Table(  # how a person wants to be addressed and answered
    "preferences",
    metadata,
    Column("id", BigId, primary_key=True),
    *_one_each(),
    Column("wishes", sa.JSON, nullable=False),  # domain.preferences.Preferences.wishes
    Column("changed_at", UtcDateTime, nullable=False),
    # If the model made the last change: what stood before, for a day, and the turn.
    Column("before", sa.JSON(none_as_null=True)),
    Column("changed_by_turn_id", sa.BigInteger),
)


def _noted_people(name: str, moment: str) -> Table:
    noted = Column(moment, UtcDateTime, nullable=False)
    return Table(name, metadata, Column("id", BigId, primary_key=True), *_one_each(), noted)


GREETINGS = _noted_people("greetings", "greeted_at")  # people whom the bot has greeted in their DM: once each
ACCESS_NOTICES = _noted_people("access_notices", "noticed_at")  # people who are not admitted, and were told

FAILED_DELIVERIES = Table(  # events that no replica could store, so that the platform delivers them again
    "refusals",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("hour", UtcDateTime, nullable=False, unique=True),
    Column("deliveries", sa.Integer, nullable=False),
)

API_KEYS = Table(  # the keys of API callers, and their usage in the current minute
    "keys",
    metadata,
    Column("id", sa.String(16), primary_key=True),
    Column("name", sa.String(64), nullable=False),
    Column("digest", sa.String(64), nullable=False),  # a hash: the secret itself is not stored
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("requests_per_minute", sa.Integer),  # null: the limit from the settings
    Column("tokens_per_minute", sa.Integer),
    Column("minute", sa.BigInteger, nullable=False, server_default="0"),  # the counted one, in minutes since 1970
    Column("requests", sa.Integer, nullable=False, server_default="0"),
    Column("tokens", sa.BigInteger, nullable=False, server_default="0"),
    Column("stored_bytes", sa.BigInteger, nullable=False, server_default="0"),  # of its open sessions together
)

INSTALLATION = Table(  # one row
    "installation",
    metadata,
    Column("id", sa.Integer, primary_key=True, autoincrement=False),
    Column("secret", sa.String(64), nullable=False),  # hexadecimal; the key of API callers' hashed names
)

event.listen(metadata, "before_create", copy_conditions)
