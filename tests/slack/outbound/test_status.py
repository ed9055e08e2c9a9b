"""The status that the bot works: shown before the answer, never after it, and without effect on it."""

import asyncio
import dataclasses

import pytest

from bot.domain import texts
from bot.errors import PlatformError
from bot.slack.outbound.messages import Slack
from bot.slack.outbound.status import Status
from bot.slack.rate_limiter import RateLimiter
from tests.support.slack_stage import AnswerSource, Stage, a_while, stage


async def test_a_status_comes_first_and_goes() -> None:
    """The status is shown before any text, and is gone once there is text."""
    async with stage() as slack:
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        await slack.workspace.until(lambda: bool(slack.workspace.statuses.text(slack.channel, slack.root)))
        source.add("Hello")
        source.end()
        await showing

        assert slack.methods()[:3] == ["agents.sessions.setStatus", "assistant.threads.setStatus", "chat.startStream"]
        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_the_status_that_a_workspace_refuses_is_not_tried_again() -> None:
    """A kind of status that is refused for good is not tried again, and the answer is shown."""
    async with stage() as slack:
        slack.server.faults.refuse("assistant.threads.setStatus", "unknown_method")
        await slack.reply(AnswerSource("One."))
        await slack.reply(AnswerSource("Two."))

        assert [method for method in slack.methods() if "setStatus" in method] == [
            "agents.sessions.setStatus",
            "assistant.threads.setStatus",
        ]


async def test_only_one_of_many_tries_a_refused_status() -> None:
    """When many answers begin at once, only one of them tries a kind of status that the workspace refuses."""
    async with stage() as slack:
        roots = [slack.workspace.post(slack.person, slack.channel, "help").ts for _ in range(9)]
        threads = [dataclasses.replace(slack.thread, root=root) for root in roots]
        status = Status(Slack(slack.client, slack.limiter))
        await asyncio.gather(*(status.show(thread) for thread in threads))

        assert slack.methods().count("agents.sessions.setStatus") == 1
        assert set(slack.workspace.statuses.in_channel(slack.channel)) == set(roots)


@pytest.mark.parametrize("streaming", ["auto", "off"])
async def test_an_agents_session_is_set_back(streaming: str) -> None:
    """An agent's session shows its status, and is active again at the end, when streamed and when posted."""
    async with stage(streaming=streaming) as slack:
        slack.workspace.app = dataclasses.replace(slack.workspace.app, is_agent=True)
        await slack.reply(AnswerSource("Hello"))

        assert "assistant.threads.setStatus" not in slack.methods()
        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_a_status_that_hangs_delays_nothing() -> None:
    """A status call without a response does not delay the answer."""
    async with stage() as slack:
        hold = slack.server.faults.hold("agents.sessions.setStatus")
        await Status(Slack(slack.client, RateLimiter()), timeout_s=0.01).show(slack.thread)
        hold.release()


async def waiting_status(slack: Stage) -> str:
    """Return the waiting status of a thread."""
    await slack.adapter.show_waiting(slack.target())
    return slack.workspace.statuses.text(slack.channel, slack.root)


async def test_a_waiting_message_shows_a_status() -> None:
    """The thread of a waiting message shows a status. The answer's own status replaces it, and both end."""
    async with stage() as slack:
        assert await waiting_status(slack) == texts.WAITING
        await slack.reply(AnswerSource("Hello"))

        assert not slack.workspace.statuses.text(slack.channel, slack.root)


def statuses(slack: Stage) -> list[str]:
    """Return the statuses that Slack received, in order."""
    return [call.args["status"] for call in slack.server.calls.of("assistant.threads.setStatus")]


async def test_a_status_of_waiting_is_never_late() -> None:
    """If the waiting status is slow, the answer's own status still comes after it."""
    async with stage() as slack:
        assert await waiting_status(slack) == texts.WAITING
        hold = slack.server.faults.hold("assistant.threads.setStatus")
        waiting = asyncio.create_task(slack.adapter.show_waiting(slack.target()))
        await slack.workspace.until(lambda: hold.waiting == 1)
        showing = asyncio.create_task(slack.reply(AnswerSource("Hello")))
        await slack.adapter.show_waiting(slack.target())
        await a_while()
        assert hold.waiting == 1
        hold.release()
        await asyncio.gather(waiting, showing)

        assert statuses(slack) == [texts.WAITING, texts.WAITING, texts.WORKING]
        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_no_waiting_status_below_an_answer() -> None:
    """While an answer is shown in the thread, there is no waiting status, because it would stay."""
    async with stage() as slack:
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        await slack.adapter.show_waiting(slack.target())
        source.end()
        await showing

        assert statuses(slack) == [texts.WORKING]


async def test_a_waiting_status_can_be_ended() -> None:
    """Without an answer the waiting status can be ended, even if Slack was slow to show it."""
    async with stage() as slack:
        assert await waiting_status(slack) == texts.WAITING
        hold = slack.server.faults.hold("assistant.threads.setStatus")
        waiting = asyncio.create_task(slack.adapter.show_waiting(slack.target()))
        await slack.workspace.until(lambda: hold.waiting == 1)
        ending = asyncio.create_task(slack.adapter.end_waiting(slack.target()))
        await a_while()
        hold.release()
        await asyncio.gather(waiting, ending)

        assert statuses(slack) == [texts.WAITING, texts.WAITING, ""]


async def test_a_refused_answer_leaves_no_status() -> None:
    """If Slack refuses the text, the status ends."""
    async with stage(streaming="off") as slack:
        slack.server.faults.refuse("chat.postMessage", "restricted_action")
        with pytest.raises(PlatformError):
            await slack.reply(AnswerSource("Hello"))

        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_waiting_never_raises() -> None:
    """No response of Slack to the waiting status raises or delays anything."""
    async with stage() as slack:
        slack.server.faults.refuse("agents.sessions.setStatus", "fatal_error")
        await slack.adapter.show_waiting(slack.target())
        await slack.server.stop()
        await slack.adapter.show_waiting(slack.target())

        assert slack.texts() == []
