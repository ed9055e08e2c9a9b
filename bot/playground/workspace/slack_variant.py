"""The points on which Slack's behaviour differs between workspaces, as switches.

Rule: each default is the strictest behaviour that somebody measured in Slack. A variant changes nothing by itself: the
methods of `web_api/` read it at each call, so that a test or the page can replace it at any time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

from bot.playground.workspace.messages import Json

_MAX_DIGITS = 10

Edits = Literal["allowed", "edit_window_closed", "cant_update_message", "message_not_found", "block_mismatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackVariant:
    """One way in which Slack may behave. Where a value is an error code, Slack refuses the call with it."""

    streamed_update: Literal["emptied", "shown"] = field(
        default="emptied", metadata={"about": "effect of chat.update with markdown_text on a message that was streamed"}
    )
    long_stream: Literal["cut", "refused", "allowed"] = field(
        default="cut", metadata={"about": "effect of text beyond stream_bytes on a stream"}
    )
    stream_bytes: int = field(default=10_600, metadata={"about": "how many bytes of UTF-8 a streamed message holds"})
    stream_seconds: int = field(default=300, metadata={"about": "after how many seconds Slack ends a stream by itself"})
    markdown_text_tables: Literal["raw", "rendered"] = field(
        default="raw", metadata={"about": "how the tables in the markdown_text of a post or an update are shown"}
    )
    markdown_blocks: Literal["allowed", "invalid_blocks"] = field(
        default="allowed", metadata={"about": "whether a message may have markdown blocks"}
    )
    edits: Edits = field(default="allowed", metadata={"about": "whether chat.update is allowed"})
    deletions: Literal["allowed", "compliance_exports_prevent_deletion"] = field(
        default="allowed", metadata={"about": "whether chat.delete is allowed"}
    )
    responses: Literal["with_text", "without_text"] = field(
        default="with_text", metadata={"about": "whether the message in a response contains its text"}
    )
    stops: Literal["allowed", "user_not_found"] = field(
        default="allowed", metadata={"about": "whether chat.stopStream is allowed"}
    )

    def switches(self) -> list[Json]:
        """Return each switch with its value, its choices (empty for a number) and a line about it."""
        return [
            {
                "name": switch.name,
                "value": getattr(self, switch.name),
                "choices": _choices(switch.name),
                "about": switch.metadata["about"],
            }
            for switch in dataclasses.fields(self)
        ]


KIND = SlackVariant(streamed_update="shown", long_stream="allowed", markdown_text_tables="rendered")
"""Slack as its reference describes it."""


def parsed(text: str) -> SlackVariant:
    """Return the variant that a text names: `kind` or `SWITCH=VALUE`, several with commas, each over those before it.

    Raises ValueError, with the switches or their choices.
    """
    variant = SlackVariant()
    for part in filter(None, map(str.strip, text.split(","))):
        name, has_value, value = (each.strip() for each in part.partition("="))
        if not has_value and name == "kind":
            variant = KIND
        else:
            variant = dataclasses.replace(variant, **{name: _value(name, value)})
    return variant


def _value(name: str, value: str) -> Any:
    names = [switch.name for switch in dataclasses.fields(SlackVariant)]
    if name not in names:
        raise ValueError(f"{name} is neither kind nor one of the switches {', '.join(names)}")
    choices = _choices(name)
    if choices and value not in choices:
        raise ValueError(f"{name} is one of {', '.join(choices)}")
    if not choices and not (value.isascii() and value.isdigit() and len(value) < _MAX_DIGITS):
        raise ValueError(f"{name} is a whole number")
    return value if choices else int(value)


def _choices(name: str) -> list[str]:
    return list(get_args(get_type_hints(SlackVariant)[name]))
