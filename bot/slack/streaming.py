"""Whether an answer streams, and how fast it grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.events import Thread
from bot.slack import limits
from bot.slack.messages import Message, Streamed

# https://docs.slack.dev/reference/methods/chat.startStream: errors that will be the same next time
_NEVER_STREAMS = frozenset(
    {
        "feature_disabled",
        "feature_not_enabled",
        "method_not_supported_for_channel_type",
        "missing_scope",
        "not_allowed_token_type",
        "unknown_method",
    }
)


class Streaming:
    """Where answers stream: as the operator set it (auto, direct, off), and as Slack allows."""

    def __init__(self, setting: str) -> None:
        self._setting = setting
        self._refusing: set[tuple[str, bool]] = set()

    def allowed(self, thread: Thread) -> bool:
        """Whether to try it in this thread."""
        wanted = self._setting == "auto" or (self._setting == "direct" and thread.direct)
        return wanted and (thread.workspace, thread.direct) not in self._refusing

    def refused(self, thread: Thread, code: str) -> None:
        """Slack refused it there; it is not tried again where Slack always will."""
        if code in _NEVER_STREAMS:
            self._refusing.add((thread.workspace, thread.direct))


@dataclass(frozen=True, slots=True)
class Pace:
    """The time between two calls that let a message grow. Answers that run at once share Slack's rate limits."""

    running: Callable[[], int]  # answers that are being shown
    append_s: float = 0.7
    update_s: float = 1.5

    def seconds(self, message: Message) -> float:
        """Until this message may grow again."""
        streams = isinstance(message, Streamed)
        least, a_minute = (
            (self.append_s, limits.APPENDS_A_MINUTE) if streams else (self.update_s, limits.UPDATES_A_MINUTE)
        )
        others = self.running() - 1
        return max(least, others * 60 / a_minute)
