"""bot.slack.views.session_picker: the list of sessions to reset."""

from datetime import UTC, datetime, timedelta

from bot.domain.events import Thread
from bot.domain.sessions import OpenSession
from bot.slack.views.session_picker import RESET_ALL, RESET_SESSION, session_picker

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def session(number: int, opening: str = "My VPN is down", idle: timedelta = timedelta(hours=2)) -> OpenSession:
    """Return an open session in its own thread."""
    thread = Thread("slack", "T1", "C1", f"1712345678.{number:06}")
    return OpenSession(f"s{number}", thread, NOW - idle, NOW - idle, 1, opening)


def test_each_session_has_its_button() -> None:
    """A session is listed by its first message and its last activity. The value of its button is its id."""
    _, listed, *_ = session_picker([session(1), session(2)], 2, NOW)

    assert listed["text"] == {"type": "plain_text", "text": "My VPN is down\nLast active 2 hours ago", "emoji": False}
    assert (listed["accessory"]["action_id"], listed["accessory"]["value"]) == (RESET_SESSION, "s1")


def test_the_last_button_is_for_all() -> None:
    """The button of the last block resets all sessions."""
    (button,) = session_picker([session(1), session(2)], 2, NOW)[-1]["elements"]
    assert button["action_id"] == RESET_ALL


def test_a_long_list_is_cut() -> None:
    """At most twenty sessions are listed, with the number of the others. The last button is for all."""
    *listed, more, _ = session_picker([session(number) for number in range(30)], 75, NOW)

    assert [block.get("block_id") for block in listed] == [None, *(f"s{number}" for number in range(20))]
    assert more["text"]["text"].startswith("And 55 more")


def test_a_complete_list_has_no_line_about_others() -> None:
    """A complete list has the question, the sessions and the button for all."""
    assert len(session_picker([session(number) for number in range(20)], 20, NOW)) == 22


def test_the_first_message_is_one_short_line() -> None:
    """A long or an empty first message takes one line."""
    long, empty = (session_picker([session(1, text)], 1, NOW)[1]["text"]["text"] for text in ("a\n" * 200, " "))

    assert long.split("\n")[0].strip() == " ".join("a" * 40)
    assert empty.startswith("(a message without text)\n")


def test_last_activity_in_plain_words() -> None:
    """The time since the last activity is rounded down to its largest unit."""
    ago = [timedelta(seconds=30), timedelta(minutes=1), timedelta(hours=23), timedelta(days=1)]
    listed = [session_picker([session(1, idle=idle)], 1, NOW)[1]["text"]["text"] for idle in ago]

    assert [text.partition("\n")[2] for text in listed] == [
        "Last active just now",
        "Last active 1 minute ago",
        "Last active 23 hours ago",
        "Last active 1 day ago",
    ]
