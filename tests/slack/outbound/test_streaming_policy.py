"""The streaming policy: where answers stream."""

from bot.domain.events import Thread
from bot.slack.outbound.streaming_policy import StreamingPolicy

CHANNEL, DIRECT = Thread("slack", "T1", "C1", "1"), Thread("slack", "T1", "D1", "1", direct=True)


def test_a_refusal_counts_for_its_kind_of_conversation() -> None:
    """A refusal in direct messages does not count for channels or other workspaces."""
    streaming, elsewhere = StreamingPolicy("auto"), Thread("slack", "T2", "D1", "1", direct=True)
    streaming.refused(DIRECT, "method_not_supported_for_channel_type")

    assert [streaming.allowed(thread) for thread in (DIRECT, CHANNEL, elsewhere)] == [False, True, True]
