"""Answers of a bot that knows how its Slack behaves: it tries nothing that Slack is known to refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bot.playground.workspace.slack_variant import SlackVariant
from bot.slack.behaviour import UNKNOWN, SlackBehaviour
from bot.slack.outbound.adapter import SlackAdapter
from bot.slack.probes.live_measurement import measure
from bot.slack.probes.probe_channel import kind_of, recipient_in
from bot.slack.probes.scratch_thread import ScratchThread
from bot.testing import SettableClock
from tests.support.slack_stage import AnswerSource, Stage, identity_in, stage
from tests.support.slack_variants import VARIANTS

LONG = " ".join(f"wörd{number:04}" for number in range(2_000))
REFUSALS = (  # such calls a first answer has without a measurement
    ("user_not_found", "auto", "chat.stopStream"),
    ("expires_at_once", "auto", "chat.stopStream"),
    ("no_blocks", "off", "chat.postMessage"),
)


@asynccontextmanager
async def informed(variant: SlackVariant, *, knows: bool = True, streaming: str = "auto") -> AsyncIterator[Stage]:
    """Open a stage, measure its Slack, and let the adapter know the outcome. Its log of calls is of the answers."""
    async with stage(variant=variant) as slack:
        behaviour = await measurement_of(slack) if knows else UNKNOWN
        yield replace(slack, adapter=adapter_of(slack, behaviour, streaming))


async def measurement_of(slack: Stage) -> SlackBehaviour:
    """Measure in the stage's channel."""
    thread = ScratchThread(slack.client, slack.limiter, identity_in(slack.workspace), slack.channel.id)
    thread.recipient = await recipient_in(slack.client, thread.bot, slack.channel.id)
    kind = await kind_of(slack.client, slack.channel.id)
    findings = await measure(thread, kind, lambda _: None)
    return findings.measurement(kind, SettableClock().now()).behaviour


def adapter_of(slack: Stage, behaviour: SlackBehaviour, streaming: str = "auto") -> SlackAdapter:
    """Return an adapter that knows this behaviour."""
    bot, clock = identity_in(slack.workspace), SettableClock().now
    return SlackAdapter(slack.client, bot, clock=clock, streaming=streaming, limiter=slack.limiter, measured=behaviour)


async def refused_calls(slack: Stage, text: str = LONG) -> list[str]:
    """Show an answer. Return the methods that Slack refused meanwhile."""
    before = len(slack.server.calls.all())
    await slack.reply(AnswerSource(*(text[at : at + 700] for at in range(0, len(text), 700))))
    assert " ".join(" ".join(slack.texts()).split()) == text
    return [call.method for call in slack.server.calls.all()[before:] if call.error]


@pytest.mark.parametrize(("name", "streaming", "method"), REFUSALS)
async def test_nothing_is_learned_by_failing(name: str, streaming: str, method: str) -> None:
    """After a measurement the first answer has no refused call. Without one it has."""
    async with informed(VARIANTS[name], knows=False, streaming=streaming) as slack:
        assert {method, "agents.sessions.setStatus"} <= set(await refused_calls(slack))
    async with informed(VARIANTS[name], streaming=streaming) as slack:
        assert await refused_calls(slack) == []


async def test_a_refused_stream_is_not_tried() -> None:
    """Where a channel refuses streams, the answer is posted at once."""
    async with stage() as slack:
        slack.server.faults.refuse("chat.startStream", "channel_type_not_supported")
        behaviour = await measurement_of(slack)
        started = slack.server.calls.count("chat.startStream")
        slack = replace(slack, adapter=adapter_of(slack, behaviour))  # noqa: PLW2901 - the same stage
        assert await refused_calls(slack) == []
        assert slack.server.calls.count("chat.startStream") == started


@pytest.mark.parametrize("name", ["cuts_early", "refuses_long_streams"])
async def test_no_stream_exceeds_its_measured_length(name: str) -> None:
    """Where streams end early, an answer takes more messages. Nothing is cut, so that nothing is repaired."""
    async with informed(VARIANTS[name]) as slack:
        deleted = slack.server.calls.count("chat.delete")
        await refused_calls(slack)
        assert slack.server.calls.count("chat.delete") == deleted
        assert all(len(text.encode()) <= 3_000 for text in slack.texts())


async def test_a_refused_status_is_not_tried() -> None:
    """The first status is that of the measurement."""
    async with informed(VARIANTS["strict"]) as slack:
        before = slack.methods().count("agents.sessions.setStatus")
        await refused_calls(slack, "Hello")
        assert slack.methods().count("agents.sessions.setStatus") == before


async def test_a_stream_that_an_edit_would_empty_is_replaced() -> None:
    """Where Slack takes no blocks and empties an edited stream, the bot posts anew instead of emptying the message."""
    async with informed(replace(VARIANTS["no_blocks"], stream_seconds=300)) as slack:
        slack.server.faults.refuse("chat.appendStream", "message_not_in_streaming_state")
        updates = slack.server.calls.count("chat.update")
        await slack.reply(AnswerSource("Hello", " there."))
        assert slack.texts() == ["Hello there."]
        assert slack.server.calls.count("chat.update") == updates


@pytest.mark.parametrize("name", VARIANTS)
async def test_an_answer_stands_whole_in_each_variant(name: str) -> None:
    """A bot that knows its Slack loses and doubles no word."""
    async with informed(VARIANTS[name]) as slack:
        await refused_calls(slack)
        assert not any(message.streaming_since for message in slack.answers() if name != "user_not_found")


async def test_a_wrong_measurement_costs_no_word() -> None:
    """Slack may have changed since: a bot that knows the kindest Slack answers whole in the strictest."""
    async with stage(variant=VARIANTS["kind"]) as slack:
        behaviour = await measurement_of(slack)
        slack.workspace.variant = dataclasses.replace(
            SlackVariant(), markdown_blocks="invalid_blocks", edits="edit_window_closed", long_stream="refused"
        )
        slack = replace(slack, adapter=adapter_of(slack, behaviour))  # noqa: PLW2901 - the same stage
        await refused_calls(slack)
