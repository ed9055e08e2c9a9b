"""bot.slack's line that says the bot is working: before the answer, never after it, and of no consequence to it."""

import asyncio
import dataclasses

import pytest

from bot.domain import texts
from bot.errors import PlatformError
from bot.slack.outbound.messages import Slack
from bot.slack.outbound.status import Status
from bot.slack.rate_limiter import RateLimiter
from tests.support.slack_stage import Speech, Stage, a_while, stage


async def test_a_status_comes_first_and_goes() -> None:
    """The person sees that the bot works before any text, and no longer once the text is there."""
    async with stage() as slack:
        speech = Speech()
        showing = asyncio.create_task(slack.reply(speech))
        await slack.workspace.until(lambda: bool(slack.workspace.statuses.text(slack.channel, slack.root)))
        speech.say("Hello")
        speech.end()
        await showing

        assert slack.methods()[:3] == ["agents.sessions.setStatus", "assistant.threads.setStatus", "chat.startStream"]
        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_the_status_that_a_workspace_refuses_is_not_tried_again() -> None:
    """Each way of showing a status is given up where it is refused for good; the answer comes all the same."""
    async with stage() as slack:
        slack.server.faults.refuse("assistant.threads.setStatus", "unknown_method")
        await slack.reply(Speech("One."))
        await slack.reply(Speech("Two."))

        assert [method for method in slack.methods() if "setStatus" in method] == [
            "agents.sessions.setStatus",
            "assistant.threads.setStatus",
        ]


async def test_one_of_many_finds_the_way() -> None:
    """When many answers begin at once, the way that the workspace refuses is tried once, for all of them."""
    async with stage() as slack:
        roots = [slack.workspace.post(slack.person, slack.channel, "help").ts for _ in range(9)]
        threads = [dataclasses.replace(slack.thread, root=root) for root in roots]
        status = Status(Slack(slack.client, slack.limiter))
        await asyncio.gather(*(status.show(thread) for thread in threads))

        assert slack.methods().count("agents.sessions.setStatus") == 1
        assert set(slack.workspace.statuses.in_channel(slack.channel)) == set(roots)


@pytest.mark.parametrize("streaming", ["auto", "off"])
async def test_an_agents_session_is_set_back(streaming: str) -> None:
    """As an agent the bot shows its session's status, and in the end it is active again, on both paths."""
    async with stage(streaming=streaming) as slack:
        slack.workspace.app = dataclasses.replace(slack.workspace.app, is_agent=True)
        await slack.reply(Speech("Hello"))

        assert "assistant.threads.setStatus" not in slack.methods()
        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_a_status_that_hangs_holds_nothing_up() -> None:
    """When Slack does not answer about the status, it is let be."""
    async with stage() as slack:
        hold = slack.server.faults.hold("agents.sessions.setStatus")
        await Status(Slack(slack.client, RateLimiter()), timeout_s=0.01).show(slack.thread)
        hold.release()


async def waiting_status(slack: Stage) -> str:
    """What is shown after somebody was told to wait."""
    await slack.adapter.show_waiting(slack.asked())
    return slack.workspace.statuses.text(slack.channel, slack.root)


async def test_whoever_waits_is_told() -> None:
    """While a message waits its turn its thread says so; the answer's own status replaces that, and both end."""
    async with stage() as slack:
        assert await waiting_status(slack) == texts.WAITING
        await slack.reply(Speech("Hello"))

        assert not slack.workspace.statuses.text(slack.channel, slack.root)


def statuses(slack: Stage) -> list[str]:
    """What Slack was told to show, in order."""
    return [call.args["status"] for call in slack.server.calls.of("assistant.threads.setStatus")]


async def test_a_status_of_waiting_is_never_late() -> None:
    """When Slack is slow to show that a message waits, the answer's own status comes after it all the same."""
    async with stage() as slack:
        assert await waiting_status(slack) == texts.WAITING
        hold = slack.server.faults.hold("assistant.threads.setStatus")
        waiting = asyncio.create_task(slack.adapter.show_waiting(slack.asked()))
        await slack.workspace.until(lambda: hold.waiting == 1)
        showing = asyncio.create_task(slack.reply(Speech("Hello")))
        await slack.adapter.show_waiting(slack.asked())
        await a_while()
        assert hold.waiting == 1
        hold.release()
        await asyncio.gather(waiting, showing)

        assert statuses(slack) == [texts.WAITING, texts.WAITING, texts.WORKING]
        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_nobody_is_told_to_wait_below_an_answer() -> None:
    """Where an answer is being shown a status would stay, so that there is none."""
    async with stage() as slack:
        speech = Speech()
        showing = asyncio.create_task(slack.reply(speech))
        speech.say("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        await slack.adapter.show_waiting(slack.asked())
        speech.end()
        await showing

        assert statuses(slack) == [texts.WORKING]


async def test_waiting_can_be_taken_back() -> None:
    """Where no answer ends the status of waiting it is ended by itself, also when Slack was slow to show it."""
    async with stage() as slack:
        assert await waiting_status(slack) == texts.WAITING
        hold = slack.server.faults.hold("assistant.threads.setStatus")
        waiting = asyncio.create_task(slack.adapter.show_waiting(slack.asked()))
        await slack.workspace.until(lambda: hold.waiting == 1)
        ending = asyncio.create_task(slack.adapter.end_waiting(slack.asked()))
        await a_while()
        hold.release()
        await asyncio.gather(waiting, ending)

        assert statuses(slack) == [texts.WAITING, texts.WAITING, ""]


async def test_a_refused_answer_leaves_no_status() -> None:
    """When Slack takes no text, the thread does not go on to say that the bot thinks."""
    async with stage(streaming="off") as slack:
        slack.server.faults.refuse("chat.postMessage", "restricted_action")
        with pytest.raises(PlatformError):
            await slack.reply(Speech("Hello"))

        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_waiting_never_raises() -> None:
    """Whatever Slack says to the status, nobody is held up or hurt by it."""
    async with stage() as slack:
        slack.server.faults.refuse("agents.sessions.setStatus", "fatal_error")
        await slack.adapter.show_waiting(slack.asked())
        await slack.server.stop()
        await slack.adapter.show_waiting(slack.asked())

        assert slack.texts() == []
