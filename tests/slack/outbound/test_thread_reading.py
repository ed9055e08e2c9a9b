"""bot.slack reading a thread, and saying a line in one, against the playground: in time, or not at all."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import PlatformError, PlatformUnavailable
from bot.prompt.thread_context import UNREADABLE
from tests.support.slack_stage import Stage, stage

LATER = "9999999999.000000"


def hurt(slack: Stage, trouble: str, method: str) -> None:
    """Have a method fail in this way."""
    faults = slack.server.faults
    match trouble:
        case "busy":
            faults.rate_limit(method, retry_after_s=60)
        case "slow":
            faults.hold(method)
        case "broken":
            faults.lose_answer(method, times=None, status=502)
        case _:
            faults.refuse(method, trouble)


def write(slack: Stage, count: int) -> None:
    """Write so many replies in the thread."""
    for number in range(count):
        slack.workspace.post(slack.person, slack.channel, str(number), slack.root)


async def test_a_thread_is_read_up_to_the_question() -> None:
    """In one call, without what came later."""
    async with stage() as slack:
        for text in ("one", "two", "three"):
            last = slack.workspace.post(slack.person, slack.channel, text, slack.root)
        found = await slack.adapter.earlier(slack.thread, last.ts)

        assert [message.text for message in found.earlier] == ["help", "one", "two"]
        assert found.whole
        assert slack.methods() == ["conversations.replies"]


async def test_of_a_thread_of_several_pages_the_newest_are_read() -> None:
    """Slack gives a thousand messages at once, the oldest first: the next pages are asked for, too."""
    async with stage() as slack:
        write(slack, 2_500)
        found = await slack.adapter.earlier(slack.thread, LATER)

        assert [message.text for message in found.earlier] == ["help", *map(str, range(2_500))]
        assert found.whole
        assert slack.methods() == ["conversations.replies"] * 3


@pytest.mark.parametrize("trouble", ["busy", "missing_scope", "slow"])
async def test_pages_that_do_not_come_are_known_to_be_missing(trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    """What was read until then is what is known; it is over within three seconds all the same."""
    async with stage() as slack:
        write(slack, 1_500)
        first = slack.server.faults.hold("conversations.replies", after=True)
        reading = asyncio.create_task(slack.adapter.earlier(slack.thread, LATER))
        await slack.workspace.until(lambda: first.waiting == 1)
        hurt(slack, trouble, "conversations.replies")
        first.release()
        found = await reading

        assert (len(found.earlier), found.whole) == (1_000, False)
        assert "some of what was said" in caplog.text


async def test_a_thread_has_so_many_pages_that_some_are_left() -> None:
    """After five of them it is enough."""
    async with stage() as slack:
        write(slack, 5_000)
        found = await slack.adapter.earlier(slack.thread, LATER)

        assert (len(found.earlier), found.whole) == (5_000, False)


@pytest.mark.parametrize("trouble", ["missing_scope", "not_in_channel", "thread_not_found", "busy", "slow", "broken"])
async def test_what_cannot_be_read_is_unreadable(trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong, it is over within three seconds, and the log says why."""
    async with stage() as slack:
        hurt(slack, trouble, "conversations.replies")

        assert await slack.adapter.earlier(slack.thread, LATER) == UNREADABLE
        assert "could not be read" in caplog.text


async def test_a_short_wait_is_waited() -> None:
    """A 429 of a second is no reason to answer without."""
    async with stage() as slack:
        slack.server.faults.rate_limit("conversations.replies", retry_after_s=1)
        found = await slack.adapter.earlier(slack.thread, LATER)

        assert [message.text for message in found.earlier] == ["help"]


async def test_a_line_is_said_in_the_thread() -> None:
    """By itself, unfurling nothing."""
    async with stage() as slack:
        await slack.adapter.notify(slack.thread, "Soon.")

        assert slack.texts() == ["Soon."]
        assert slack.methods() == ["chat.postMessage"]


@pytest.mark.parametrize(("trouble", "kind"), [("is_archived", PlatformError), ("busy", PlatformUnavailable)])
async def test_a_line_that_cannot_be_said(trouble: str, kind: type[Exception]) -> None:
    """Slack's no is final; that it asks to wait is not."""
    async with stage() as slack:
        hurt(slack, trouble, "chat.postMessage")
        with pytest.raises(kind):
            await slack.adapter.notify(slack.thread, "Soon.")

        assert slack.texts() == []


async def test_a_line_that_may_have_been_said_is_not_repeated() -> None:
    """It counts as said."""
    async with stage() as slack:
        slack.server.faults.lose_answer("chat.postMessage")
        await slack.adapter.notify(slack.thread, "Soon.")

        assert slack.texts() == ["Soon."]
