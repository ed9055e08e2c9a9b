"""bot.slack.outbound.thread_reader: the conversion of messages, and the pages of a thread."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import Attachment
from bot.prompt.thread_context import UNREADABLE, AuthorKind, EarlierMessage
from bot.slack.identity import BotIdentity
from bot.slack.outbound.thread_reader import earlier_messages
from tests.support.slack_inbound_stage import logged
from tests.support.slack_stage import Stage, break_method, stage

BOT = BotIdentity("T1", "Harbour", "https://harbour.slack.com/", "UBOT", "BBOT", "attendant")
TS, BEFORE = "1712345678.000200", "1712345678.000300"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([TS, "UBOT", "bot_message"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["ts", "user", "bot_id", "bot_profile", "text", "subtype", "files", "attachments", "username", "hidden"]
LATER = "9999999999.000000"


def convert(**message: Any) -> list[EarlierMessage]:
    """Convert a message with these fields, unless it is left out."""
    return earlier_messages([{"ts": TS, "user": "U1", "text": "hi", **message}], BOT, BEFORE)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JSON) | JSON, max_size=3))
def test_any_json_is_converted(messages: list[Any]) -> None:
    """No JSON raises an error, and each converted message has a sortable id."""
    assert all(message.message_id < BEFORE for message in earlier_messages(messages, BOT, BEFORE))


def test_a_persons_message() -> None:
    """The text is plain, a mention of the bot is its name, and the files are listed."""
    file = {"id": "F1", "name": "a.png", "mimetype": "image/png", "size": 9}
    converted = convert(text="1 &lt; 2, <@UBOT>, <@U2|ben> in <#C2>", subtype="file_share", files=[file])

    text = "1 < 2, @attendant, <@U2> in #some-channel"
    assert converted == [EarlierMessage(TS, "U1", text, (Attachment("F1", "a.png", "image/png", 9),))]


@pytest.mark.parametrize(
    ("message", "author", "by", "name"),
    [
        ({"user": "UBOT", "bot_id": "BBOT"}, "UBOT", AuthorKind.SELF, ""),
        ({"user": None, "bot_id": "BBOT", "subtype": "bot_message"}, "BBOT", AuthorKind.SELF, ""),
        ({"user": None, "bot_id": "B1", "subtype": "bot_message", "username": "jobs"}, "B1", AuthorKind.BOT, "jobs"),
        ({"user": "U8", "bot_id": "B8", "bot_profile": {"name": "alerts"}}, "U8", AuthorKind.BOT, "alerts"),
        ({"user": "U8", "bot_id": "B8", "bot_profile": None}, "U8", AuthorKind.BOT, ""),
        ({"user": "U1"}, "U1", AuthorKind.PERSON, ""),
    ],
)
def test_authors(message: dict[str, Any], author: str, by: AuthorKind, name: str) -> None:
    """A message is by this bot, by another bot with a name, or by a person."""
    assert convert(**message) == [EarlierMessage(TS, author, "hi", by=by, name=name)]


def test_an_unknown_bot_id_matches_no_author() -> None:
    """If the bot's own bot_id is unknown, a message without bot_id is still by a person."""
    bot = BotIdentity("T1", "", "", "UBOT", "", "attendant")

    assert [message.by for message in earlier_messages([{"ts": TS, "user": "U1", "text": "hi"}], bot, BEFORE)] == [
        AuthorKind.PERSON
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"subtype": "channel_join"},
        {"subtype": "tombstone"},
        {"hidden": True},
        {"is_ephemeral": True},
        {"ts": BEFORE},
        {"ts": "1712345678.000400"},
        {"ts": "soon"},
        {"ts": None},
    ],
)
def test_messages_that_are_left_out(message: dict[str, Any]) -> None:
    """Joins, tombstones, hidden and ephemeral messages, the question and later messages are left out."""
    assert convert(**message) == []


def test_an_alert_without_text() -> None:
    """The text of an alert is that of its legacy attachments."""
    attachments = [{"fallback": "printer 3 &amp; 4"}, {"fallback": None}, "x", {"fallback": "on fire"}]

    assert [message.text for message in convert(text="", attachments=attachments)] == ["printer 3 & 4\non fire"]


def test_a_message_on_two_pages_is_converted_once() -> None:
    """Slack may repeat the first message of a thread on each page."""
    page = {"ts": TS, "user": "U1", "text": "hi"}

    assert len(earlier_messages([page, page], BOT, BEFORE)) == 1


def test_the_bots_own_words_stand_in_blocks() -> None:
    """The text of an answer is read from its markdown block, because the text beside it is cut."""
    blocks = [{"type": "markdown", "text": "| a |\n|---|\n| **whole** |"}]
    message = {"ts": TS, "user": BOT.user_id, "text": "a wh…", "blocks": blocks}

    assert [read.text for read in earlier_messages([message], BOT, BEFORE)] == ["| a |\n|---|\n| **whole** |"]


def post_replies(slack: Stage, count: int) -> None:
    """Post that many replies in the thread."""
    for number in range(count):
        slack.workspace.post(slack.person, slack.channel, str(number), slack.root)


async def test_a_thread_is_read_up_to_the_question() -> None:
    """One call returns the messages before the question."""
    async with stage() as slack:
        for text in ("one", "two", "three"):
            last = slack.workspace.post(slack.person, slack.channel, text, slack.root)
        context = await slack.adapter.earlier(slack.thread, last.ts)

        assert [message.text for message in context.messages] == ["help", "one", "two"]
        assert context.complete
        assert slack.methods() == ["conversations.replies"]


async def test_all_pages_are_read() -> None:
    """Slack returns a thousand messages a page, the oldest first. The next pages are read as well."""
    async with stage() as slack:
        post_replies(slack, 2_500)
        context = await slack.adapter.earlier(slack.thread, LATER)

        assert [message.text for message in context.messages] == ["help", *map(str, range(2_500))]
        assert context.complete
        assert slack.methods() == ["conversations.replies"] * 3


@pytest.mark.parametrize("trouble", ["busy", "missing_scope", "slow"])
async def test_missing_pages(trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    """If a page fails, the context holds the earlier pages, and is marked as incomplete."""
    async with stage() as slack:
        post_replies(slack, 1_500)
        first = slack.server.faults.hold("conversations.replies", after=True)
        reading = asyncio.create_task(slack.adapter.earlier(slack.thread, LATER))
        await slack.workspace.until(lambda: first.waiting == 1)
        break_method(slack, trouble, "conversations.replies")
        first.release()
        context = await reading

        assert (len(context.messages), context.complete) == (1_000, False)
        assert [line["pages"] for line in logged(caplog, "slack_thread_not_read")] == [1]


async def test_pages_beyond_the_fifth_are_not_read() -> None:
    """The context of a very long thread holds five pages, and is marked as incomplete."""
    async with stage() as slack:
        post_replies(slack, 5_000)
        context = await slack.adapter.earlier(slack.thread, LATER)

        assert (len(context.messages), context.complete) == (5_000, False)


@pytest.mark.parametrize("trouble", ["missing_scope", "not_in_channel", "thread_not_found", "busy", "slow", "broken"])
async def test_an_unreadable_thread(trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    """If the first page fails, the context is unreadable, and the failure is logged."""
    async with stage() as slack:
        break_method(slack, trouble, "conversations.replies")

        assert await slack.adapter.earlier(slack.thread, LATER) == UNREADABLE
        assert [line["pages"] for line in logged(caplog, "slack_thread_not_read")] == [0]


async def test_a_short_retry_after_is_awaited() -> None:
    """The thread is read after a 429 with a Retry-After of one second."""
    async with stage() as slack:
        slack.server.faults.rate_limit("conversations.replies", retry_after_s=1)
        context = await slack.adapter.earlier(slack.thread, LATER)

        assert [message.text for message in context.messages] == ["help"]
