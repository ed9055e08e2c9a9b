"""bot.slack's answers after a crash: what an earlier attempt left in the thread becomes the one answer."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from bot.domain import texts
from bot.errors import PlatformUnavailable, StoreUnavailable
from bot.slack.text import message_splitter
from tests.support.slack_stage import Speech, Stage, stage

WHOLE = "All of it."

Leave = Callable[[Stage], Awaitable[str]]


async def left_streaming(slack: Stage) -> str:
    """A message that an attempt left behind while it streamed."""
    left = await slack.client.chat_startStream(
        channel=slack.channel.id,
        thread_ts=slack.root,
        recipient_user_id=slack.person.id,
        recipient_team_id=slack.person.team,
        markdown_text="All o",
    )
    return str(left["ts"])


async def left_posted(slack: Stage, text: str = "All o") -> str:
    """A message that an attempt left behind unfinished."""
    left = await slack.client.chat_postMessage(channel=slack.channel.id, thread_ts=slack.root, markdown_text=text)
    return str(left["ts"])


def stands_alone(slack: Stage, ts: str, text: str = WHOLE) -> bool:
    """Whether this message is the bot's only one, whole, and at rest."""
    return [(m.ts, m.text, m.streaming_since) for m in slack.answers()] == [(ts, text, None)]


@pytest.mark.parametrize("leave", [left_streaming, left_posted])
@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("streaming", ["auto", "off"])
async def test_a_half_written_message_is_finished_in_place(leave: Leave, noted: bool, streaming: str) -> None:  # noqa: FBT001 - a table's column
    """Whether it streams or not, and whether the ledger knows it or only the thread shows it."""
    async with stage(streaming=streaming) as slack:
        ts = await leave(slack)
        slack.book.noted = [ts] if noted else []
        await slack.reply(Speech("All", " of it."), attempt=2)

        assert stands_alone(slack, ts)
        assert slack.book.noted == [ts]
        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_it_grows_in_place() -> None:
    """The half-written message shows the new attempt's text as it comes."""
    async with stage() as slack:
        ts, speech = await left_streaming(slack), Speech()
        showing = asyncio.create_task(slack.reply(speech, attempt=2))
        speech.say("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        speech.say(" there.")
        await slack.workspace.until(lambda: slack.texts() == ["Hello there."])
        speech.end()
        await showing

        assert stands_alone(slack, ts, "Hello there.")


async def test_a_stream_that_slack_closed_is_edited() -> None:
    """When the stream has ended meanwhile, the message is edited all the same."""
    async with stage() as slack:
        ts = await left_streaming(slack)
        await slack.client.chat_stopStream(channel=slack.channel.id, ts=ts)
        await slack.reply(Speech(WHOLE), attempt=2)

        assert stands_alone(slack, ts)


async def test_what_is_left_over_goes() -> None:
    """Of several fragments the oldest becomes the answer, and the others are deleted, streaming or not."""
    async with stage() as slack:
        first = await left_posted(slack)
        others = [await left_streaming(slack), await left_posted(slack)]
        await slack.reply(Speech(WHOLE), attempt=2)

        assert stands_alone(slack, first)
        assert slack.book.taken_away == others


async def test_nothing_said_leaves_nothing() -> None:
    """When there is nothing to say any more, the fragment is deleted."""
    async with stage() as slack:
        slack.book.noted = [await left_streaming(slack)]
        await slack.reply(Speech(""), attempt=2)

        assert slack.texts() == []


async def test_a_long_answer_goes_on_below() -> None:
    """What does not fit in the messages that are there is posted, and all of it is in the ledger, in order."""
    async with stage() as slack:
        first, second = await left_posted(slack), await left_streaming(slack)
        text = "word " * (3 * message_splitter.MESSAGE_CHARACTERS // 5)
        await slack.reply(Speech(text), attempt=2)

        assert "".join(slack.texts()) == text
        assert [message.ts for message in slack.answers()][:2] == [first, second]
        assert slack.book.noted == [message.ts for message in slack.answers()]


async def test_other_answers_are_left_alone() -> None:
    """Messages of other turns, of people, of other bots, and what only one person sees, stay as they are."""
    async with stage() as slack:
        earlier = await left_posted(slack, "An answer to something else.")
        slack.book.others = {earlier}
        slack.workspace.post(slack.person, slack.channel, "and?", slack.root)
        slack.workspace.post_as_other_bot(slack.channel, "deployed", slack.root)
        slack.workspace.show_ephemeral(slack.person, slack.channel, "psst", by_app=True, thread_ts=slack.root)
        await slack.reply(Speech(WHOLE), attempt=2)

        said = [message.text for message in slack.workspace.thread(slack.channel, slack.root)]
        assert said == ["help", "An answer to something else.", "and?", "deployed", WHOLE]
        assert slack.book.noted == [slack.answers()[-1].ts]
        assert [message.text for message in slack.workspace.ephemerals(slack.person, slack.channel)] == ["psst"]


async def test_a_thread_below_a_message_of_ours() -> None:
    """What the bot said before the question is older than any attempt, and stays."""
    async with stage() as slack:
        news = await slack.client.chat_postMessage(channel=slack.channel.id, markdown_text="News!")
        asked = slack.workspace.post(slack.person, slack.channel, "really?", news["ts"])
        slack.root = news["ts"]
        again = dataclasses.replace(slack.asked(attempt=2), message_id=asked.ts)
        await slack.adapter.reply(again, Speech(WHOLE).deltas(), slack.book)

        assert slack.texts() == ["News!", WHOLE]


async def test_a_first_attempt_does_not_look() -> None:
    """Where nothing went wrong, the thread is not read."""
    async with stage() as slack:
        await slack.reply(Speech(WHOLE))
        assert "conversations.replies" not in slack.methods()


async def test_a_busy_thread_is_looked_through() -> None:
    """A fragment is found below more messages than one page of the thread holds."""
    async with stage() as slack:
        for number in range(250):
            slack.workspace.post(slack.person, slack.channel, str(number), slack.root)
        ts = await left_streaming(slack)
        await slack.reply(Speech(WHOLE), attempt=2)

        assert stands_alone(slack, ts)


async def test_a_fragment_that_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    """When somebody deleted the half-written message, the answer is posted anew, and that is nothing to log."""
    async with stage() as slack:
        ts = await left_posted(slack)
        slack.book.noted = [ts]
        await slack.client.chat_delete(channel=slack.channel.id, ts=ts)
        await slack.reply(Speech(WHOLE), attempt=2)

        assert slack.texts() == [WHOLE]
    assert caplog.records == []


async def test_a_fragment_that_may_not_be_edited() -> None:
    """Where Slack lets the message not be edited any more it is deleted, and the answer is posted."""
    async with stage() as slack:
        await left_posted(slack)
        slack.server.faults.refuse("chat.update", "edit_window_closed")
        await slack.reply(Speech(WHOLE), attempt=2)

        assert slack.texts() == [WHOLE]


async def test_a_fragment_that_may_not_be_deleted() -> None:
    """Where a workspace forbids to delete, what is left over says so instead of standing there as a fragment."""
    async with stage() as slack:
        await left_posted(slack)
        await left_posted(slack, "All of")
        slack.server.faults.refuse("chat.delete", "compliance_exports_prevent_deletion")
        await slack.reply(Speech(WHOLE), attempt=2)

        assert slack.texts() == [WHOLE, texts.ANSWERED_ELSEWHERE]
        assert slack.book.taken_away == []


async def test_a_thread_that_may_not_be_read() -> None:
    """Without the scope to look into the thread, what the ledger knows is finished."""
    async with stage() as slack:
        slack.book.noted = [ts := await left_streaming(slack)]
        slack.server.faults.refuse("conversations.replies", "missing_scope")
        await slack.reply(Speech(WHOLE), attempt=2)

        assert stands_alone(slack, ts)


async def test_a_thread_that_cannot_be_read_now() -> None:
    """While Slack is out of order nothing is posted, because there may be something; another attempt will tell."""
    async with stage() as slack:
        slack.server.faults.fail("conversations.replies", times=None)
        with pytest.raises(PlatformUnavailable):
            await slack.reply(Speech(WHOLE), attempt=2)

        assert slack.texts() == []


@pytest.mark.parametrize("method", ["chat.startStream", "chat.postMessage"])
@pytest.mark.parametrize("status", [None, 502])
async def test_a_message_that_slack_did_not_confirm(method: str, status: int | None) -> None:
    """When the connection breaks after Slack posted, the message is found in the thread, and is the answer."""
    async with stage(streaming="auto" if method == "chat.startStream" else "off") as slack:
        slack.server.faults.lose_answer(method, status=status)
        await slack.reply(Speech(WHOLE))
        (answer,) = slack.answers()

        assert stands_alone(slack, answer.ts)
        assert slack.book.noted == [answer.ts]
        assert len(slack.server.calls.of(method)) == 1


async def test_a_message_that_slack_did_not_confirm_nor_post() -> None:
    """When nothing is found in the thread it may yet come, so that it is not posted again by this attempt."""
    async with stage(streaming="off") as slack:
        slack.server.faults.fail("chat.postMessage")
        with pytest.raises(PlatformUnavailable, match=r"chat\.postMessage: http_503"):
            await slack.reply(Speech(WHOLE))

        assert len(slack.server.calls.of("chat.postMessage")) == 1


async def test_an_unconfirmed_message_in_a_thread_that_cannot_be_read() -> None:
    """Without a look into the thread nothing is posted again; the next attempt finds the message and finishes it."""
    async with stage() as slack:
        slack.server.faults.lose_answer("chat.startStream")
        slack.server.faults.fail("conversations.replies", times=3)
        with pytest.raises(PlatformUnavailable):
            await slack.reply(Speech(WHOLE))
        (left,) = slack.answers()
        await slack.reply(Speech(WHOLE), attempt=2)

        assert stands_alone(slack, left.ts)


async def test_a_catastrophe_in_a_thread_that_cannot_be_read() -> None:
    """When Slack broke while it posted and the thread cannot be read either, nothing is posted again."""
    async with stage() as slack:
        slack.server.faults.refuse("chat.startStream", "fatal_error")
        slack.server.faults.fail("conversations.replies", times=None)
        with pytest.raises(PlatformUnavailable):
            await slack.reply(Speech(WHOLE))

        assert slack.texts() == []


async def test_a_ledger_that_is_out_of_order() -> None:
    """When a message cannot be noted the work layer hears of it, and nothing is left streaming."""
    async with stage() as slack:
        slack.book.out_of_order = True
        with pytest.raises(StoreUnavailable):
            await slack.reply(Speech(WHOLE))

        assert [message.streaming_since for message in slack.answers()] == [None]


async def test_every_way_to_die_leaves_one_answer() -> None:
    """Cancelled at any call of the first attempt, the second attempt's answer stands there alone."""
    for method in ("chat.startStream", "chat.appendStream", "chat.stopStream"):
        async with stage() as slack:
            hold, speech = slack.server.faults.hold(method, after=True), Speech()
            dying = asyncio.create_task(slack.reply(speech))
            speech.say("Hello")
            if method != "chat.startStream":
                await slack.workspace.until(lambda: slack.texts() == ["Hello"])
            speech.say(" there")
            if method == "chat.stopStream":
                speech.end()
            await slack.workspace.until(lambda: hold.waiting > 0)  # noqa: B023 - awaited at once
            dying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await dying
            slack.server.faults.clear(method)
            await slack.reply(Speech(WHOLE), attempt=2)

            assert slack.texts() == [WHOLE]
            assert slack.answers()[0].streaming_since is None


async def test_what_may_be_anothers_is_not_written() -> None:
    """Whoever may have lost the turn neither posts nor edits; the next attempt will look."""
    async with stage() as slack:
        slack.book.ours = False
        with pytest.raises(PlatformUnavailable):
            await slack.reply(Speech("Hello"))

        written = {call.method for call in slack.server.calls.all()}
        assert not written & {"chat.postMessage", "chat.startStream", "chat.update", "chat.delete"}
