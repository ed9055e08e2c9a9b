"""The sentences that `attendant doctor --live` posts in Slack for a minute or two."""

from __future__ import annotations

MEASURING = (
    "I am measuring how Slack behaves in this channel. It takes two minutes at most, and then I delete my messages. "
    "To test forwarding as well, forward any message into this thread now."
)
STATUS = "is measuring…"
