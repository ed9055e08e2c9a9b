"""bot.slack.message_content: the words of every kind of message, and the messages that it passes on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import MOST_FORWARDED, Attachment, Forwarded
from bot.slack.message_content import forwarded_messages, is_by_workflow, words
from bot.slack.message_fields import message_text
from bot.slack.outbound.thread_reader import earlier_messages
from tests.support.recorded_messages import (
    ALERT_BLOCKS,
    ALERT_WORDS,
    APP,
    FILE,
    LINK,
    NEW_WORKFLOW,
    SHAPES,
    TS,
    WORKFLOW,
    share,
)
from tests.support.slack_payloads import BOT, message

LATER = "1712345999.000100"
BEN = Forwarded("U2", "Ben Okafor", "the VPN is down", LINK)


def text_of(raw: dict[str, Any]) -> str:
    """Return a message's words as plain text."""
    return message_text({"text": words(raw, BOT)}, BOT)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_words_of_each_kind_of_message(kind: str) -> None:
    """The words are found where Slack has put them."""
    raw, expected = SHAPES[kind]
    assert text_of(raw) == expected


@pytest.mark.parametrize("kind", SHAPES)
def test_a_thread_that_is_read_later_has_the_same_words(kind: str) -> None:
    """The words of a message in a thread's history are those of the live message."""
    raw, expected = SHAPES[kind]
    [earlier] = earlier_messages([{"type": "message", "user": "U1", "ts": TS, **raw}], BOT, LATER)

    assert earlier.text == expected


def test_a_forwarded_message() -> None:
    """A forward has the words, the author, the link and the files of the original, and none of its own words."""
    passed_on = message(text="", attachments=[share(files=[FILE])])
    file = Attachment("F1", "plan.pdf", "application/pdf", 4096)

    assert (passed_on.text, passed_on.attachments) == ("", ())
    assert passed_on.forwarded == (Forwarded("U2", "Ben Okafor", "the VPN is down", LINK, (file,)),)
    assert message(text="look", attachments=[share()]).text == "look"


def test_a_forwarded_alert() -> None:
    """A forwarded post of an app has the words of its blocks. Its author has a name and no person's id."""
    inner = {"message": {"blocks": ALERT_BLOCKS}}
    alert = share(author_id="B7", author_name="watchdog", text="Alert!", message_blocks=[inner])
    [passed_on] = forwarded_messages({"attachments": [alert]}, BOT)

    assert (passed_on.author_id, passed_on.author_name, passed_on.text) == ("", "watchdog", ALERT_WORDS)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "", "message_blocks": [], "fallback": "ben: see"}, "ben: see"),
        ({"text": "", "message_blocks": [], "attachments": [{"text": "CPU at 99%"}]}, "CPU at 99%"),
        ({"text": "ask <@U3> &amp; <@UBOT>", "message_blocks": []}, "ask <@U3> & @attendant"),
    ],
    ids=["fallback alone", "attachment", "mentions"],
)
def test_the_words_of_a_forward(fields: dict[str, Any], expected: str) -> None:
    """They are found where Slack has put them."""
    assert forwarded_messages({"attachments": [share(**fields)]}, BOT)[0].text == expected


def test_a_forward_within_a_forward() -> None:
    """Each message has its own author."""
    inner = share(author_id="U3", author_name="Chidi", text="it burns", message_blocks=[])
    both = forwarded_messages({"attachments": [share(attachments=[inner])]}, BOT)

    assert [(each.author_id, each.text) for each in both] == [("U2", "the VPN is down"), ("U3", "it burns")]


def test_a_forward_calls_nobody() -> None:
    """A mention of the bot within a forward is no mention by the person who passes it on."""
    assert not message(text="look", attachments=[share(text="<@UBOT> reset")]).mentions_bot


def test_an_unfurled_link_is_no_forward() -> None:
    """Slack attaches the message behind a link that somebody writes. That is no edit, and nothing of theirs."""
    unfurled = {"is_msg_unfurl": True, "from_url": LINK, "text": "the VPN is down"}
    assert message(text=f"<{LINK}>", attachments=[unfurled]).forwarded == ()


def test_malformed_forwards() -> None:
    """A field of another type reads as empty. There are never more than MOST_FORWARDED."""
    broken = share(author_id=7, author_name=None, text=[], message_blocks="x", from_url="javascript:x", fallback={})

    assert forwarded_messages({"attachments": [broken]}, BOT) == (Forwarded("", "ben", ""),)
    assert len(forwarded_messages({"attachments": [share()] * 99}, BOT)) == MOST_FORWARDED


@pytest.mark.parametrize("fields", [WORKFLOW, NEW_WORKFLOW])
def test_a_workflow_that_mentions_the_bot(fields: dict[str, Any]) -> None:
    """A mention by a workflow, of either kind, is a message for the bot. It is never a command."""
    asked, command = message(text="<@UBOT> greet her", **fields), message(text="<@UBOT> reset", **fields)

    assert asked.by_workflow
    assert asked.author.id == (fields["user"] or "B8")
    assert (asked.text, command.text) == ("greet her", "reset")


@pytest.mark.parametrize(
    "fields", [APP, {"subtype": "bot_message", "user": None, "bot_id": "B7", "username": "deploys"}]
)
def test_another_app_is_no_workflow(fields: dict[str, Any]) -> None:
    """Apps that talk by themselves are never answered, because they may answer back."""
    assert not is_by_workflow({"text": "<@UBOT> hi", **fields})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "elements"]), inner),
    max_leaves=6,
)
KINDS = [
    "rich_text",
    "section",
    "markdown",
    "table",
    "context",
    "image",
    "rich_text_list",
    "link",
    "user",
    "text",
    "new",
]
BLOCK = st.recursive(
    st.dictionaries(st.sampled_from(["text", "fields", "rows", "url", "user_id", "style"]), JSON, max_size=3),
    lambda inner: st.fixed_dictionaries({"type": st.sampled_from(KINDS), "elements": st.lists(inner, max_size=3)}),
    max_leaves=6,
)
SHARES = st.builds(
    lambda more: {**share(), **more}, st.dictionaries(st.sampled_from(sorted(share())), JSON, max_size=4)
)
LISTS = st.lists(BLOCK | SHARES | JSON, max_size=3) | JSON


@given(blocks=LISTS, attachments=LISTS, text=st.text(max_size=6) | JSON, by=st.sampled_from([{}, APP, WORKFLOW]))
def test_any_content_is_read(blocks: Any, attachments: Any, text: Any, by: dict[str, Any]) -> None:
    """Any JSON in the fields of a message raises nothing, and its content can be stored."""
    raw = {"text": text, "blocks": blocks, "attachments": attachments, **by}
    content = str((text_of(raw), forwarded_messages(raw, BOT)))

    assert "\0" not in content
    assert content.encode()


def test_blocks_within_blocks_have_an_end() -> None:
    """A thousand levels take no more than the deepest that Slack could send."""
    block: dict[str, Any] = {"type": "section", "text": {"type": "plain_text", "text": "x"}}
    for _ in range(900):
        block = {"type": "container", "children": [block]}
    assert words({"blocks": [block], **APP}, BOT) == ""
