"""Restarts of an answer: the text so far is void, and the new text takes its place in the same messages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.slack_stage import stage
from tests.support.virtual_time import in_virtual_time

RESTART = "restart"
Step = int | float | str  # so many words, so many seconds, or a restart


async def pass_time(seconds: float) -> None:
    """Let so many virtual seconds pass."""
    await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=seconds)


async def play(steps: Sequence[Step], streaming: str, attempt: int = 1) -> tuple[str, list[str], int]:
    """Write these steps; return the text that counts, the texts in Slack, and the number of messages ever made."""
    async with stage(streaming=streaming) as slack:
        text, number = "", 0
        async with slack.adapter.writer(slack.target(attempt), slack.ledger) as writer:
            for step in steps:
                match step:
                    case int():
                        words = "".join(f"w{number + each} " for each in range(step))
                        number += step
                        text += words
                        writer.write(words)
                        await writer.drain()
                    case float():
                        await pass_time(step)
                    case _:
                        text = ""
                        writer.restart()
            await writer.finish()
        assert not slack.workspace.statuses.text(slack.channel, slack.root)
        assert not any(message.streaming_since for message in slack.answers())
        return text, slack.texts(), len(slack.ledger.posted_ids)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.integers(1, 4_000), st.floats(0.1, 100.0), st.just(RESTART)), max_size=9),
    st.sampled_from(["auto", "off"]),
)
def test_only_the_text_after_the_last_restart_stands(steps: list[Step], streaming: str) -> None:
    """However often and whenever an answer begins anew, Slack shows its last text, whole and once."""

    @in_virtual_time
    async def run() -> None:
        text, shown, _ = await play(steps, streaming)
        assert "".join("".join(shown).split()) == "".join(text.split())

    run()


@pytest.mark.parametrize("streaming", ["auto", "off"])
def test_a_restart_writes_into_the_messages_that_stand(streaming: str) -> None:
    """A second text takes the messages of the first one, and needs no further message."""

    @in_virtual_time
    async def run() -> None:
        text, shown, made = await play([4_000, 30.0, RESTART, 5.0, 2_500, 30.0], streaming)
        assert "".join("".join(shown).split()) == "".join(text.split())
        assert (len(shown), made) == (2, 3)  # the third is not needed any more

    run()
