"""The errors that this package raises, and whether a retry helps.

AttendantError
├── ConfigError           a setting is missing or wrong: the process must not start
├── StartupError          a check at start failed (token, scope, database, model, port)
│   └── NoDatabase        the database that a command reads is missing or empty
├── PreferencesRefused    a person's preferences are invalid; `problems` says why, by field
├── StoreUnavailable      the database did not accept the write: retry (Slack delivers the event again)
├── PlatformError         the chat platform refused a call: a retry does not help; `code` is its error code
├── PlatformUnavailable   the chat platform cannot be reached, or limits the rate: retry the turn
├── SessionBusy           another request is being answered in the session: retry later
├── SessionLost           another process may be answering in the session: retry
├── SessionClosed         the session was reset during the answer: a retry opens a new one
├── SessionNotFound       no chat has this id, or its rows are deleted
├── IdempotencyKeyReused  the key belongs to another request
├── StorageFull           the sessions of an API key hold as much text as they may
├── OutOfTokens           the API key's tokens do not suffice: retry in the next minute, if they ever do
├── Overloaded            too many requests at once: retry later
└── ModelError            the model gave no complete answer; `trouble` says why
"""

from __future__ import annotations

import enum
import traceback
from collections.abc import Callable, Mapping


class AttendantError(Exception):
    """The base of all errors that this package raises."""


class ConfigError(AttendantError):
    """A setting is missing or wrong. The message is one line: the variable, the problem, the remedy."""

    def __init__(self, setting: str, problem: str, remedy: str) -> None:
        super().__init__(f"{setting} {problem}. {remedy}")
        self.setting = setting


class StartupError(AttendantError):
    """A check at start failed. The message is one line with the remedy."""


class NoDatabase(StartupError):  # noqa: N818 - named for the state
    """The database that a command reads is missing or empty, probably because DATABASE_URL is wrong."""


class PreferencesRefused(AttendantError):  # noqa: N818 - named for the event
    """A person's preferences are invalid and were not changed. `sentences` returns the sentence for each bad field."""

    def __init__(self, sentences: Mapping[str, Callable[[], str]]) -> None:
        super().__init__("invalid preferences")
        self._sentences = sentences

    @property
    def problems(self) -> Mapping[str, str]:
        """One sentence for each bad field, in the language of the reader at this moment."""
        return {field: sentence() for field, sentence in self._sentences.items()}


class StoreUnavailable(AttendantError):  # noqa: N818 - named for the state
    """The database cannot be reached or refused the write. Nothing was stored; a retry helps."""


class PlatformError(AttendantError):
    """The chat platform refused a call, and a retry does not help. `code` is the platform's error code."""

    def __init__(self, code: str, doing: str) -> None:
        super().__init__(f"{doing}: {code}")
        self.code = code


class PlatformUnavailable(AttendantError):  # noqa: N818 - named for the state
    """The chat platform cannot be reached, or limits the rate. Retry the turn after `seconds`."""

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class SessionBusy(AttendantError):  # noqa: N818 - named for the state
    """Another request was being answered in this session until the wait timed out. A later retry helps."""


class SessionLost(AttendantError):  # noqa: N818 - named for the state
    """The lease on the session expired, or another process held it, before the answer was settled. A retry helps."""


class SessionClosed(AttendantError):  # noqa: N818 - named for the state
    """The session was reset during the answer, which is discarded. A retry opens a new session."""


class SessionNotFound(AttendantError, ValueError):  # noqa: N818 - the name that callers know
    """No chat has this id, or it ended so long ago that its rows are deleted."""

    def __init__(self) -> None:
        super().__init__("Chat session not found")


class IdempotencyKeyReused(AttendantError):  # noqa: N818 - named for the event
    """A different request was sent with the same idempotency key."""


class StorageFull(AttendantError):  # noqa: N818 - named for the state
    """The sessions of an API key hold `limit` bytes. A retry helps once some of them are reset or have expired."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the key's sessions hold {limit} bytes")
        self.limit = limit


class OutOfTokens(AttendantError):  # noqa: N818 - named for the state
    """The tokens that an API key has left in this minute do not suffice. Nothing was asked."""

    def __init__(self, *, needed: int, limit: int, remaining: int, seconds: int) -> None:
        """`seconds` until the next minute. If more are needed than the limit, a retry does not help."""
        super().__init__(f"{needed} tokens are needed, {remaining} of {limit} per minute are left")
        self.needed = needed
        self.limit = limit
        self.remaining = remaining
        self.seconds = seconds


class Overloaded(AttendantError):  # noqa: N818 - named for the state
    """Too many requests are being answered at once. A later retry helps."""


class Trouble(enum.Enum):
    """Why the model gave no complete answer. `texts.trouble` has the sentence for the person."""

    REFUSED_KEY = "refused_key"
    NO_QUOTA = "no_quota"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    CUT = "cut"
    EMPTY = "empty"
    REFUSED = "refused"
    WINDOW_EXCEEDED = "window_exceeded"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"


class ModelError(AttendantError):
    """The model gave no complete answer. `detail` is for operators and never contains text that a person wrote."""

    def __init__(
        self,
        trouble: Trouble,
        detail: str,
        *,
        window: int | None = None,
        param: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        """Describe the failure.

        `window`: the model's window in tokens, if its error names it.
        `param`: the request's parameter that it did not accept, if its error names one.
        `retry_after_s`: the pause before the next request, if the failure names one.
        """
        super().__init__(f"{trouble.value}: {detail}")
        self.trouble = trouble
        self.detail = detail
        self.window = window
        self.param = param
        self.retry_after_s = retry_after_s


def trace(error: BaseException | None) -> str:
    """Return the types of an error and of its causes, each with its place in the code, for a log line.

    An error's text is left out, because it may quote a person, a payload or the parameters of an SQL statement.
    """
    links: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = traceback.walk_tb(error.__traceback__)
        places = " > ".join(f"{frame.f_code.co_filename}:{line}" for frame, line in frames)
        parts = " and ".join(map(trace, error.exceptions)) if isinstance(error, BaseExceptionGroup) else ""
        name = f"{type(error).__name__} ({places})" if places else type(error).__name__
        links.append(f"{name} of {parts}" if parts else name)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return ", caused by ".join(links)
