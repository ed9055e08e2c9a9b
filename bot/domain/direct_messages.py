"""Direct messages: whether what is written at their top level is one rolling conversation.

Rule: pure. Threads in a direct message are conversations of their own in any case.
"""

from __future__ import annotations

from dataclasses import replace

from bot.domain.events import (
    ROLLING,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    QuietRequested,
    ResetRequested,
    StatusRequested,
    StopRequested,
    Thread,
)


def rolled(event: Event) -> Event:
    """Return the event in the rolling conversation, if its message stands at the top level of a direct message."""
    match event:
        case MessageReceived() | ResetRequested() | StatusRequested() | QuietRequested() | StopRequested():
            return replace(event, thread=_place(event.thread, event.message_id))
        case MessageEdited(message):
            return replace(event, message=replace(message, thread=_place(message.thread, message.message_id)))
        case MessageDeleted(thread, message_id, message):
            place = _place(thread, message_id)
            return replace(event, thread=place, message=message and replace(message, thread=place))
        case _:
            return event


def _place(thread: Thread, message_id: str | None) -> Thread:
    return replace(thread, root=ROLLING) if thread.direct and thread.root == message_id else thread
