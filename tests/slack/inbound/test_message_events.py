"""bot.slack.inbound.message_events: the translation of message and app_mention events."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.domain.events import (
    Attachment,
    Author,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ResetRequested,
    StopRequested,
    Thread,
)
from bot.prompt.speakers import mentioned
from bot.slack.inbound.events_api import read_event
from tests.support.slack_payloads import BOT, EDITED, ROOT, TS, message, payload


def test_a_message_in_a_channel() -> None:
    """A top-level message is the root of its own thread, and addresses nobody."""
    assert message(client_msg_id="m1") == MessageReceived(
        Thread("slack", "T1", "C1", TS), TS, Author("U1", "T1"), "hello", client_id="m1"
    )


def test_a_reply_belongs_to_its_thread() -> None:
    """The root of a reply's thread is the `thread_ts`."""
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
def test_only_an_im_is_direct(event: dict[str, Any], direct: bool) -> None:  # noqa: FBT001 - a table's column
    """A direct message is with one person. A group direct message is like a channel."""
    assert message(**event).thread.direct is direct


@pytest.mark.parametrize("subtype", [None, "file_share", "thread_broadcast", "me_message"])
def test_subtypes_of_peoples_messages(subtype: str | None) -> None:
    """Each subtype in which people write is translated to a message."""
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
def test_ignored_messages(event: dict[str, Any]) -> None:
    """Incomplete edits, joins, messages by bots and by this bot, and malformed events are ignored."""
    assert read_event(payload(**event), BOT) is None


@pytest.mark.parametrize("text", ["!stop", "<@UBOT> stop", "<@UBOT>: Stop!"])
def test_stop_by_text(text: str) -> None:
    """`!stop`, or a mention with `stop` alone, requests a stop."""
    translated = read_event(payload(text=text, thread_ts=ROOT), BOT)

    mentions = text.startswith("<")
    assert translated == StopRequested(Thread("slack", "T1", "C1", ROOT), Author("U1", "T1"), TS, mentions_bot=mentions)


def deleted(before: dict[str, Any], **event: Any) -> Any:
    """Translate the deletion of a message with these fields."""
    return read_event(payload(subtype="message_deleted", deleted_ts=TS, previous_message=before, **event), BOT)


def test_a_deleted_message() -> None:
    """A deleted message belongs to the thread in which it was a reply, else to its own."""
    reply, alone = deleted({"user": "U1", "ts": TS, "thread_ts": ROOT}), deleted({"user": "U1", "ts": TS})

    assert (reply.thread, reply.message_id) == (Thread("slack", "T1", "C1", ROOT), TS)
    assert alone.thread == Thread("slack", "T1", "C1", TS)
    assert deleted({}) == MessageDeleted(Thread("slack", "T1", "C1", TS), TS)


@pytest.mark.parametrize(
    ("text", "was"), [("<@UBOT> help", message(text="<@UBOT> help")), ("<@UBOT> reset", None)], ids=["asked", "command"]
)
def test_a_deletion_holds_the_previous_message(text: str, was: MessageReceived | None) -> None:
    """The event holds the message as it was before. A command by text is left out."""
    assert deleted({"user": "U1", "team": "T1", "ts": TS, "text": text}).message == was


def test_a_deleted_message_that_has_replies() -> None:
    """Slack changes a deleted message that has replies into a tombstone. That counts as a deletion."""
    tombstone = {"subtype": "tombstone", "user": "USLACKBOT", "ts": ROOT, "thread_ts": ROOT, "hidden": True}
    before = {"user": "U1", "ts": ROOT, "thread_ts": ROOT}
    changed = payload(subtype="message_changed", hidden=True, message=tombstone, previous_message=before)

    translated = read_event(changed, BOT)
    assert isinstance(translated, MessageDeleted)
    assert (translated.thread, translated.message_id) == (Thread("slack", "T1", "C1", ROOT), ROOT)


def edited(before: dict[str, Any], after: dict[str, Any], **event: Any) -> MessageEdited | None:
    """Translate the change of a message from `before` to `after`."""
    message_fields = {"user": "U1", "team": "T1", "ts": TS}
    change = {"subtype": "message_changed", "hidden": True, "event_ts": EDITED, "user": None, "ts": EDITED}
    change |= {"message": message_fields | after, "previous_message": message_fields | before}
    translated = read_event(payload(**(change | event)), BOT)
    assert translated is None or isinstance(translated, MessageEdited)
    return translated


def test_an_edited_message() -> None:
    """An edit holds the new message, and the times of sending and of editing."""
    translated = edited({"text": "helo"}, {"text": "hello", "thread_ts": ROOT})

    sent_at = datetime(2024, 4, 5, 19, 34, 38, 200, tzinfo=UTC)
    assert translated == MessageEdited(message(thread_ts=ROOT), sent_at, sent_at + timedelta(seconds=10))


@pytest.mark.parametrize(
    ("before", "after", "mentions"),
    [
        ("help", "<@UBOT> help", (False, True)),
        ("<@UBOT> helo", "<@UBOT> help", (True, False)),
        ("<@UBOT> help", "help", (True, False)),
        ("help", "help me", (False, False)),
        ("reset", "<@UBOT> reset", (False, False)),
    ],
    ids=["mentioned", "mentioned before", "mentioned no more", "not mentioned", "a command"],
)
def test_an_edit_that_adds_a_mention_is_answered(before: str, after: str, mentions: tuple[bool, bool]) -> None:
    """An edit reports whether the bot was mentioned before, and whether the edit adds the mention."""
    translated = edited({"text": before}, {"text": after})

    assert translated is not None
    assert (translated.message.mentions_bot, translated.calls_bot) == mentions


@pytest.mark.parametrize("text", ["!stop", "!reset"])
def test_an_edit_is_no_command(text: str) -> None:
    """A command that replaces a question is the new text of the question."""
    translated = edited({"text": "hello"}, {"text": text})

    assert translated is not None
    assert translated.message.text == text


def test_an_edit_without_the_previous_message() -> None:
    """Without the previous message, a mention counts as made before the edit."""
    translated = edited({}, {"text": "<@UBOT> help"}, previous_message=None)

    assert translated is not None
    assert (translated.message.mentions_bot, translated.calls_bot) == (True, False)


@pytest.mark.parametrize(
    ("after", "event"),
    [
        ({"text": "hello", "attachments": [{"from_url": "https://x.y"}]}, {}),
        ({"text": "other", "bot_id": "BBOT", "user": None}, {}),
        ({"text": "other", "user": "UBOT"}, {}),
        ({"text": "other"}, {"event_ts": None, "ts": "then"}),
        ({"text": "other", "subtype": "channel_topic"}, {}),
    ],
    ids=["unfurled", "this bot without a user", "this bot", "malformed", "no person"],
)
def test_changes_that_are_no_edits(after: dict[str, Any], event: dict[str, Any]) -> None:
    """A change by an unfurled link, by this bot or by no person is ignored. So is a malformed one."""
    assert edited({"text": "hello"}, after, **event) is None


def test_the_app_mention_of_an_edit_is_ignored() -> None:
    """Slack sends app_mention again after an edit. It is not a second message."""
    assert read_event(payload(type="app_mention", text="<@UBOT> hi", edited={"user": "U1", "ts": TS}), BOT) is None


def test_a_deleted_file_is_no_attachment() -> None:
    """Slack leaves a tombstone of a deleted file in the message. It is left out."""
    assert message(files=[{"id": "F1", "mode": "tombstone"}]).attachments == ()


@pytest.mark.parametrize("before", [{"user": "UBOT"}, {"bot_id": "BBOT"}, {"bot_id": "B2"}])
def test_a_deleted_message_of_a_bot(before: dict[str, Any]) -> None:
    """A deleted message of this bot or another is translated with its id alone."""
    translated = deleted({"ts": TS, "thread_ts": ROOT, "text": "<@UBOT> help", **before})

    assert translated == MessageDeleted(Thread("slack", "T1", "C1", ROOT), TS)


def test_an_edit_by_another_bot() -> None:
    """An edited alert without text has the text of its attachments, and mentions nobody."""
    before, after = ({"attachments": [{"fallback": f"printer {text}"}]} for text in ("on fire", "cold"))
    translated = edited(
        {"user": None, "bot_id": "B2", **before}, {"user": None, "bot_id": "B2", "thread_ts": ROOT, **after}
    )

    assert translated is not None
    assert (translated.by_bot, translated.calls_bot, translated.message.text) == (True, False, "printer cold")
    assert (translated.message.thread.root, translated.message.author.id) == (ROOT, "B2")
    assert edited({"bot_id": "B2", **after}, {"bot_id": "B2", **after, "blocks": [{}]}) is None


def test_a_mention() -> None:
    """A mention of the bot at the start or the end is detected, and removed from the text."""
    at_start, at_end = message(text="<@UBOT> hi"), message(text="hi <@UBOT|bot> ")

    assert (at_start.text, at_start.mentions_bot) == ("hi", True)
    assert (at_end.text, at_end.mentions_bot) == ("hi", True)


def test_both_events_of_a_mention_are_the_same() -> None:
    """The app_mention and the message event of one message are translated to the same message."""
    assert message(type="app_mention", channel_type=None, text="<@UBOT> hi") == message(text="<@UBOT> hi")


@pytest.mark.parametrize(
    ("text", "remaining"),
    [
        ("<@UBOT> <@UBOT|bot>, : hi <@UBOT>\n<@UBOT> ", "hi"),
        ("<@UBOT>: <@UBOT> hi", "@attendant hi"),
        (" <@UBOT> <@UBOT>", ""),
        ("hi, <@U2> <@UBOT>", "hi, <@U2>"),
    ],
)
def test_several_mentions_of_the_bot(text: str, remaining: str) -> None:
    """All mentions of the bot at the start and the end are removed."""
    assert message(text=text).text == remaining


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [" ", "\n\t", "<", "<@", "<@UBOT", "<@UBOT>", "<@UBOT> ", " <@UBOT|", "<!date^", "<a|", "hi, ", "&amp;", "|", "x"],
)
@pytest.mark.parametrize("around", ["{}", "hi{}.", "<@UBOT>{}hi", "hey <@{}", "<https://x.y|{}", "{}<@UBOT>"])
def test_translation_takes_linear_time(piece: str, around: str) -> None:
    """Translating 300,000 characters of any repeated piece takes less than the time limit."""
    text = around.format(piece * (300_000 // len(piece)))
    translated = message(text=text)

    assert len(mentioned(text) + mentioned(translated.text)) <= 2 * len(text)


def test_a_mention_inside_a_sentence_stays() -> None:
    """A mention of the bot inside a sentence becomes its name. Mentions of others stay as ids."""
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
def test_messages_that_address_somebody_else(text: str, other: bool) -> None:  # noqa: FBT001 - a table's column
    """A message that opens with a mention of another person or a group addresses them."""
    assert message(text=text).addresses_other is other


@pytest.mark.parametrize("text", ["<@UBOT> reset", "!reset", "<@UBOT> !Reset.", "<@UBOT|bot>: reset"])
def test_reset_by_text(text: str) -> None:
    """`@bot reset` and `!reset` request a reset of the thread."""
    translated = read_event(payload(text=text, thread_ts=ROOT), BOT)
    assert isinstance(translated, ResetRequested)
    assert translated.thread.root == ROOT


def test_files() -> None:
    """The metadata of each file is kept. A malformed file is left out."""
    files = [{"id": "F1", "name": "a.png", "mimetype": "image/png", "size": 12}, {"id": "F2"}, "x", {}]
    assert message(files=files, text="").attachments == (
        Attachment("F1", "a.png", "image/png", 12),
        Attachment("F2", "file", "application/octet-stream", 0),
    )


def test_characters_that_databases_refuse() -> None:
    """NUL characters and lone surrogates are removed or replaced."""
    assert message(text="a\0b\ud800c").text == "ab?c"
