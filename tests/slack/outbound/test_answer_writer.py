"""Answers in a simulated Slack over HTTP: streaming, several messages, edits, and refused calls."""

import asyncio
import functools

import pytest

from bot.errors import PlatformError
from bot.playground.workspace.pings import message_pings
from bot.playground.workspace.slack_variant import SlackVariant
from bot.slack.outbound.answer_writer import MOST_BUFFERED
from bot.slack.text import message_splitter
from tests.support.slack_stage import AnswerSource, Stage, stage

STREAM, POST = ["chat.startStream", "chat.stopStream"], ["chat.postMessage"]


def says(slack: Stage, text: str) -> bool:
    """Return whether the answer is one message with this text."""
    return slack.texts() == [text]


async def test_an_answer_streams() -> None:
    """The first text is shown at once, more is appended, and the last text comes with the end of the stream."""
    async with stage() as slack:
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        for text, so_far in (("Hello", "Hello"), (" there,", "Hello there,")):
            source.add(text)
            await slack.workspace.until(functools.partial(says, slack, so_far))
        source.add(" Ana.")
        source.end()
        await showing

        assert slack.texts() == ["Hello there, Ana."]
        assert slack.methods()[-3:] == ["chat.startStream", "chat.appendStream", "chat.stopStream"]
        assert slack.answers()[0].streaming_since is None


async def test_the_message_is_known_at_once() -> None:
    """The ledger has every message as soon as it is posted, while the answer still grows."""
    async with stage() as slack:
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        await slack.workspace.until(lambda: slack.ledger.posted_ids == [answer.ts for answer in slack.answers()] != [])
        source.add("x " * message_splitter.MESSAGE_BYTES)
        source.end()
        await showing

        assert slack.ledger.posted_ids == [answer.ts for answer in slack.answers()]
        assert len(slack.answers()) > 1


async def test_a_short_answer_is_two_calls() -> None:
    """An answer that is whole at once is started and stopped, without other calls."""
    async with stage() as slack:
        await slack.reply(AnswerSource("Yes."))
        assert [method for method in slack.methods() if method.startswith("chat.")] == STREAM


@pytest.mark.parametrize("streaming", ["auto", "off"])
@pytest.mark.parametrize("pieces", [1, 60])
async def test_an_answer_of_any_length_arrives_whole(streaming: str, pieces: int) -> None:
    """A long answer is split between paragraphs into several messages below Slack's limit, with nothing lost."""
    paragraphs = [f"Paragraph {number}. " + "word " * 150 + "\n\n" for number in range(60)]
    per_delta = len(paragraphs) // pieces
    deltas = ["".join(paragraphs[at : at + per_delta]) for at in range(0, len(paragraphs), per_delta)]
    async with stage(streaming=streaming) as slack:
        await slack.reply(AnswerSource(*deltas))

        assert "".join(slack.texts()) == "".join(paragraphs)
        assert all(text.startswith("Paragraph") for text in slack.texts())
        assert max(map(len, slack.texts())) <= message_splitter.MESSAGE_BYTES


async def test_a_slow_slack_delays_the_model() -> None:
    """While the buffer is full, the writer waits. It continues when Slack has taken a message."""
    text = "word " * (MOST_BUFFERED // len("word ") + 1)
    async with stage(streaming="off") as slack:
        hold = slack.server.faults.hold("chat.postMessage")
        async with slack.adapter.writer(slack.target(), slack.ledger) as writer:
            writer.write(text)
            draining = asyncio.create_task(writer.drain())
            await slack.workspace.until(lambda: hold.waiting == 1)
            assert not draining.done()
            hold.release()
            await draining
            await writer.finish()

        assert "".join(slack.texts()) == text


async def test_code_goes_on_in_the_next_message() -> None:
    """A code block that is longer than a message is a code block in each message."""
    async with stage() as slack:
        await slack.reply(AnswerSource("```python\n", *["x = 1\n"] * 4_000, "```\nDone."))

        assert all(text.startswith("```python\n") and text.count("```") == 2 for text in slack.texts())
        assert slack.texts()[-1].endswith("```\nDone.")


async def test_nothing_pings_or_unfurls() -> None:
    """A token that is split over deltas pings nobody, when streamed and when posted, and no link unfurls."""
    for streaming in ("auto", "off"):
        async with stage(streaming=streaming) as slack:
            await slack.reply(AnswerSource("Hey <!chan", "nel> and <@U0BEN", "OKAFO>: https://x.y ", "@he", "re"))

            assert [message_pings(message) for message in slack.answers()] == [[]]
            assert not slack.answers()[0].unfurls
            assert slack.texts() == ["Hey @\u2060channel and @\u2060U0BENOKAFO: https://x.y @\u2060here"]


async def test_a_stream_names_its_recipient() -> None:
    """A stream in a channel names its recipient by person and workspace."""
    async with stage() as slack:
        await slack.reply(AnswerSource("Hello"))
        (start,) = slack.server.calls.of("chat.startStream")

        assert (start.args["recipient_user_id"], start.args["recipient_team_id"]) == (
            slack.person.id,
            slack.person.team,
        )


@pytest.mark.parametrize("error", ["unknown_method", "feature_not_enabled", "method_not_supported_for_channel_type"])
async def test_a_permanent_refusal_to_stream_is_remembered(error: str) -> None:
    """After a permanent refusal, this and all later answers are posted."""
    async with stage() as slack:
        slack.server.faults.refuse("chat.startStream", error)
        await slack.reply(AnswerSource("One."))
        await slack.reply(AnswerSource("Two."))

        assert slack.texts() == ["One.", "Two."]
        assert len(slack.server.calls.of("chat.startStream")) == 1


@pytest.mark.parametrize("error", ["channel_type_not_supported", "fatal_error"])
async def test_a_temporary_refusal_counts_once(error: str) -> None:
    """After a temporary refusal, the answer is posted and the next one streams."""
    async with stage() as slack:
        slack.server.faults.refuse("chat.startStream", error, times=1)
        await slack.reply(AnswerSource("One."))
        await slack.reply(AnswerSource("Two."))

        assert slack.texts() == ["One.", "Two."]
        assert len(slack.server.calls.of("chat.postMessage")) == 1


async def test_a_rate_limit_on_streams_is_not_waited_for() -> None:
    """If too many streams are started, the answer is posted at once."""
    async with stage() as slack:
        slack.server.faults.rate_limit("chat.startStream", retry_after_s=60)
        await slack.reply(AnswerSource("One."))
        assert slack.texts() == ["One."]


@pytest.mark.parametrize(("streaming", "channel", "streams"), [
    ("direct", "dm", True), ("direct", "help-desk", False), ("off", "dm", False), ("auto", "dm", True)
])  # fmt: skip
async def test_the_setting_decides_where_answers_stream(streaming: str, channel: str, streams: bool) -> None:  # noqa: FBT001 - a table's column
    """SLACK_STREAMING decides whether answers stream everywhere, in direct messages, or nowhere."""
    async with stage(channel, streaming) as slack:
        await slack.reply(AnswerSource("Hello"))
        assert (slack.methods()[-2:] == STREAM, slack.methods()[-1:] == POST) == (streams, not streams)


async def test_a_posted_answer_grows_by_edits() -> None:
    """Without streaming, the message is posted with its first text and edited until it is whole."""
    async with stage(streaming="off") as slack:
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        source.add(" there")
        await slack.workspace.until(lambda: slack.texts() == ["Hello there"])
        source.add(", Ana.")
        source.end()
        await showing

        assert slack.texts() == ["Hello there, Ana."]
        assert set(slack.methods()) >= {"chat.postMessage", "chat.update"}


async def test_a_failed_edit_is_replaced_by_the_next() -> None:
    """A failed edit does not matter, because the next one has the whole text."""
    async with stage(streaming="off") as slack:
        slack.server.faults.refuse("chat.update", "fatal_error", times=2)
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        for text, so_far in (("Hello", "Hello"), (" there.", "Hello there.")):
            source.add(text)
            await slack.workspace.until(functools.partial(says, slack, so_far))
        source.end()
        await showing


async def test_the_last_edit_is_retried() -> None:
    """The last edit waits for as long as Slack asks."""
    async with stage(streaming="off") as slack:
        slack.server.faults.rate_limit("chat.update", retry_after_s=0)
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        source.add(" there.")
        source.end()
        await showing

        assert slack.texts() == ["Hello there."]


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_a_stream_that_ended_goes_on_by_edits(method: str) -> None:
    """If Slack ends a stream early, the same message is edited, and nothing is posted twice."""
    async with stage() as slack:
        slack.server.faults.refuse(method, "message_not_in_streaming_state", times=1)
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        source.add(" there")
        if method == "chat.appendStream":
            await slack.workspace.until(lambda: slack.texts() == ["Hello there"])
        source.add(".")
        source.end()
        await showing

        assert slack.texts() == ["Hello there."]
        assert slack.server.calls.of("chat.update")


async def test_a_stream_outlives_its_five_minutes() -> None:
    """A stream that Slack ended for its age continues as the same message."""
    async with stage(variant=SlackVariant(stream_seconds=0)) as slack:
        await slack.reply(AnswerSource("Hello", " there", "."))
        assert slack.texts() == ["Hello there."]


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_text_with_an_unknown_outcome_is_not_repeated(method: str) -> None:
    """If the connection breaks after Slack has taken a text, the text does not appear twice."""
    async with stage() as slack:
        slack.server.faults.lose_answer(method)
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        source.add("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        source.add(" there.")
        await slack.workspace.until(lambda: slack.texts() == ["Hello there."])
        source.end()
        await showing

        assert slack.texts() == ["Hello there."]


@pytest.mark.parametrize("error", ["not_in_channel", "is_archived", "restricted_action_thread_locked"])
async def test_an_answer_that_cannot_be_posted_raises(error: str) -> None:
    """If Slack refuses every post, the writer raises with Slack's error code."""
    async with stage() as slack:
        slack.server.faults.refuse("chat.startStream", error)
        slack.server.faults.refuse("chat.postMessage", error)
        with pytest.raises(PlatformError) as failed:
            await slack.reply(AnswerSource("Hello"))
        assert failed.value.code == error


async def test_a_failure_does_not_wait_for_the_model() -> None:
    """If nothing can be shown, the writer raises before the model has finished."""
    async with stage(streaming="off") as slack:
        slack.server.faults.refuse("chat.postMessage", "is_archived")
        source = AnswerSource()
        source.add("Hello")
        with pytest.raises(PlatformError):
            await slack.reply(source)


async def test_an_empty_answer_posts_nothing() -> None:
    """An answer of white space posts nothing, and ends the status."""
    async with stage() as slack:
        await slack.reply(AnswerSource(" ", "\n"))

        assert slack.texts() == []
        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_a_cancelled_answer_does_not_stream_on() -> None:
    """If the answer is cancelled, its message stops streaming with the text so far."""
    async with stage() as slack:
        source = AnswerSource()
        showing = asyncio.create_task(slack.reply(source))
        for text, so_far in (("Hello", "Hello"), (" there", "Hello there")):
            source.add(text)
            await slack.workspace.until(functools.partial(says, slack, so_far))
        showing.cancel()
        await asyncio.wait([showing])

        assert showing.cancelled()
        assert slack.answers()[0].streaming_since is None
