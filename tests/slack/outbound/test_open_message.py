"""bot.slack.outbound.open_message: how an answer goes on when Slack refuses, cuts, empties or calls a text too long."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.playground.workspace.pings import message_pings
from bot.slack.text.markdown_blocks import MAX_FALLBACK_BYTES
from tests.support.slack_stage import AnswerSource, Stage, stage
from tests.support.slack_variants import VARIANTS

EDIT_REFUSALS = ["edit_window_closed", "cant_update_message", "message_not_found", "block_mismatch"]


async def grows(slack: Stage, *pieces: str, shown: int = 1) -> None:
    """Write an answer; wait for each of the first `shown` pieces to stand, and write the others at once."""
    source = AnswerSource()
    showing = asyncio.create_task(slack.reply(source))
    so_far = ""
    for number, piece in enumerate(pieces):
        source.add(piece)
        so_far += piece
        if number < shown:
            await slack.workspace.until(functools.partial(stands, slack, so_far))
    source.end()
    await showing


def stands(slack: Stage, text: str) -> bool:
    """Return whether the bot's messages together show this text."""
    return "".join(slack.texts()) == text


@pytest.mark.parametrize("error", EDIT_REFUSALS)
async def test_the_tail_is_posted_when_an_edit_is_refused(error: str) -> None:
    """The message stays, and the rest of the text follows in a new message of the thread."""
    async with stage(streaming="off", variant=VARIANTS[error]) as slack:
        await grows(slack, "Hello", " there.")
        assert slack.texts() == ["Hello", " there."]
        assert slack.ledger.posted_ids == [answer.ts for answer in slack.answers()]


@pytest.mark.parametrize("error", EDIT_REFUSALS)
async def test_the_tail_of_a_broken_stream_is_posted(error: str) -> None:
    """A stream that Slack ended, and that cannot be edited, is followed by the rest of the text."""
    async with stage(variant=VARIANTS[error]) as slack:
        for method in ("chat.appendStream", "chat.stopStream"):
            slack.server.faults.refuse(method, "message_not_in_streaming_state")
        await grows(slack, "Hello", " there.")
        assert slack.texts() == ["Hello", " there."]


async def test_after_a_refused_edit_messages_are_posted_whole() -> None:
    """The rest of the answer does not grow, because each step would be one more message."""
    async with stage(streaming="off", variant=VARIANTS["edit_window_closed"]) as slack:
        await grows(slack, "One. ", "Two. ", "Three. ", "Four. ")
        assert stands(slack, "One. Two. Three. Four. ")
        assert slack.methods().count("chat.postMessage") == 2
        assert slack.methods().count("chat.update") == 1


async def test_no_word_is_divided() -> None:
    """If the rest would begin in a word, all of the text is posted anew and the old message is deleted."""
    async with stage(streaming="off", variant=VARIANTS["edit_window_closed"]) as slack:
        await grows(slack, "Hel", "lo there.")
        (answer,) = slack.answers()
        assert answer.shown_text == "Hello there."
        assert slack.ledger.removed_ids == slack.ledger.posted_ids[:1] != [answer.ts]


async def test_code_and_tables_go_on_in_the_tail() -> None:
    """Code is opened again in its language, and a table has its head again."""
    async with stage(streaming="off", variant=VARIANTS["edit_window_closed"]) as slack:
        await grows(slack, "```py\nx = 1\n", "y = 2\n```")
        assert slack.texts() == ["```py\nx = 1\n", "```py\ny = 2\n```"]
    async with stage(streaming="off", variant=VARIANTS["edit_window_closed"]) as slack:
        await grows(slack, "| a |\n|---|\n| 1 |\n", "| 2 |\n")
        assert slack.texts()[1] == "| a |\n|---|\n| 2 |\n"


async def test_an_emptied_message_is_posted_anew() -> None:
    """An update that empties the message, although it succeeds, is noticed. No empty message remains."""
    async with stage(variant=replace(VARIANTS["no_blocks"], stream_seconds=0)) as slack:
        await grows(slack, "Hello", " there.", shown=0)
        assert slack.texts() == ["Hello there."]
        assert all(not call.error for call in slack.server.calls.of("chat.delete"))


@pytest.mark.parametrize("stem", ["word ", "слово ", "言葉 ", "😀 "])
async def test_a_stream_cut_in_silence_is_noticed(stem: str) -> None:
    """The stop returns less than was sent. The message then gets all of its text by an update with blocks."""
    text = "".join(f"{stem}{number}. " for number in range(400))
    async with stage(variant=VARIANTS["cuts_early"]) as slack:
        await slack.reply(AnswerSource(text))
        assert stands(slack, text)
        assert "blocks" in slack.server.calls.of("chat.update")[0].args


@pytest.mark.parametrize("error", ["msg_too_long", "msg_blocks_too_long"])
@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
async def test_a_text_that_is_too_long_is_split_again(error: str, method: str) -> None:
    """The text is split into shorter pieces until Slack takes them."""
    text = "".join(f"word{number} " for number in range(800))
    async with stage(streaming="off") as slack:
        slack.server.faults.refuse(method, error, times=2)
        await grows(slack, "word0 ", text.removeprefix("word0 "), shown=method == "chat.update")
        assert stands(slack, text)
        assert len(slack.answers()) > 1


async def test_a_text_that_is_always_too_long_is_given_up() -> None:
    """The splits end, with Slack's error."""
    async with stage(streaming="off") as slack:
        slack.server.faults.refuse("chat.postMessage", "msg_too_long")
        with pytest.raises(Exception, match="msg_too_long"):
            await slack.reply(AnswerSource("word " * 2_000))
        assert slack.methods().count("chat.postMessage") < 8


@pytest.mark.parametrize("appends", [True, False])
async def test_a_stream_that_cannot_be_ended(appends: bool) -> None:  # noqa: FBT001 - a table's column
    """If the stop is refused, the rest is appended; if that is refused too, the rest is posted."""
    async with stage(variant=VARIANTS["user_not_found"]) as slack:
        if not appends:
            slack.server.faults.refuse("chat.appendStream", "user_not_found")
        await grows(slack, "Hello", " there.", shown=1)
        assert slack.texts()[0] == ("Hello there." if appends else "Hello")
        assert stands(slack, "Hello there.")


async def blocks_sent(slack: Stage, *answers: str) -> Sequence[bool]:
    """Post these answers, and return whether each call that was sent had blocks."""
    for answer in answers:
        await slack.reply(AnswerSource(answer))
    return ["blocks" in call.args for call in slack.server.calls.of("chat.postMessage")]


async def test_where_blocks_are_refused_markdown_text_is_sent() -> None:
    """The first refusal is remembered, so that later answers take one call."""
    async with stage(streaming="off", variant=VARIANTS["no_blocks"]) as slack:
        assert await blocks_sent(slack, "One.", "Two.") == [True, False, False]
        assert slack.texts() == ["One.", "Two."]


async def test_one_refused_text_does_not_end_blocks() -> None:
    """Where Slack has taken blocks before, a refusal concerns one text."""
    async with stage(streaming="off") as slack:
        await slack.reply(AnswerSource("One."))
        slack.server.faults.refuse("chat.postMessage", "invalid_blocks", times=1)
        assert await blocks_sent(slack, "Two.", "Three.") == [True, True, False, True]
        assert slack.texts() == ["One.", "Two.", "Three."]


async def test_messages_that_cannot_be_compared_raise_one_alarm(caplog: pytest.LogCaptureFixture) -> None:
    """If Slack returns messages without their text, one answer is posted anew, and the later ones are not."""
    async with stage(variant=VARIANTS["unreadable"]) as slack:
        await slack.reply(AnswerSource("One."))
        assert slack.texts() == ["One."]
        made = len(slack.ledger.posted_ids)
        await slack.reply(AnswerSource("Two."))

        assert slack.texts() == ["One.", "Two."]
        assert len(slack.ledger.posted_ids) == made + 1
        assert [record.msg for record in caplog.records].count("message_not_comparable") == 1


@pytest.mark.parametrize("streaming", ["auto", "off"])
async def test_updates_show_no_edited(streaming: str) -> None:
    """A message that grew by edits, or that went on after its stream, looks like any other."""
    async with stage(streaming=streaming) as slack:
        slack.server.faults.refuse("chat.appendStream", "message_not_in_streaming_state")
        await grows(slack, "Hello", " there,", " Ana.", shown=2)
        assert slack.server.calls.of("chat.update")
        assert [answer.edited for answer in slack.answers()] == [None]


@pytest.mark.parametrize("stem", ["<!channel> &", "<@U0BENOKAFO> слово ", "| a | b |\n", "https://x.y "])
async def test_the_text_beside_blocks_is_harmless(stem: str) -> None:
    """`text` has at most 4,000 bytes, pings nobody and unfurls nothing, in posts and in edits."""
    async with stage(streaming="off") as slack:
        await grows(slack, stem, stem * 200, shown=0)
        await grows(slack, stem, shown=0)
        calls = [*slack.server.calls.of("chat.postMessage"), *slack.server.calls.of("chat.update")]
        assert all(len(call.args["text"].encode()) <= MAX_FALLBACK_BYTES for call in calls)
        assert [message_pings(answer) for answer in slack.answers()] == [[]] * len(slack.answers())
        assert not any(answer.raw_tables or "://" in answer.text for answer in slack.answers())
