"""The rate limits of the Web API methods that the rate limiter sends.

https://docs.slack.dev/apis/web-api/rate-limits explains the tiers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The calls of a method that Slack guarantees in a period. A burst may go beyond it.

    At most `partial_updates` of the calls show an unfinished message; the rest is for calls that finish one.
    """

    calls: int
    period_s: float = 60.0
    partial_updates: int = 0


_TIER_2, _TIER_3, _TIER_4 = RateLimit(20), RateLimit(50), RateLimit(100)

# https://docs.slack.dev/reference/methods names each method's tier. assistant.threads.setStatus has none.
RATE_LIMITS: Mapping[str, RateLimit] = {
    "agents.sessions.setStatus": _TIER_3,
    "assistant.threads.setStatus": _TIER_4,
    "bots.info": _TIER_3,
    "chat.appendStream": RateLimit(100, partial_updates=85),
    "chat.delete": _TIER_3,
    "chat.postEphemeral": _TIER_4,
    "chat.postMessage": RateLimit(1, period_s=1.0),  # in each channel
    "chat.startStream": _TIER_2,
    "chat.stopStream": _TIER_2,
    "chat.update": RateLimit(50, partial_updates=30),
    "conversations.history": _TIER_3,
    "conversations.replies": _TIER_3,
    "files.completeUploadExternal": _TIER_4,
    "files.delete": _TIER_3,
    "files.getUploadURLExternal": _TIER_4,
    "files.info": _TIER_4,
    "files.upload.v2": _TIER_4,  # the SDK's name for the methods of an upload
    "reactions.add": _TIER_3,
    "reactions.remove": _TIER_2,
    "usergroups.users.list": _TIER_2,
    "users.info": _TIER_4,
}
