"""Block Kit objects that several views use: https://docs.slack.dev/reference/block-kit."""

from __future__ import annotations

from typing import Any

Block = dict[str, Any]
View = dict[str, Any]


def button(text: str, action_id: str, value: str, **style: str) -> Block:
    """Build a button with a plain text."""
    return {"type": "button", "text": plain_text(text), "action_id": action_id, "value": value, **style}


def plain_text(text: str) -> Block:
    """Build a text object in which Slack reads no token, for text that people wrote."""
    return {"type": "plain_text", "text": text, "emoji": False}
