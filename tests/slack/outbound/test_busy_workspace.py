"""Answers in a busy workspace: Slack's real rate limits, many answers at once, and streams that grow old."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.events import Author, Thread
from bot.errors import PlatformError, PlatformUnavailable
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.slack.client import open_client
from bot.slack.monotonic_clock import MonotonicClock
from bot.slack.outbound.adapter import SlackAdapter
from bot.slack.rate_limit_tiers import RATE_LIMITS
from bot.slack.rate_limiter import RateLimiter
from bot.testing import SettableClock
from bot.turns.adapter import AnswerTarget
from tests.support.playground_stage import declare_agent, make_workspace, served
from tests.support.slack_stage import (
    AnswerSource,
    MemoryLedger,
    a_while,
    identity_in,
    loop_clock,
    settings_of,
    shown,
    stage,
)

EPOCH = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


class Crowd:
    """Many concurrent questions in a channel, and one adapter that answers them within Slack's limits."""

    def __init__(self, server: PlaygroundServer, adapter: SlackAdapter, passing: MonotonicClock) -> None:
        self.server = server
        self.adapter = adapter
        self.time = passing
        self.person = next(iter(server.workspace.people.values()))
        self.channel = server.workspace.channel("help-desk")

    async def ask(self, pieces: int, every_s: float, begins_s: float = 0.0) -> list[Message]:
        """Ask a question, and have it answered in this many pieces at this interval. Return the shown text."""
        workspace = self.server.workspace
        root = workspace.post(self.person, self.channel, "help").ts

        async def deltas() -> AsyncIterator[str]:
            await self.time.pause(begins_s)
            for number in range(pieces):
                yield f"{number} "
                await self.time.pause(every_s)

        thread = Thread("slack", workspace.team.id, self.channel.id, root)
        target = AnswerTarget(thread, Author(self.person.id, self.person.team), root)
        await shown(self.adapter, target, deltas(), MemoryLedger())
        return [message for message in workspace.thread(self.channel, root) if message.bot_id]


@asynccontextmanager
async def crowd(streaming: str = "auto") -> AsyncIterator[Crowd]:
    """Open a workspace with Slack's own limits, on the adapter's clock."""
    async with AsyncExitStack() as stack:
        passing = loop_clock()
        began = passing.now()
        workspace = make_workspace(lambda: EPOCH + timedelta(seconds=passing.now() - began))
        server = await stack.enter_async_context(served(workspace))
        server.rate_limits.enforce()
        client = await stack.enter_async_context(open_client(settings_of(server)))
        limiter, bot = RateLimiter(passing), identity_in(workspace)
        adapter = SlackAdapter(client, bot, clock=SettableClock().now, streaming=streaming, limiter=limiter)
        yield Crowd(server, adapter, passing)


@pytest.mark.parametrize("streaming", ["auto", "off"])
async def test_sixty_threads_at_once(streaming: str) -> None:
    """Within Slack's real limits all answers are whole, no message is left streaming, and no call comes too early."""
    async with crowd(streaming) as slack:
        answers = await asyncio.gather(*(slack.ask(pieces=10, every_s=1.5) for _ in range(60)))
        whole = "".join(f"{number} " for number in range(10))

        assert [[(m.shown_text, m.streaming_since) for m in answer] for answer in answers] == [[(whole, None)]] * 60
        assert slack.server.calls.too_early(timedelta(0)) == []


async def test_answers_in_a_busy_workspace_grow_in_larger_pieces() -> None:
    """Sixty answers that grow at once share the calls, and most of them grow in few, larger pieces."""
    async with crowd() as slack:
        await asyncio.gather(*(slack.ask(pieces=60, every_s=0.5) for _ in range(60)))
        calls = slack.server.calls

        assert len(calls.of("chat.startStream")) <= RATE_LIMITS["chat.startStream"].calls
        assert len(calls.of("chat.appendStream")) < 200
        assert len(calls.of("chat.update")) < 120
        assert len(calls.refused()) < 10


async def test_an_answer_that_cannot_be_edited_in_time_is_posted_whole() -> None:
    """While no edit is available for a minute, the whole answer is posted instead of a fragment."""
    async with stage(streaming="off") as slack:
        slack.limiter.reserve("chat.update", RATE_LIMITS["chat.update"].calls)
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        await a_while(10.0)
        shown_early = slack.texts()
        source.add(" there.")
        source.end()
        await showing

        assert (shown_early, slack.texts()) == ([], ["Hello there."])
        assert not slack.server.calls.of("chat.update")


async def test_ended_answers_do_not_delay_others() -> None:
    """Answers that follow each other all stream, because an ended answer reserves no call."""
    async with stage() as slack:
        for _ in range(RATE_LIMITS["chat.stopStream"].calls + 5):
            await slack.reply(AnswerSource("Hello"))
            await a_while(60.0)

        assert not slack.server.calls.of("chat.postMessage")


async def test_one_answer_alone_is_not_slowed_down() -> None:
    """A single answer grows more than once a second."""
    async with crowd() as slack:
        await slack.ask(pieces=20, every_s=1.0)
        assert len(slack.server.calls.of("chat.appendStream")) >= 15


async def test_a_retry_after_counts_for_every_answer() -> None:
    """When Slack limits the posts of one answer, the other answers in the channel wait too."""
    async with crowd("off") as slack:
        slack.server.faults.rate_limit("chat.postMessage", retry_after_s=20)
        answers = await asyncio.gather(*(slack.ask(pieces=1, every_s=0.0) for _ in range(5)))
        (refused,) = slack.server.calls.refused()
        others = [call for call in slack.server.calls.of("chat.postMessage") if call != refused]

        assert all(call.at - refused.at >= timedelta(seconds=20) for call in others)
        assert [len(answer) for answer in answers] == [1] * 5


@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
async def test_a_wait_that_is_too_long_is_given_back(method: str) -> None:
    """If Slack asks for a longer wait than allowed, the writer raises PlatformUnavailable."""
    async with stage(streaming="off") as slack:
        slack.server.faults.rate_limit(method, retry_after_s=900)
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        if method == "chat.update":
            await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        source.add(" there.")
        source.end()
        with pytest.raises(PlatformUnavailable, match=method):
            await showing


async def test_an_unreachable_slack_may_be_retried() -> None:
    """An unreachable Slack raises PlatformUnavailable, not PlatformError."""
    async with stage() as slack:
        await slack.server.stop()
        with pytest.raises(PlatformUnavailable, match="not_reached"):
            await slack.reply(AnswerSource("Hello"))


@pytest.mark.parametrize("code", ["token_revoked", "account_inactive", "is_archived"])
async def test_a_last_edit_that_is_refused(code: str) -> None:
    """If Slack would refuse a new message as well as the last edit, the writer raises with Slack's error code."""
    async with stage(streaming="off") as slack:
        slack.server.faults.refuse("chat.update", code)
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        source.add(" there.")
        source.end()
        with pytest.raises(PlatformError, match=code):
            await showing


async def test_a_stream_is_ended_before_slack_ends_it() -> None:
    """An answer that lasts longer than a stream may live continues by edits of the same message."""
    async with stage() as slack:
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        await slack.workspace.until(lambda: [m.streaming_since for m in slack.answers()] == [None], timeout_s=3_600)
        source.add(" there.")
        await slack.workspace.until(lambda: slack.texts() == ["Hello there."])
        source.end()
        await showing

        assert slack.texts() == ["Hello there."]
        assert len(slack.server.calls.of("chat.startStream")) == 1
        assert [call.error for call in slack.server.calls.all() if call.method.startswith("chat.")] == [None] * 3


async def test_after_a_press_of_stop_nothing_grows_until_the_end() -> None:
    """After a press of Slack's Stop button the message does not grow. At the end it has the final answer."""
    async with stage() as slack:
        declare_agent(slack.workspace)
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        slack.workspace.interactions.stop(slack.person, slack.channel, slack.root)
        source.add(" there")
        await slack.workspace.until(lambda: bool(slack.server.calls.of("chat.stopStream")))
        source.add(", Ana")
        await a_while(10.0)
        shown = slack.texts()
        source.add(". (Stopped.)")
        source.end()
        await showing

        assert shown == ["Hello"]
        assert slack.texts() == ["Hello there, Ana. (Stopped.)"]
        assert slack.answers()[0].streaming_since is None
