"""The status while no text grows: renewed before Slack ends it, in words that change, and gone with the answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from bot.domain import texts
from bot.domain.activities import Activity, working
from bot.slack.rate_limit_tiers import RATE_LIMITS
from tests.support.slack_stage import Stage, stage
from tests.support.virtual_time import in_virtual_time, now

SLACK_ENDS_A_STATUS_S = 120.0
METHOD = "assistant.threads.setStatus"


async def pass_time(seconds: float) -> None:
    """Let so many virtual seconds pass."""
    await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=seconds)


class Watched:
    """A stage that notes when each status came. Its workspace refuses agents' sessions."""

    def __init__(self, slack: Stage) -> None:
        self.slack = slack
        self.statuses: list[tuple[float, str]] = []
        self._seen = 0

    async def watch(self, seconds: float) -> None:
        """Let time pass, and note each status."""
        until = now() + seconds
        while now() < until:
            await pass_time(1.0)
            calls = self.slack.server.calls.of(METHOD)
            self.statuses += [(now(), call.args["status"]) for call in calls[self._seen :]]
            self._seen = len(calls)


@pytest.mark.parametrize("activity", [Activity.WAITING, Activity.THINKING])
def test_the_status_is_renewed_while_the_model_is_silent(activity: Activity) -> None:
    """For ten minutes a status stands without a gap. Its words change, and say whether the model thinks."""

    @in_virtual_time
    async def play() -> None:
        async with stage() as slack, slack.adapter.writer(slack.target(), slack.ledger) as writer:
            watched = Watched(slack)
            if activity is Activity.THINKING:
                writer.think()
            await watched.watch(600)
            times = [at for at, _ in watched.statuses] + [now()]
            words = [text for _, text in watched.statuses]

            assert max(later - earlier for earlier, later in pairwise(times)) < SLACK_ENDS_A_STATUS_S
            assert len(set(words)) == len(words) > 5
            assert words[0] == texts.WORKING
            assert words[1] == working(activity, timedelta(seconds=30))
            assert words[-1] == working(activity, timedelta(minutes=round(times[-2]) // 60))
            writer.write("Hello")
            await writer.finish()
            assert not slack.workspace.statuses.text(slack.channel, slack.root)

    play()


@in_virtual_time
async def test_reasoning_that_begins_late_changes_the_status() -> None:
    """The status says at once that the model thinks when its reasoning begins after a long silence."""
    async with stage() as slack, slack.adapter.writer(slack.target(), slack.ledger) as writer:
        watched = Watched(slack)
        await watched.watch(40)
        writer.think()
        await watched.watch(3)

        assert [text for _, text in watched.statuses[-2:]] == [
            working(Activity.WAITING, timedelta(seconds=40)),
            working(Activity.THINKING, timedelta(seconds=40)),
        ]


@pytest.mark.parametrize("streaming", ["auto", "off"])
def test_a_restart_shows_the_status_again(streaming: str) -> None:
    """While the model is asked again, a status stands below the void text. It ends when the new text comes."""

    @in_virtual_time
    async def play() -> None:
        async with stage(streaming=streaming) as slack, slack.adapter.writer(slack.target(), slack.ledger) as writer:
            writer.write("Half an")
            await pass_time(5)
            assert slack.texts() == ["Half an"]
            writer.restart()
            await pass_time(5)
            assert slack.workspace.statuses.text(slack.channel, slack.root) == working(
                Activity.ASKING_AGAIN, timedelta()
            )
            writer.write("A whole answer")
            await pass_time(5)
            assert slack.texts() == ["A whole answer"]
            assert not slack.workspace.statuses.text(slack.channel, slack.root)
            await writer.finish()
            assert slack.texts() == ["A whole answer"]

    play()


@in_virtual_time
async def test_renewals_leave_room_for_the_first_status() -> None:
    """At Slack's rate limit no status is renewed, so that new answers show theirs. It is renewed when there is room."""
    async with stage() as slack, slack.adapter.writer(slack.target(), slack.ledger) as writer:
        watched = Watched(slack)
        await watched.watch(1)
        slack.limiter.reserve(METHOD, RATE_LIMITS[METHOD].calls)
        await watched.watch(60)
        assert len(watched.statuses) == 1
        for _ in range(RATE_LIMITS[METHOD].calls):
            slack.limiter.release(METHOD)
        await watched.watch(10)
        assert len(watched.statuses) == 2
        writer.write("Hello")
        await writer.finish()


@in_virtual_time
async def test_a_renewal_that_fails_is_repeated_soon() -> None:
    """A renewal that Slack does not take is tried again before the last status has ended."""
    async with stage() as slack, slack.adapter.writer(slack.target(), slack.ledger) as writer:
        watched = Watched(slack)
        await watched.watch(20)
        slack.server.faults.fail(METHOD, times=1, status=503)
        await watched.watch(30)
        assert [text for _, text in watched.statuses[1:]] == [working(Activity.WAITING, timedelta(seconds=30))] * 2
        writer.write("Hello")
        await writer.finish()


@in_virtual_time
async def test_a_restart_reserves_nothing_of_slacks_rate_limit() -> None:
    """While answers wait to be asked again, new ones may still stream."""
    async with stage() as slack, slack.adapter.writer(slack.target(), slack.ledger) as writer:
        writer.write("Half an")
        await pass_time(70)
        writer.restart()
        await pass_time(70)
        free = [slack.limiter.can_reserve(method) for method in ("chat.stopStream", "chat.update")]
        slack.limiter.reserve("chat.stopStream", RATE_LIMITS["chat.stopStream"].calls - 1)
        assert (free, slack.limiter.can_reserve("chat.stopStream")) == ([True, True], True)
        writer.write("A whole answer")
        await writer.finish()
