"""Answers after a crash: the messages of an earlier attempt become the one answer."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from bot.domain import texts
from bot.domain.events import ROLLING
from bot.errors import PlatformUnavailable, StoreUnavailable
from bot.slack.text import message_splitter
from tests.support.slack_stage import AnswerSource, Stage, shown, stage

WHOLE = "All of it."

Leave = Callable[[Stage], Awaitable[str]]


async def left_streaming(slack: Stage) -> str:
    """Leave a message that is still streaming."""
    left = await slack.client.chat_startStream(
        channel=slack.channel.id,
        thread_ts=slack.root,
        recipient_user_id=slack.person.id,
        recipient_team_id=slack.person.team,
        markdown_text="All o",
    )
    return str(left["ts"])


async def left_posted(slack: Stage, text: str = "All o") -> str:
    """Leave an unfinished message."""
    left = await slack.client.chat_postMessage(channel=slack.channel.id, thread_ts=slack.root, markdown_text=text)
    return str(left["ts"])


def stands_alone(slack: Stage, ts: str, text: str = WHOLE) -> bool:
    """Return whether this is the bot's only message, whole, and not streaming."""
    return [(m.ts, m.shown_text, m.streaming_since) for m in slack.answers()] == [(ts, text, None)]


@pytest.mark.parametrize("leave", [left_streaming, left_posted])
@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("streaming", ["auto", "off"])
async def test_a_half_written_message_is_finished_in_place(leave: Leave, noted: bool, streaming: str) -> None:  # noqa: FBT001 - a table's column
    """The message is finished, streaming or not. The ledger may know it, or the bot finds it in the thread."""
    async with stage(streaming=streaming) as slack:
        ts = await leave(slack)
        slack.ledger.posted_ids = [ts] if noted else []
        await slack.reply(AnswerSource("All", " of it."), attempt=2)

        assert stands_alone(slack, ts)
        assert slack.ledger.posted_ids == [ts]
        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_it_grows_in_place() -> None:
    """The unfinished message shows the new attempt's text as it grows."""
    async with stage() as slack:
        ts, source = await left_streaming(slack), AnswerSource()
        showing = asyncio.create_task(slack.reply(source, attempt=2))
        source.add("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        source.add(" there.")
        await slack.workspace.until(lambda: slack.texts() == ["Hello there."])
        source.end()
        await showing

        assert stands_alone(slack, ts, "Hello there.")


async def test_the_first_words_wait_for_no_look() -> None:
    """A message in the ledger is written into before the thread is looked through, which Slack limits."""
    async with stage() as slack:
        slack.ledger.posted_ids = [ts := await left_streaming(slack)]
        unnoted, source = await left_posted(slack, "unnoted"), AnswerSource()
        showing = asyncio.create_task(slack.reply(source, attempt=2))
        source.add("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello", "unnoted"])
        assert "conversations.replies" not in slack.methods()
        source.end()
        await showing

        assert stands_alone(slack, ts, "Hello")
        assert slack.ledger.removed_ids == [unnoted]
        assert slack.methods().count("conversations.replies") == 1


async def test_a_stream_that_slack_closed_is_edited() -> None:
    """If the stream has ended meanwhile, the message is edited."""
    async with stage() as slack:
        ts = await left_streaming(slack)
        await slack.client.chat_stopStream(channel=slack.channel.id, ts=ts)
        await slack.reply(AnswerSource(WHOLE), attempt=2)

        assert stands_alone(slack, ts)


async def test_superfluous_fragments_are_deleted() -> None:
    """The oldest of several fragments becomes the answer, and the others are deleted, streaming or not."""
    async with stage() as slack:
        first = await left_posted(slack)
        others = [await left_streaming(slack), await left_posted(slack)]
        await slack.reply(AnswerSource(WHOLE), attempt=2)

        assert stands_alone(slack, first)
        assert slack.ledger.removed_ids == others


async def test_an_empty_answer_deletes_the_fragment() -> None:
    """If the answer is empty, the fragment is deleted."""
    async with stage() as slack:
        slack.ledger.posted_ids = [await left_streaming(slack)]
        await slack.reply(AnswerSource(""), attempt=2)

        assert slack.texts() == []


async def test_a_long_answer_goes_on_below() -> None:
    """Text beyond the existing messages is posted, and the ledger has all messages in order."""
    async with stage() as slack:
        first, second = await left_posted(slack), await left_streaming(slack)
        text = "word " * (3 * message_splitter.MESSAGE_BYTES // 5)
        await slack.reply(AnswerSource(text), attempt=2)

        assert "".join(slack.texts()) == text
        assert [message.ts for message in slack.answers()][:2] == [first, second]
        assert slack.ledger.posted_ids == [message.ts for message in slack.answers()]


async def test_other_answers_are_left_alone() -> None:
    """Messages of other turns, people and bots, and ephemeral ones, are not changed."""
    async with stage() as slack:
        earlier = await left_posted(slack, "An answer to something else.")
        slack.ledger.others = {earlier}
        slack.workspace.post(slack.person, slack.channel, "and?", slack.root)
        slack.workspace.post_as_other_bot(slack.channel, "deployed", slack.root)
        slack.workspace.show_ephemeral(slack.person, slack.channel, "psst", by_app=True, thread_ts=slack.root)
        await slack.reply(AnswerSource(WHOLE), attempt=2)

        shown = [message.shown_text for message in slack.workspace.thread(slack.channel, slack.root)]
        assert shown == ["help", "An answer to something else.", "and?", "deployed", WHOLE]
        assert slack.ledger.posted_ids == [slack.answers()[-1].ts]
        assert [message.text for message in slack.workspace.ephemerals(slack.person, slack.channel)] == ["psst"]


async def test_a_thread_below_a_message_of_the_bot() -> None:
    """A message that the bot posted before the question is not changed."""
    async with stage() as slack:
        news = await slack.client.chat_postMessage(channel=slack.channel.id, markdown_text="News!")
        question = slack.workspace.post(slack.person, slack.channel, "really?", news["ts"])
        slack.root = news["ts"]
        again = dataclasses.replace(slack.target(attempt=2), message_id=question.ts)
        await shown(slack.adapter, again, AnswerSource(WHOLE).deltas(), slack.ledger)

        assert slack.texts() == ["News!", WHOLE]


async def test_a_first_attempt_does_not_look() -> None:
    """The first attempt does not read the thread."""
    async with stage() as slack:
        await slack.reply(AnswerSource(WHOLE))
        assert "conversations.replies" not in slack.methods()


async def test_a_busy_thread_is_looked_through() -> None:
    """A fragment is found beyond the first page of the thread."""
    async with stage() as slack:
        for number in range(250):
            slack.workspace.post(slack.person, slack.channel, str(number), slack.root)
        ts = await left_streaming(slack)
        await slack.reply(AnswerSource(WHOLE), attempt=2)

        assert stands_alone(slack, ts)


async def test_a_fragment_that_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    """If somebody deleted the fragment, the answer is posted anew, and nothing is logged."""
    async with stage() as slack:
        ts = await left_posted(slack)
        slack.ledger.posted_ids = [ts]
        await slack.client.chat_delete(channel=slack.channel.id, ts=ts)
        await slack.reply(AnswerSource(WHOLE), attempt=2)

        assert slack.texts() == [WHOLE]
    assert caplog.records == []


async def test_a_fragment_that_may_not_be_edited() -> None:
    """A fragment that Slack no longer lets the bot edit is deleted, and the answer is posted."""
    async with stage() as slack:
        await left_posted(slack)
        slack.server.faults.refuse("chat.update", "edit_window_closed")
        await slack.reply(AnswerSource(WHOLE), attempt=2)

        assert slack.texts() == [WHOLE]


async def test_a_fragment_that_may_not_be_deleted() -> None:
    """In a workspace that forbids deletions, the text of a superfluous fragment is replaced by a note."""
    async with stage() as slack:
        await left_posted(slack)
        await left_posted(slack, "All of")
        slack.server.faults.refuse("chat.delete", "compliance_exports_prevent_deletion")
        await slack.reply(AnswerSource(WHOLE), attempt=2)

        assert slack.texts() == [WHOLE, texts.ANSWERED_ELSEWHERE]
        assert slack.ledger.removed_ids == []


async def test_a_thread_that_may_not_be_read() -> None:
    """Without the scope to read the thread, the messages in the ledger are finished."""
    async with stage() as slack:
        slack.ledger.posted_ids = [ts := await left_streaming(slack)]
        slack.server.faults.refuse("conversations.replies", "missing_scope")
        await slack.reply(AnswerSource(WHOLE), attempt=2)

        assert stands_alone(slack, ts)


async def test_a_thread_that_cannot_be_read_now() -> None:
    """While the thread cannot be read nothing is posted, because a fragment may exist. Another attempt follows."""
    async with stage() as slack:
        slack.server.faults.fail("conversations.replies", times=None)
        with pytest.raises(PlatformUnavailable):
            await slack.reply(AnswerSource(WHOLE), attempt=2)

        assert slack.texts() == []


@pytest.mark.parametrize("method", ["chat.startStream", "chat.postMessage"])
@pytest.mark.parametrize("status", [None, 502])
async def test_a_message_that_slack_did_not_confirm(method: str, status: int | None) -> None:
    """If the connection breaks after a post, the message is found in the thread and used."""
    async with stage(streaming="auto" if method == "chat.startStream" else "off") as slack:
        slack.server.faults.lose_answer(method, status=status)
        await slack.reply(AnswerSource(WHOLE))
        (answer,) = slack.answers()

        assert stands_alone(slack, answer.ts)
        assert slack.ledger.posted_ids == [answer.ts]
        assert len(slack.server.calls.of(method)) == 1


async def test_a_message_that_slack_did_not_confirm_nor_post() -> None:
    """A message that is not found may still appear, so this attempt does not post it again."""
    async with stage(streaming="off") as slack:
        slack.server.faults.fail("chat.postMessage")
        with pytest.raises(PlatformUnavailable, match=r"chat\.postMessage: http_503"):
            await slack.reply(AnswerSource(WHOLE))

        assert len(slack.server.calls.of("chat.postMessage")) == 1


async def test_an_unconfirmed_message_in_a_thread_that_cannot_be_read() -> None:
    """If the thread cannot be read, nothing is posted again. The next attempt finds the message and finishes it."""
    async with stage() as slack:
        slack.server.faults.lose_answer("chat.startStream")
        slack.server.faults.fail("conversations.replies", times=3)
        with pytest.raises(PlatformUnavailable):
            await slack.reply(AnswerSource(WHOLE))
        (left,) = slack.answers()
        await slack.reply(AnswerSource(WHOLE), attempt=2)

        assert stands_alone(slack, left.ts)


async def test_a_failed_post_in_a_thread_that_cannot_be_read() -> None:
    """If Slack fails during a post and the thread cannot be read, nothing is posted again."""
    async with stage() as slack:
        slack.server.faults.refuse("chat.startStream", "fatal_error")
        slack.server.faults.fail("conversations.replies", times=None)
        with pytest.raises(PlatformUnavailable):
            await slack.reply(AnswerSource(WHOLE))

        assert slack.texts() == []


async def test_a_ledger_that_is_out_of_order() -> None:
    """If the ledger cannot store a message, the writer raises, and no message is left streaming."""
    async with stage() as slack:
        slack.ledger.unavailable = True
        with pytest.raises(StoreUnavailable):
            await slack.reply(AnswerSource(WHOLE))

        assert [message.streaming_since for message in slack.answers()] == [None]


async def test_every_way_to_die_leaves_one_answer() -> None:
    """If the first attempt is cancelled at any call, only the second attempt's answer remains."""
    for method in ("chat.startStream", "chat.appendStream", "chat.stopStream"):
        async with stage() as slack:
            hold, source = slack.server.faults.hold(method, after=True), AnswerSource()
            dying = asyncio.create_task(slack.reply(source))
            source.add("Hello")
            if method != "chat.startStream":
                await slack.workspace.until(lambda: slack.texts() == ["Hello"])
            source.add(" there")
            if method == "chat.stopStream":
                source.end()
            await slack.workspace.until(lambda: hold.waiting > 0)  # noqa: B023 - awaited at once
            dying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await dying
            slack.server.faults.clear(method)
            await slack.reply(AnswerSource(WHOLE), attempt=2)

            assert slack.texts() == [WHOLE]
            assert slack.answers()[0].streaming_since is None


async def test_a_turn_that_may_be_lost_is_not_written() -> None:
    """A worker that may have lost the turn neither posts nor edits. The next attempt checks the thread."""
    async with stage() as slack:
        slack.ledger.ours = False
        with pytest.raises(PlatformUnavailable):
            await slack.reply(AnswerSource("Hello"))

        written = {call.method for call in slack.server.calls.all()}
        assert not written & {"chat.postMessage", "chat.startStream", "chat.update", "chat.delete"}


async def test_a_message_at_the_top_level_of_a_dm_is_found() -> None:
    """In a rolling conversation the bot looks through the DM. It leaves its other messages there alone."""
    async with stage("dm") as slack:
        post = slack.client.chat_postMessage
        left = await post(channel=slack.channel.id, markdown_text="All o")
        other = await post(channel=slack.channel.id, thread_ts=slack.root, markdown_text="in a thread")
        target = dataclasses.replace(slack.target(2), thread=dataclasses.replace(slack.thread, root=ROLLING))
        await shown(slack.adapter, target, AnswerSource(WHOLE).deltas(), slack.ledger)

        messages = {m.ts: m.text for m in slack.workspace.app_messages(slack.channel)}
        assert messages == {left["ts"]: WHOLE, other["ts"]: "in a thread"}
        assert slack.ledger.posted_ids == [left["ts"]]
