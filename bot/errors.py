"""What can go wrong, and whether trying again helps.

AttendantError
├── ConfigError      a setting is missing or wrong: stop at start, name it and the remedy
├── StartupError     a check at start failed (token, scope, database, model, port)
├── PreferencesRefused  what a person asked us to keep in mind cannot be kept; `problems` says why, by field
├── StoreUnavailable the database did not take the write: refuse the delivery, Slack delivers again
├── PlatformError    the chat platform refused to show something; `code` is its own word for why
├── PlatformUnavailable  it could not be reached, or asked to wait: the turn is tried again
├── SessionBusy      another question is being answered in the session, for longer than one waits; later it helps
├── SessionLost      another process may be answering in the session by now; asking again helps
├── SessionClosed    the session was reset while it answered: asking again begins a new one
├── SessionNotFound  there is no chat of this id, or no more: it expired longer ago than rows are kept
├── IdempotencyKeyReused  another request was sent with the same key
├── Overloaded       too many ask at once; trying again later helps
└── ModelError       the model gave no whole answer; `trouble` says why
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class AttendantError(Exception):
    """The root of everything this package raises on purpose."""


class ConfigError(AttendantError):
    """A setting is missing or wrong. The message is one line: the variable, what is wrong, the remedy."""

    def __init__(self, setting: str, problem: str, remedy: str) -> None:
        super().__init__(f"{setting} {problem}. {remedy}")
        self.setting = setting


class StartupError(AttendantError):
    """Something the bot needs at start is not there. The message is one line with its remedy."""


class PreferencesRefused(AttendantError):  # noqa: N818 - named for what happened, as the person is told
    """What a person asked us to keep in mind cannot be kept. `problems` holds a sentence for each field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("a wish cannot be kept")
        self.problems = problems


class StoreUnavailable(AttendantError):  # noqa: N818 - named for the state, as the field does
    """The database did not answer or refused the write; nothing was stored. Trying again helps."""


class PlatformError(AttendantError):
    """The chat platform refused, and trying again does not help. `code` is its own word for why."""

    def __init__(self, code: str, doing: str) -> None:
        super().__init__(f"{doing}: {code}")
        self.code = code


class PlatformUnavailable(AttendantError):  # noqa: N818 - named for the state, as the field does
    """The chat platform could not be reached, or asked to wait, for `seconds`. Trying the turn again helps."""

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class SessionBusy(AttendantError):  # noqa: N818 - named for the state, as the field does
    """Another question is being answered in this session, and has been for as long as one waits. Later it helps."""


class SessionLost(AttendantError):  # noqa: N818 - named for the state, as the field does
    """The lease on the session ran out, or was another process's, before the answer was settled. Asking again helps."""


class SessionClosed(AttendantError):  # noqa: N818 - named for the state, as the field does
    """The session was reset while it answered. What was asked is forgotten; asking again begins a new session."""


class SessionNotFound(AttendantError, ValueError):  # noqa: N818 - the name that callers know
    """There is no chat of this id, or what there was is over for so long that nothing of it is kept."""

    def __init__(self) -> None:
        super().__init__("Chat session not found")


class IdempotencyKeyReused(AttendantError):  # noqa: N818 - named for the state, as the field does
    """A request has the key of another one, which asked something else."""


class Overloaded(AttendantError):  # noqa: N818 - named for the state, as the field does
    """Too many questions are being answered here at once. Trying again later helps."""


class Trouble(enum.Enum):
    """Why the model gave no whole answer. Each has a sentence for the person (wording) and one for the log."""

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
    """The model gave no whole answer. `detail` is for operators: it never holds what a person wrote."""

    def __init__(self, trouble: Trouble, detail: str, *, window: int | None = None, param: str = "") -> None:
        """`window`: how many tokens the model takes, where it said so when it refused more.

        `param`: the field of the request that it did not accept, where it named one.
        """
        super().__init__(f"{trouble.value}: {detail}")
        self.trouble = trouble
        self.detail = detail
        self.window = window
        self.param = param
