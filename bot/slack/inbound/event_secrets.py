"""Secrets inside events: tokens with which an app may call Slack for a person, for instance to search as them.

Rule: pure. They are removed before anything else reads the event, so that nothing can store or log them.
https://docs.slack.dev/reference/methods/assistant.search.context
"""

from __future__ import annotations

from typing import Any

_SECRETS = frozenset({"action_token", "bot_access_token", "token", "trigger_id", "workflow_token"})
_DEPTH = 20  # of objects within each other; Slack nests far less


def without_secrets(event: object) -> dict[str, Any]:
    """Return the event without any secret, at any depth; empty if it is no object. Deeper parts are left out."""
    copy = _copy(event, _DEPTH)
    return copy if isinstance(copy, dict) else {}


def _copy(value: object, depth: int) -> Any:
    if depth == 0 and isinstance(value, dict | list):
        return None
    match value:
        case dict():
            return {name: _copy(each, depth - 1) for name, each in value.items() if name not in _SECRETS}
        case list():
            return [_copy(each, depth - 1) for each in value]
        case _:
            return value
