"""Where answers stream: as the operator set it, and as Slack allows."""

from __future__ import annotations

from bot.domain.events import Thread

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


class StreamingPolicy:
    """Whether an answer streams. The setting is auto, direct or off."""

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
