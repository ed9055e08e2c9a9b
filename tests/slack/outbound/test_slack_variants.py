"""Answers in each variant of Slack: every word stands once and in order, nothing exceeds a limit or streams on."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.domain import texts
from bot.errors import PlatformUnavailable
from bot.playground.workspace.messages import Message
from bot.playground.workspace.slack_variant import SlackVariant
from bot.slack.text.markdown_blocks import MAX_FALLBACK_BYTES
from tests.support.slack_stage import Stage, stage
from tests.support.slack_variants import VARIANTS
from tests.support.virtual_time import in_virtual_time, now

STEMS = ("word", "слово", "言葉", "😀", "ñandú")
WORD = re.compile(rf"(?:{'|'.join(STEMS)})\d+")
SLACK_BYTES, SLACK_CHARACTERS = 10_600, 12_000
METHODS = (
    *("chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage", "chat.update"),
    *("files.getUploadURLExternal", "files.completeUploadExternal"),
)
EPOCH = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Fault:
    """A fault of one method's next calls."""

    method: str
    kind: str
    times: int


@dataclass(frozen=True)
class Day:
    """One answer and its trouble."""

    shapes: list[tuple[str, str, int]]  # of each part: its shape, its script, its number of words
    step: int  # characters between two pauses
    pause_s: float
    faults: list[Fault]
    lifetime_s: float = 300.0
    streaming: str = "auto"
    killed_after: int | None = None  # steps
    most_messages: int = 0  # then the rest comes as a file; 0: never


PARTS = st.lists(
    st.tuples(st.sampled_from(["text", "table", "fence", "line"]), st.sampled_from(STEMS), st.integers(1, 900)),
    min_size=1,
    max_size=6,
)
FAULTS = st.lists(
    st.builds(
        Fault,
        st.sampled_from(METHODS),
        st.sampled_from(["lose_answer", "fail", "rate_limit", "ended"]),
        st.integers(1, 2),
    ),
    max_size=2,
)
DAYS = st.builds(
    Day,
    PARTS,
    st.integers(150, 4_000),
    st.sampled_from([0.0, 0.5, 3.0, 40.0]),
    FAULTS,
    st.sampled_from([300.0, 300.0, 20.0, 0.0]),
    st.sampled_from(["auto", "off"]),
    st.none() | st.integers(1, 8),
    st.integers(0, 2),
)


def written(shapes: list[tuple[str, str, int]]) -> str:
    """Return the answer's Markdown. Each of its words is unique."""
    parts, number = [], 0
    for shape, stem, count in shapes:
        words = [f"{stem}{number + each}" for each in range(count)]
        number += count
        if shape == "table":
            rows = [f"| {first} | {second} |\n" for first, second in zip(words[::2], words[1::2], strict=False)]
            parts.append("| a | b |\n|---|---|\n" + "".join(rows) + (f"\n{words[-1]}\n" if count % 2 else ""))
        elif shape == "fence":
            parts.append("```python\n" + "".join(f"  {word} = 1\n" for word in words) + "```\n")
        else:
            parts.append((" " if shape == "text" else "\n").join(words) + "\n")
    return "\n".join(parts)[:40_000]


def make_fault(slack: Stage, fault: Fault) -> None:
    """Inject the fault."""
    faults = slack.server.faults
    match fault.kind:
        case "lose_answer":
            faults.lose_answer(fault.method, times=fault.times)
        case "fail":
            faults.lose_answer(fault.method, times=fault.times, status=502)
        case "rate_limit":
            faults.rate_limit(fault.method, retry_after_s=1, times=fault.times)
        case _ if fault.method in {"chat.appendStream", "chat.stopStream"}:
            # Once: nobody could end a stream of which Slack says again and again that it has ended.
            faults.refuse(fault.method, "message_not_in_streaming_state", times=1)


async def show(slack: Stage, day: Day, text: str, attempt: int) -> None:
    """Write the answer step by step; at the end of a killed attempt, be cancelled."""
    async with slack.adapter.writer(slack.target(attempt), slack.ledger) as writer:
        for step, at in enumerate(range(0, len(text), day.step)):
            writer.write(text[at : at + day.step])
            await writer.drain()
            await slack.limiter.clock.pause(day.pause_s)
            if attempt == 1 and step == day.killed_after:
                raise asyncio.CancelledError
        await writer.finish()


async def play(variant: str, day: Day) -> None:
    """Show the answer, and check all that a person sees afterwards."""
    clock = lambda: EPOCH + timedelta(seconds=now())  # noqa: E731
    how: dict[str, Any] = {"variant": variant_of(variant, day), "clock": clock}
    async with stage(streaming=day.streaming, long_answer_messages=day.most_messages, **how) as slack:
        for fault in day.faults:
            make_fault(slack, fault)
        text = written(day.shapes)
        for attempt in range(1, 6):  # the worker takes a turn up again that was killed, or that Slack was away for
            with contextlib.suppress(asyncio.CancelledError, PlatformUnavailable):
                await show(slack, day, text, attempt)
                break
        await slack.limiter.clock.pause(301.0)  # a stream that Slack does not end is over by now
        slack.workspace.sweep()
        check(slack, variant, text)


def variant_of(name: str, day: Day) -> SlackVariant:
    """Return the variant, with the day's lifetime of streams unless streams expire at once anyway."""
    variant = VARIANTS[name]
    return replace(variant, stream_seconds=min(variant.stream_seconds, int(day.lifetime_s)))


def check(slack: Stage, variant: str, text: str) -> None:
    """Check every word, limit and mark."""
    answers = [answer for answer in slack.answers() if answer.shown_text != texts.ANSWERED_ELSEWHERE]
    shown = "\n".join([*(answer.shown_text for answer in answers), *file_texts(slack)])
    assert WORD.findall(shown) == WORD.findall(text)
    assert all(is_within_limits(answer) for answer in answers)
    assert not any(answer.streaming_since for answer in slack.answers())
    assert not slack.workspace.statuses.text(slack.channel, slack.root)
    if variant != "no_blocks":
        assert not any(answer.edited or answer.raw_tables for answer in slack.answers())


def file_texts(slack: Stage) -> list[str]:
    """Return the texts of the bot's files in the thread."""
    uploads = [slack.workspace.uploads.get(file["id"]) for answer in slack.answers() for file in answer.files]
    return [upload.content.decode() for upload in uploads if upload is not None and upload.content is not None]


def is_within_limits(answer: Message) -> bool:
    """Return whether Slack would keep all of the message."""
    size = len(answer.shown_text.encode())
    fallback_fits = not answer.blocks or len(answer.text.encode()) <= MAX_FALLBACK_BYTES
    return size <= SLACK_BYTES and len(answer.shown_text) <= SLACK_CHARACTERS and fallback_fits


EDIT_REFUSED_INSIDE_A_WORD = Day(
    [("text", "word", 1), ("text", "word", 1), ("text", "word", 143)],
    150,
    40.0,
    [Fault("chat.stopStream", "lose_answer", 1)],
)
EDIT_REFUSED_AFTER_A_CLOSED_FENCE = Day([("fence", "word", 650)], 1_001, 0.0, [], lifetime_s=0.0)
CUT_AS_IT_STARTED = Day([("text", "word", 1), ("table", "слово", 708)], 150, 0.0, [], lifetime_s=0.0)


@pytest.mark.parametrize("variant", VARIANTS)
@example(day=EDIT_REFUSED_INSIDE_A_WORD)
@example(day=CUT_AS_IT_STARTED)
@example(day=EDIT_REFUSED_AFTER_A_CLOSED_FENCE)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(day=DAYS)
def test_every_word_stands_once(variant: str, day: Day) -> None:
    """Whatever Slack refuses, cuts or empties, an answer stands whole, once and in order."""
    in_virtual_time(play)(variant, fit(variant, day))


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(day=DAYS)
def test_two_hundred_answers_stand_whole(variant: str, day: Day) -> None:
    """The same with 200 random answers."""
    in_virtual_time(play)(variant, fit(variant, day))


def fit(variant: str, day: Day) -> Day:
    """Leave out what nothing can be done about: words that are in doubt, in a stream that cannot be ended."""
    return replace(day, killed_after=None, faults=[]) if variant == "user_not_found" else day
