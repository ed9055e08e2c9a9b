"""bot.slack.streaming: whether answers stream, and how fast they grow."""

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.events import Thread
from bot.slack.messages import Clients, Edited, Streamed
from bot.slack.streaming import Pace, Streaming

CLIENTS = Clients.of(AsyncWebClient())
CHANNEL, DIRECT = Thread("slack", "T1", "C1", "1"), Thread("slack", "T1", "D1", "1", direct=True)


@pytest.mark.parametrize(("running", "streamed", "edited"), [(1, 0.7, 1.5), (2, 0.7, 1.5), (51, 30.0, 60.0)])
def test_answers_share_the_rate_limits(running: int, streamed: float, edited: float) -> None:
    """One answer grows at its own pace; many grow so slowly that together they keep within Slack's limits."""
    pace = Pace(lambda: running)

    assert pace.seconds(Streamed(CLIENTS, "C1", "1", "")) == streamed
    assert pace.seconds(Edited(CLIENTS, "C1", "1")) == edited


def test_a_refusal_counts_for_its_kind_of_conversation() -> None:
    """What is refused in direct messages may be allowed in channels, and in another workspace."""
    streaming, elsewhere = Streaming("auto"), Thread("slack", "T2", "D1", "1", direct=True)
    streaming.refused(DIRECT, "method_not_supported_for_channel_type")

    assert [streaming.allowed(thread) for thread in (DIRECT, CHANNEL, elsewhere)] == [False, True, True]
