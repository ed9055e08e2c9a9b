"""bot.slack.inbound.payloads: what the events tell us, and what people wrote."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import (
    Attachment,
    Author,
    ChannelGone,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ResetRequested,
    StopRequested,
    Thread,
    Uninstalled,
)
from bot.prompt.speakers import mentioned
from bot.slack.identity import BotIdentity
from bot.slack.inbound.payloads import CHANNEL_PARTINGS, read_event
from bot.slack.text.mrkdwn import plain_text
from bot.slack.threads import thread_of_link

BOT = BotIdentity("T1", "Harbour", "https://harbour.slack.com/", "UBOT", "BBOT", "attendant")
TS, ROOT, EDITED = "1712345678.000200", "1712345678.000100", "1712345688.000200"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([TS, "message", "UBOT", "D1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
EVENT_KEYS = [
    "type",
    "subtype",
    "user",
    "channel",
    "channel_type",
    "ts",
    "thread_ts",
    "text",
    "files",
    "bot_id",
    "team",
    "deleted_ts",
    "message",
    "previous_message",
    "edited",
    "event_ts",
    "tokens",
]
KINDS = [
    {"type": "message"},
    {"type": "message", "subtype": "message_deleted"},
    {"type": "message", "subtype": "message_changed"},
    {"type": "agent_session_stopped"},
    {"type": "app_uninstalled"},
    {"type": "tokens_revoked"},
    {"type": "channel_deleted"},
    {"type": "member_left_channel"},
]


def payload(**event: Any) -> dict[str, Any]:
    """An Events API payload of a message in a channel, with these fields set otherwise."""
    said = {"type": "message", "user": "U1", "team": "T1", "channel": "C1", "channel_type": "channel", "ts": TS}
    return {
        "type": "event_callback",
        "team_id": "T1",
        "authorizations": [{"team_id": "T1"}],
        "event": {**said, "text": "hello", **event},
    }


def message(**event: Any) -> MessageReceived:
    """The message that such a payload is read as."""
    found = read_event(payload(**event), BOT)
    assert isinstance(found, MessageReceived)
    return found


def test_a_message_in_a_channel() -> None:
    """A channel's message is its own thread's first, and addresses nobody."""
    assert message(client_msg_id="m1") == MessageReceived(
        Thread("slack", "T1", "C1", TS), TS, Author("U1", "T1"), "hello", client_id="m1"
    )


def test_a_reply_belongs_to_its_thread() -> None:
    """A reply's thread is named by the thread's first message."""
    assert message(thread_ts=ROOT).thread.root == ROOT


@pytest.mark.parametrize(
    ("event", "direct"),
    [
        ({"channel": "D1", "channel_type": "im"}, True),
        ({"channel": "D1", "channel_type": None}, True),
        ({"channel": "G1", "channel_type": "mpim"}, False),
        ({"channel": "G1", "channel_type": "group"}, False),
    ],
)
def test_direct_is_one_person_alone(event: dict[str, Any], direct: bool) -> None:  # noqa: FBT001 - a table's column
    """Only a conversation with one person is direct; a group message is like a channel."""
    assert message(**event).thread.direct is direct


@pytest.mark.parametrize("subtype", [None, "file_share", "thread_broadcast", "me_message"])
def test_what_people_write_is_read(subtype: str | None) -> None:
    """The subtypes in which people write are messages."""
    assert message(subtype=subtype).text == "hello"


@pytest.mark.parametrize(
    "event",
    [
        {"subtype": "message_changed"},
        {"subtype": "message_deleted"},
        {"subtype": "channel_join"},
        {"subtype": "channel_topic"},
        {"subtype": "tombstone"},
        {"subtype": "bot_message"},
        {"subtype": "assistant_app_thread"},
        {"bot_id": "B2"},
        {"bot_profile": {"id": "B2"}},
        {"user": "USLACKBOT"},
        {"user": "UBOT"},
        {"hidden": True},
        {"type": "reaction_added"},
        {"channel_type": "app_home"},
        {"ts": None},
        {"ts": "now"},
        {"user": None},
        {"channel": ""},
        {"thread_ts": "then"},
    ],
)
def test_what_is_not_for_us(event: dict[str, Any]) -> None:
    """Edits, joins, bots' messages, the bot's own, and whatever is malformed are none of ours."""
    assert read_event(payload(**event), BOT) is None


@pytest.mark.parametrize("text", ["!stop", "<@UBOT> stop", "<@UBOT>: Stop!"])
def test_stop_by_text(text: str) -> None:
    """`!stop`, or a mention with the word alone, asks for the running answer to end; the message is named."""
    read = read_event(payload(text=text, thread_ts=ROOT), BOT)

    mentions = text.startswith("<")
    assert read == StopRequested(Thread("slack", "T1", "C1", ROOT), Author("U1", "T1"), TS, mentions_bot=mentions)


def test_stop_by_slacks_button() -> None:
    """Slack's own Stop button names the thread and the person, and when it was pressed, and no message."""
    event = {"type": "agent_session_stopped", "channel": "D1", "thread_ts": ROOT, "user": "U1", "event_ts": TS}
    read = read_event({"team_id": "T1", "event": {**event, "streaming_message_ts": [TS]}}, BOT)

    place = Thread("slack", "T1", "D1", ROOT, direct=True)
    assert read == StopRequested(place, Author("U1", "T1"), asked_at=TS)


def deleted(before: dict[str, Any], **event: Any) -> Any:
    """What the deletion of a message, which was like this, is read as."""
    return read_event(payload(subtype="message_deleted", deleted_ts=TS, previous_message=before, **event), BOT)


def test_a_deleted_message() -> None:
    """A deleted message belongs to the thread that it was a reply in, or else to its own."""
    reply, alone = deleted({"user": "U1", "ts": TS, "thread_ts": ROOT}), deleted({"user": "U1", "ts": TS})

    assert (reply.thread, reply.message_id) == (Thread("slack", "T1", "C1", ROOT), TS)
    assert alone.thread == Thread("slack", "T1", "C1", TS)
    assert deleted({}) == MessageDeleted(Thread("slack", "T1", "C1", TS), TS)


@pytest.mark.parametrize(
    ("text", "was"), [("<@UBOT> help", message(text="<@UBOT> help")), ("<@UBOT> reset", None)], ids=["asked", "command"]
)
def test_a_deleted_message_is_told_as_it_was(text: str, was: MessageReceived | None) -> None:
    """So that it can be known whether it would be answered, should it come only now; a command is none."""
    assert deleted({"user": "U1", "team": "T1", "ts": TS, "text": text}).message == was


def test_a_deleted_message_that_has_replies() -> None:
    """A thread's first message becomes a tombstone when it is deleted, which Slack tells as a change."""
    tombstone = {"subtype": "tombstone", "user": "USLACKBOT", "ts": ROOT, "thread_ts": ROOT, "hidden": True}
    before = {"user": "U1", "ts": ROOT, "thread_ts": ROOT}
    changed = payload(subtype="message_changed", hidden=True, message=tombstone, previous_message=before)

    read = read_event(changed, BOT)
    assert isinstance(read, MessageDeleted)
    assert (read.thread, read.message_id) == (Thread("slack", "T1", "C1", ROOT), ROOT)


def edited(before: dict[str, Any], after: dict[str, Any], **event: Any) -> MessageEdited | None:
    """What the change of a message, from this to that, is read as."""
    said = {"user": "U1", "team": "T1", "ts": TS}
    change = {"subtype": "message_changed", "hidden": True, "event_ts": EDITED, "user": None, "ts": EDITED}
    change |= {"message": said | after, "previous_message": said | before}
    read = read_event(payload(**(change | event)), BOT)
    assert read is None or isinstance(read, MessageEdited)
    return read


def test_an_edited_message() -> None:
    """It is read like any other, with the times of its sending and of its edit."""
    read = edited({"text": "helo"}, {"text": "hello", "thread_ts": ROOT})

    moment = datetime(2024, 4, 5, 19, 34, 38, 200, tzinfo=UTC)
    assert read == MessageEdited(message(thread_ts=ROOT), moment, moment + timedelta(seconds=10))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("help", "<@UBOT> help", (False, True)),
        ("<@UBOT> helo", "<@UBOT> help", (True, False)),
        ("<@UBOT> help", "help", (True, False)),
        ("help", "help me", (False, False)),
        ("reset", "<@UBOT> reset", (False, False)),
    ],
    ids=["called", "called before", "called no more", "not called", "a command"],
)
def test_an_edit_may_call_the_bot(before: str, after: str, told: tuple[bool, bool]) -> None:
    """Whether it was mentioned at first, and whether the edit is what mentions it; commands are not given so."""
    read = edited({"text": before}, {"text": after})

    assert read is not None
    assert (read.message.mentions_bot, read.calls_bot) == told


@pytest.mark.parametrize("text", ["!stop", "!reset"])
def test_an_edit_commands_nothing(text: str) -> None:
    """What is written over a question is its text."""
    read = edited({"text": "hello"}, {"text": text})

    assert read is not None
    assert read.message.text == text


def test_an_edit_without_what_was_before() -> None:
    """Slack may leave it out; then it is not known that the edit is what called the bot."""
    read = edited({}, {"text": "<@UBOT> help"}, previous_message=None)

    assert read is not None
    assert (read.message.mentions_bot, read.calls_bot) == (True, False)


@pytest.mark.parametrize(
    ("after", "event"),
    [
        ({"text": "hello", "attachments": [{"from_url": "https://x.y"}]}, {}),
        ({"text": "other", "bot_id": "BBOT", "user": None}, {}),
        ({"text": "other", "user": "UBOT"}, {}),
        ({"text": "other"}, {"event_ts": None, "ts": "then"}),
        ({"text": "other", "subtype": "channel_topic"}, {}),
    ],
    ids=["unfurled", "our own without a user", "our own", "malformed", "of nobody"],
)
def test_changes_that_are_no_edits(after: dict[str, Any], event: dict[str, Any]) -> None:
    """Slack changes messages as well, to unfurl a link, and we do while we answer; such changes tell us nothing."""
    assert edited({"text": "hello"}, after, **event) is None


def test_the_mention_of_an_edited_message_is_told_by_its_change() -> None:
    """Slack repeats app_mention for an edit, without what it was before: that is no second message."""
    assert read_event(payload(type="app_mention", text="<@UBOT> hi", edited={"user": "U1", "ts": TS}), BOT) is None


def test_a_file_that_was_deleted_is_no_attachment() -> None:
    """Slack leaves a tombstone of it in the message."""
    assert message(files=[{"id": "F1", "mode": "tombstone"}]).attachments == ()


@pytest.mark.parametrize("kind", CHANNEL_PARTINGS)
def test_a_channel_is_gone(kind: str) -> None:
    """However the bot and a channel part, nothing in it is to be answered any more."""
    event = {"type": kind, "channel": "C1", "user": "UBOT", "event_ts": TS}

    assert read_event({"team_id": "T1", "event": event}, BOT) == ChannelGone("slack", "T1", "C1")


@pytest.mark.parametrize("event", [{"user": "U1", "channel": "C1"}, {"user": "UBOT"}, {"user": "UBOT", "channel": {}}])
def test_a_channel_that_somebody_else_left_is_not_gone(event: dict[str, Any]) -> None:
    """People come and go; and what names no channel is none."""
    assert read_event({"team_id": "T1", "event": {"type": "member_left_channel", **event}}, BOT) is None


@pytest.mark.parametrize("before", [{"user": "UBOT"}, {"bot_id": "BBOT"}, {"bot_id": "B2"}])
def test_what_bots_said_is_deleted(before: dict[str, Any]) -> None:
    """Our own messages and other bots' are read by their ids alone: they may be what an answer was, or background."""
    read = deleted({"ts": TS, "thread_ts": ROOT, "text": "<@UBOT> help", **before})

    assert read == MessageDeleted(Thread("slack", "T1", "C1", ROOT), TS)


def test_what_another_bot_says_now() -> None:
    """An alert that has no text of its own says what its attachments say; nobody asks anything by it."""
    before, after = ({"attachments": [{"fallback": f"printer {text}"}]} for text in ("on fire", "cold"))
    read = edited({"user": None, "bot_id": "B2", **before}, {"user": None, "bot_id": "B2", "thread_ts": ROOT, **after})

    assert read is not None
    assert (read.by_bot, read.calls_bot, read.message.text) == (True, False, "printer cold")
    assert (read.message.thread.root, read.message.author.id) == (ROOT, "B2")
    assert edited({"bot_id": "B2", **after}, {"bot_id": "B2", **after, "blocks": [{}]}) is None


@pytest.mark.parametrize(
    "event", [{"type": "app_uninstalled"}, {"type": "tokens_revoked", "tokens": {"bot": ["UBOT"]}}]
)
def test_the_app_was_removed(event: dict[str, Any]) -> None:
    """Without the app, or without the bot's token, nothing in the workspace is to be answered."""
    assert read_event({"team_id": "T1", "event": event}, BOT) == Uninstalled("slack", "T1")


@pytest.mark.parametrize("tokens", [{"oauth": ["U1"]}, {"oauth": ["U1"], "bot": []}, None])
def test_a_persons_token_is_none_of_ours(tokens: Any) -> None:
    """A revoked token of a person's changes nothing."""
    assert read_event({"team_id": "T1", "event": {"type": "tokens_revoked", "tokens": tokens}}, BOT) is None


@given(JSON)
def test_any_body_is_read(event: Any) -> None:
    """No event, whatever JSON it is, raises."""
    assert read_event({"event": event, "team_id": "T1"}, BOT) is None


@given(st.sampled_from([{}, *KINDS]), st.dictionaries(st.sampled_from(EVENT_KEYS), JSON), JSON)
def test_any_event_is_read(kind: dict[str, Any], event: dict[str, Any], authorizations: Any) -> None:
    """No event's fields, whatever JSON they are, raise; and what is read can be stored."""
    found = read_event({**payload(**event | kind), "authorizations": authorizations}, BOT)
    assert found is None or "\0" not in str(found)


def test_a_mention() -> None:
    """The bot's own mention is told apart, and is not part of what is said, at the start or at the end."""
    assert [
        (said.text, said.mentions_bot) for said in (message(text="<@UBOT> hi"), message(text="hi <@UBOT|bot> "))
    ] == [
        ("hi", True),
        ("hi", True),
    ]


def test_both_events_of_a_mention_are_the_same() -> None:
    """app_mention and message, which Slack both sends, are read as the same message."""
    assert message(type="app_mention", channel_type=None, text="<@UBOT> hi") == message(text="<@UBOT> hi")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<@UBOT> <@UBOT|bot>, : hi <@UBOT>\n<@UBOT> ", "hi"),
        ("<@UBOT>: <@UBOT> hi", "@attendant hi"),
        (" <@UBOT> <@UBOT>", ""),
        ("hi, <@U2> <@UBOT>", "hi, <@U2>"),
    ],
)
def test_several_mentions_of_the_bot(text: str, said: str) -> None:
    """However often the bot is mentioned before and after what is said, no mention of it is left there."""
    assert message(text=text).text == said


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [" ", "\n\t", "<", "<@", "<@UBOT", "<@UBOT>", "<@UBOT> ", " <@UBOT|", "<!date^", "<a|", "hi, ", "&amp;", "|", "x"],
)
@pytest.mark.parametrize("around", ["{}", "hi{}.", "<@UBOT>{}hi", "hey <@{}", "<https://x.y|{}", "{}<@UBOT>"])
def test_reading_takes_no_longer_than_the_text_is_long(piece: str, around: str) -> None:
    """A text of 300,000 characters, whatever it repeats, is read at once: Slack waits for the acknowledgement."""
    text = around.format(piece * (300_000 // len(piece)))
    said = message(text=text)

    assert len(mentioned(text) + mentioned(said.text)) <= 2 * len(text)


def test_a_mention_amid_a_sentence_stays() -> None:
    """What is said with the bot's name in it keeps the name, as it is read; others stay as ids."""
    assert message(text="can <@UBOT> help <@U2>?").text == "can @attendant help <@U2>?"


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("<@U2> can you?", True),
        ("hey <@U2|ben> can you?", True),
        ("<!subteam^S1|@it team> help", True),
        ("<!here> lunch", True),
        ("<@UBOT> ask <@U2>", False),
        ("ask <@U2>", False),
        ("<!date^1^{date}|today> it broke", False),
        ("&lt;@U2&gt; is how it looks", False),
    ],
)
def test_who_is_addressed(text: str, other: bool) -> None:  # noqa: FBT001 - a table's column
    """A message that opens with the name of somebody else, or of a group, is theirs."""
    assert message(text=text).addresses_other is other


@pytest.mark.parametrize("text", ["<@UBOT> reset", "!reset", "<@UBOT> !Reset.", "<@UBOT|bot>: reset"])
def test_reset_by_text(text: str) -> None:
    """`@bot reset` and `!reset` ask for a reset of the thread."""
    found = read_event(payload(text=text, thread_ts=ROOT), BOT)
    assert isinstance(found, ResetRequested)
    assert found.thread.root == ROOT


def test_shared_channels() -> None:
    """In a channel shared with another workspace the thread is ours, and the author is of theirs."""
    body = payload(user="U9", team="T9", user_team="T9")
    found = read_event({**body, "team_id": "T9"}, BOT)

    assert isinstance(found, MessageReceived)
    assert (found.thread.workspace, found.author) == ("T1", Author("U9", "T9"))


def test_files_are_told_of() -> None:
    """A file sent along is its metadata; what is no file is left out."""
    files = [{"id": "F1", "name": "a.png", "mimetype": "image/png", "size": 12}, {"id": "F2"}, "x", {}]
    assert message(files=files, text="").attachments == (
        Attachment("F1", "a.png", "image/png", 12),
        Attachment("F2", "file", "application/octet-stream", 0),
    )


def test_text_that_cannot_be_stored_is_mended() -> None:
    """NUL characters and halves of surrogate pairs, which databases refuse, do not come through."""
    assert message(text="a\0b\ud800c").text == "ab?c"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt;", "&lt;"),
        ("<https://x.y/a?b=1&amp;c=2>", "https://x.y/a?b=1&c=2"),
        ("<https://x.y|the page>", "the page (https://x.y)"),
        ("<http://x.y|x.y>", "http://x.y"),
        ("<mailto:a@b.c|a@b.c>", "a@b.c"),
        ("<#C2|general> and <#C3>", "#general and #some-channel"),
        ("<!subteam^S1|@it> <!subteam^S2>", "@it @subteam"),
        ("<!channel> <!here|here>", "@channel @here"),
        ("<!date^1^{date}|today>", "today"),
        ("<@U2|ben>", "<@U2>"),
        ("a <b> c", "a <b> c"),
    ],
)
def test_plain_text(text: str, plain: str) -> None:
    """Slack's escapes become what the person saw; people stay as ids."""
    assert plain_text(text) == plain


@pytest.mark.parametrize(
    ("link", "root"),
    [
        ("https://harbour.slack.com/archives/C1/p1712345678000200", TS),
        ("<https://harbour.slack.com/archives/C1/p1712345678000200?thread_ts=1712345678.000100&cid=C1>", ROOT),
    ],
)
def test_a_link_leads_to_its_thread(link: str, root: str) -> None:
    """A message's link names the thread that the message is in."""
    assert thread_of_link(link, "T1") == Thread("slack", "T1", "C1", root)


@pytest.mark.parametrize(
    "link",
    ["", "all", "https://x.y", "https://[", "https://x.y/archives/C1/p17", "ftp://x.y/archives/C1/p1712345678000200"],
)
def test_what_is_no_link_leads_nowhere(link: str) -> None:
    """Other words and other addresses are no message's link."""
    assert thread_of_link(link, "T1") is None


@given(st.text())
def test_any_words_may_be_no_link(words: str) -> None:
    """No words, whatever they are, raise when a link is looked for."""
    assert thread_of_link(f"https://{words}", "T1") is None
