"""The errors with which a Web API method refuses a call.

Rule: every error has Slack's own name (docs.slack.dev/reference/methods).
"""

from __future__ import annotations

from typing import Any

from bot.playground.workspace.people import App


class SlackError(Exception):
    """A method refuses a call: `ok: false` with this error and these other fields."""

    def __init__(self, error: str, **details: Any) -> None:
        super().__init__(error)
        self.error = error
        self.details = details


class MissingScopeError(SlackError):
    """The token lacks a scope."""

    def __init__(self, app: App, needed: str) -> None:
        super().__init__("missing_scope", needed=needed, provided=",".join(sorted(app.scopes)))


class RateLimitedError(SlackError):
    """The app made too many calls and may call again after `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("ratelimited")
        self.retry_after_s = retry_after_s


def invalid_arguments(*messages: str) -> SlackError:
    """Return the error for arguments that are missing or malformed."""
    return SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {text}" for text in messages]})
