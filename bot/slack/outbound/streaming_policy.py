"""Where answers stream: by the operator's setting, and as far as Slack allows it."""

from __future__ import annotations

from bot.domain.events import Thread
from bot.slack.behaviour import UNKNOWN, SlackBehaviour

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
    """Decides whether an answer streams. The setting is auto, direct or off."""

    def __init__(self, setting: str, measured: SlackBehaviour = UNKNOWN) -> None:
        self._setting = setting
        self._measured = measured
        self._refusing: set[tuple[str, bool]] = set()

    def allowed(self, thread: Thread) -> bool:
        """Return whether to try to stream in this thread. Slack streams in threads only."""
        if thread.rolling or self._measured.refuses("chat.startStream", direct=thread.direct):
            return False
        wanted = self._setting == "auto" or (self._setting == "direct" and thread.direct)
        return wanted and (thread.workspace, thread.direct) not in self._refusing

    def refused(self, thread: Thread, code: str) -> None:
        """Note that Slack refused to stream there. It is not tried again if the refusal is permanent."""
        if code in _NEVER_STREAMS:
            self._refusing.add((thread.workspace, thread.direct))
