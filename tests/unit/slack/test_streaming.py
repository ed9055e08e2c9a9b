"""bot.slack.streaming: where answers stream."""

from bot.events import Thread
from bot.slack.streaming import Streaming

CHANNEL, DIRECT = Thread("slack", "T1", "C1", "1"), Thread("slack", "T1", "D1", "1", direct=True)


def test_a_refusal_counts_for_its_kind_of_conversation() -> None:
    """What is refused in direct messages may be allowed in channels, and in another workspace."""
    streaming, elsewhere = Streaming("auto"), Thread("slack", "T2", "D1", "1", direct=True)
    streaming.refused(DIRECT, "method_not_supported_for_channel_type")

    assert [streaming.allowed(thread) for thread in (DIRECT, CHANNEL, elsewhere)] == [False, True, True]
