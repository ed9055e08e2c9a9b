"""bot.slack's answers over HTTP, in a workspace as strict as Slack: they stream, roll over, and survive refusals."""

import asyncio
import functools
from datetime import timedelta

import pytest

from bot.errors import PlatformError
from bot.playground.workspace.pings import message_pings
from bot.slack.outbound.answer_writer import MOST_BUFFERED
from bot.slack.text import message_splitter
from tests.support.slack_stage import Speech, Stage, stage

STREAM, POST = ["chat.startStream", "chat.stopStream"], ["chat.postMessage"]


def says(slack: Stage, text: str) -> bool:
    """Whether the answer is one message that says this."""
    return slack.texts() == [text]


async def test_an_answer_streams() -> None:
    """The first text is there at once, more is appended, and the last comes with the end of the stream."""
    async with stage() as slack:
        speech = Speech()
        showing = asyncio.create_task(slack.reply(speech))
        for text, so_far in (("Hello", "Hello"), (" there,", "Hello there,")):
            speech.say(text)
            await slack.workspace.until(functools.partial(says, slack, so_far))
        speech.say(" Ana.")
        speech.end()
        await showing

        assert slack.texts() == ["Hello there, Ana."]
        assert slack.methods()[-3:] == ["chat.startStream", "chat.appendStream", "chat.stopStream"]
        assert slack.answers()[0].streaming_since is None


async def test_the_message_is_known_at_once() -> None:
    """The ledger hears of every message as soon as it is there, while the answer is still growing."""
    async with stage() as slack:
        speech = Speech()
        showing = asyncio.create_task(slack.reply(speech))
        speech.say("Hello")
        await slack.workspace.until(lambda: slack.book.noted == [answer.ts for answer in slack.answers()] != [])
        speech.say("x " * message_splitter.MESSAGE_CHARACTERS)
        speech.end()
        await showing

        assert slack.book.noted == [answer.ts for answer in slack.answers()]
        assert len(slack.answers()) > 1


async def test_a_short_answer_is_two_calls() -> None:
    """An answer that is whole at once is started and stopped, nothing else."""
    async with stage() as slack:
        await slack.reply(Speech("Yes."))
        assert [method for method in slack.methods() if method.startswith("chat.")] == STREAM


@pytest.mark.parametrize("streaming", ["auto", "off"])
@pytest.mark.parametrize("pieces", [1, 60])
async def test_an_answer_of_any_length_arrives_whole(streaming: str, pieces: int) -> None:
    """A long answer is several messages, cut between paragraphs, none over Slack's limit, with nothing lost."""
    paragraphs = [f"Paragraph {number}. " + "word " * 150 + "\n\n" for number in range(60)]
    per_delta = len(paragraphs) // pieces
    deltas = ["".join(paragraphs[at : at + per_delta]) for at in range(0, len(paragraphs), per_delta)]
    async with stage(streaming=streaming) as slack:
        await slack.reply(Speech(*deltas))

        assert "".join(slack.texts()) == "".join(paragraphs)
        assert all(text.startswith("Paragraph") for text in slack.texts())
        assert max(map(len, slack.texts())) <= message_splitter.MESSAGE_CHARACTERS


async def test_a_slow_slack_holds_the_model_up() -> None:
    """While the buffer is full, the writer waits; it goes on when Slack has taken a message."""
    text = "word " * (MOST_BUFFERED // len("word ") + 1)
    async with stage(streaming="off") as slack:
        hold = slack.server.faults.hold("chat.postMessage")
        async with slack.adapter.writer(slack.target(), slack.book) as writer:
            writer.write(text)
            draining = asyncio.create_task(writer.drain())
            await slack.workspace.until(lambda: hold.waiting == 1)
            assert not draining.done()
            hold.release()
            await draining
            await writer.finish()

        assert "".join(slack.texts()) == text


async def test_code_goes_on_in_the_next_message() -> None:
    """Code that is longer than a message is code in each of them."""
    async with stage() as slack:
        await slack.reply(Speech("```python\n", *["x = 1\n"] * 4_000, "```\nDone."))

        assert all(text.startswith("```python\n") and text.count("```") == 2 for text in slack.texts())
        assert slack.texts()[-1].endswith("```\nDone.")


async def test_nothing_pings_or_unfurls() -> None:
    """A token that is split over deltas pings nobody, on both paths, and no link unfurls."""
    for streaming in ("auto", "off"):
        async with stage(streaming=streaming) as slack:
            await slack.reply(Speech("Hey <!chan", "nel> and <@U0BEN", "OKAFO>: https://x.y ", "@he", "re"))

            assert [message_pings(message) for message in slack.answers()] == [[]]
            assert not slack.answers()[0].unfurls
            assert slack.texts() == ["Hey @\u2060channel and @\u2060U0BENOKAFO: https://x.y @\u2060here"]


async def test_what_streams_names_its_recipient() -> None:
    """A stream in a channel says for whom it is, by person and workspace."""
    async with stage() as slack:
        await slack.reply(Speech("Hello"))
        (start,) = slack.server.calls.of("chat.startStream")

        assert (start.args["recipient_user_id"], start.args["recipient_team_id"]) == (
            slack.person.id,
            slack.person.team,
        )


@pytest.mark.parametrize("error", ["unknown_method", "feature_not_enabled", "method_not_supported_for_channel_type"])
async def test_where_slack_never_streams_it_is_not_tried_again(error: str) -> None:
    """Where streaming is refused for good, answers are posted, and the next one at once."""
    async with stage() as slack:
        slack.server.faults.refuse("chat.startStream", error)
        await slack.reply(Speech("One."))
        await slack.reply(Speech("Two."))

        assert slack.texts() == ["One.", "Two."]
        assert len(slack.server.calls.of("chat.startStream")) == 1


@pytest.mark.parametrize("error", ["channel_type_not_supported", "fatal_error"])
async def test_a_refusal_of_the_moment_is_of_the_moment(error: str) -> None:
    """Where streaming is refused once, that answer is posted, and the next one streams."""
    async with stage() as slack:
        slack.server.faults.refuse("chat.startStream", error, times=1)
        await slack.reply(Speech("One."))
        await slack.reply(Speech("Two."))

        assert slack.texts() == ["One.", "Two."]
        assert len(slack.server.calls.of("chat.postMessage")) == 1


async def test_a_rate_limit_on_streams_is_not_waited_for() -> None:
    """When too many streams are started, the answer is posted at once instead."""
    async with stage() as slack:
        slack.server.faults.rate_limit("chat.startStream", retry_after_s=60)
        await slack.reply(Speech("One."))
        assert slack.texts() == ["One."]


@pytest.mark.parametrize(("streaming", "channel", "streams"), [
    ("direct", "dm", True), ("direct", "help-desk", False), ("off", "dm", False), ("auto", "dm", True)
])  # fmt: skip
async def test_where_the_setting_lets_it_stream(streaming: str, channel: str, streams: bool) -> None:  # noqa: FBT001 - a table's column
    """SLACK_STREAMING decides whether answers stream everywhere, in direct messages, or nowhere."""
    async with stage(channel, streaming) as slack:
        await slack.reply(Speech("Hello"))
        assert (slack.methods()[-2:] == STREAM, slack.methods()[-1:] == POST) == (streams, not streams)


async def test_a_posted_answer_grows_by_edits() -> None:
    """Without streaming the message is posted with its first text, edited as it grows, and whole in the end."""
    async with stage(streaming="off") as slack:
        speech = Speech()
        showing = asyncio.create_task(slack.reply(speech))
        speech.say("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        speech.say(" there")
        await slack.workspace.until(lambda: slack.texts() == ["Hello there"])
        speech.say(", Ana.")
        speech.end()
        await showing

        assert slack.texts() == ["Hello there, Ana."]
        assert set(slack.methods()) >= {"chat.postMessage", "chat.update"}


async def test_an_edit_that_fails_is_made_up_for() -> None:
    """A failed edit does not matter, because the next one has the whole text."""
    async with stage(streaming="off") as slack:
        slack.server.faults.refuse("chat.update", "fatal_error", times=2)
        speech = Speech()
        showing = asyncio.create_task(slack.reply(speech))
        for text, so_far in (("Hello", "Hello"), (" there.", "Hello there.")):
            speech.say(text)
            await slack.workspace.until(functools.partial(says, slack, so_far))
        speech.end()
        await showing


async def test_the_last_edit_is_insisted_on() -> None:
    """When Slack asks to wait with the last edit, it is waited for."""
    async with stage(streaming="off") as slack:
        slack.server.faults.rate_limit("chat.update", retry_after_s=0)
        speech = Speech()
        showing = asyncio.create_task(slack.reply(speech))
        speech.say("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        speech.say(" there.")
        speech.end()
        await showing

        assert slack.texts() == ["Hello there."]


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_a_stream_that_ended_goes_on_by_edits(method: str) -> None:
    """When Slack ends a stream midway, the same message gets the whole text, and nothing is posted twice."""
    async with stage() as slack:
        slack.server.faults.refuse(method, "message_not_in_streaming_state", times=1)
        speech = Speech()
        showing = asyncio.create_task(slack.reply(speech))
        speech.say("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        speech.say(" there")
        if method == "chat.appendStream":
            await slack.workspace.until(lambda: slack.texts() == ["Hello there"])
        speech.say(".")
        speech.end()
        await showing

        assert slack.texts() == ["Hello there."]
        assert slack.server.calls.of("chat.update")


async def test_a_stream_outlives_its_five_minutes() -> None:
    """A stream that Slack ended for its age goes on as the same message."""
    async with stage(stream_lifetime=timedelta(0)) as slack:
        await slack.reply(Speech("Hello", " there", "."))
        assert slack.texts() == ["Hello there."]


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_text_whose_arrival_is_unknown_stands_there_once(method: str) -> None:
    """When the connection breaks after Slack took a piece of text, that text does not appear twice."""
    async with stage() as slack:
        slack.server.faults.lose_answer(method)
        speech = Speech()
        showing = asyncio.create_task(slack.reply(speech))
        speech.say("Hello")
        await slack.workspace.until(lambda: slack.texts() == ["Hello"])
        speech.say(" there.")
        await slack.workspace.until(lambda: slack.texts() == ["Hello there."])
        speech.end()
        await showing

        assert slack.texts() == ["Hello there."]


@pytest.mark.parametrize("error", ["not_in_channel", "is_archived", "restricted_action_thread_locked"])
async def test_where_nothing_can_be_said_it_raises(error: str) -> None:
    """When Slack lets nothing be posted, the work layer hears Slack's own word for why."""
    async with stage() as slack:
        slack.server.faults.refuse("chat.startStream", error)
        slack.server.faults.refuse("chat.postMessage", error)
        with pytest.raises(PlatformError) as failed:
            await slack.reply(Speech("Hello"))
        assert failed.value.code == error


async def test_a_failure_ends_the_speech() -> None:
    """When nothing can be shown, what is still being said is not waited for."""
    async with stage(streaming="off") as slack:
        slack.server.faults.refuse("chat.postMessage", "is_archived")
        speech = Speech()
        speech.say("Hello")
        with pytest.raises(PlatformError):
            await slack.reply(speech)


async def test_nothing_said_is_nothing_posted() -> None:
    """An answer of blanks posts nothing, and ends the status."""
    async with stage() as slack:
        await slack.reply(Speech(" ", "\n"))

        assert slack.texts() == []
        assert not slack.workspace.statuses.text(slack.channel, slack.root)


async def test_a_cancelled_answer_does_not_stream_on() -> None:
    """When the answer is cancelled midway, its message stops streaming with what is there."""
    async with stage() as slack:
        speech = Speech()
        showing = asyncio.create_task(slack.reply(speech))
        for text, so_far in (("Hello", "Hello"), (" there", "Hello there")):
            speech.say(text)
            await slack.workspace.until(functools.partial(says, slack, so_far))
        showing.cancel()
        await asyncio.wait([showing])

        assert showing.cancelled()
        assert slack.answers()[0].streaming_since is None
