"""bot.slack.outbound.thread_reader: what Slack's page of a thread tells of what was said before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import Attachment
from bot.prompt.thread_context import By, Earlier
from bot.slack.identity import BotIdentity
from bot.slack.outbound.thread_reader import earlier

BOT = BotIdentity("T1", "Harbour", "https://harbour.slack.com/", "UBOT", "BBOT", "attendant")
TS, BEFORE = "1712345678.000200", "1712345678.000300"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([TS, "UBOT", "bot_message"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["ts", "user", "bot_id", "bot_profile", "text", "subtype", "files", "attachments", "username", "hidden"]


def read(**message: Any) -> list[Earlier]:
    """What such a message is read as, if it counts."""
    return earlier([{"ts": TS, "user": "U1", "text": "hi", **message}], BOT, BEFORE)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JSON) | JSON, max_size=3))
def test_anything_is_read(messages: list[Any]) -> None:
    """No message, whatever JSON it is, raises; what is read has an id by which it can be ordered."""
    assert all(message.message_id < BEFORE for message in earlier(messages, BOT, BEFORE))


def test_a_persons_message() -> None:
    """Its text is plain, with the bot's own name where it is mentioned; files are told of."""
    file = {"id": "F1", "name": "a.png", "mimetype": "image/png", "size": 9}
    found = read(text="1 &lt; 2, <@UBOT>, <@U2|ben> in <#C2>", subtype="file_share", files=[file])

    text = "1 < 2, @attendant, <@U2> in #some-channel"
    assert found == [Earlier(TS, "U1", text, (Attachment("F1", "a.png", "image/png", 9),))]


@pytest.mark.parametrize(
    ("message", "author", "by", "name"),
    [
        ({"user": "UBOT", "bot_id": "BBOT"}, "UBOT", By.SELF, ""),
        ({"user": None, "bot_id": "BBOT", "subtype": "bot_message"}, "BBOT", By.SELF, ""),
        ({"user": None, "bot_id": "B1", "subtype": "bot_message", "username": "deploys"}, "B1", By.BOT, "deploys"),
        ({"user": "U8", "bot_id": "B8", "bot_profile": {"name": "alerts"}}, "U8", By.BOT, "alerts"),
        ({"user": "U8", "bot_id": "B8", "bot_profile": None}, "U8", By.BOT, ""),
        ({"user": "U1"}, "U1", By.PERSON, ""),
    ],
)
def test_whose_a_message_is(message: dict[str, Any], author: str, by: By, name: str) -> None:
    """The bot's own, another bot's with its name, or a person's."""
    assert read(**message) == [Earlier(TS, author, "hi", by=by, name=name)]


def test_nobody_is_the_bot_where_its_id_is_not_known() -> None:
    """Slack may not tell the bot's own bot_id; then people, who have none, are still people."""
    bot = BotIdentity("T1", "", "", "UBOT", "", "attendant")

    assert [message.by for message in earlier([{"ts": TS, "user": "U1", "text": "hi"}], bot, BEFORE)] == [By.PERSON]


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
def test_what_does_not_count(message: dict[str, Any]) -> None:
    """Joins, what was deleted, what not everybody saw, the question itself and what came after it."""
    assert read(**message) == []


def test_an_alert_without_text_of_its_own() -> None:
    """What it says in older attachments is what it says."""
    cards = [{"fallback": "printer 3 &amp; 4"}, {"fallback": None}, "x", {"fallback": "on fire"}]

    assert [message.text for message in read(text="", attachments=cards)] == ["printer 3 & 4\non fire"]


def test_a_message_on_two_pages_counts_once() -> None:
    """Slack may repeat a thread's first message on each of its pages."""
    page = {"ts": TS, "user": "U1", "text": "hi"}

    assert len(earlier([page, page], BOT, BEFORE)) == 1
