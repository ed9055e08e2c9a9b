"""Thread context: limited, with people's names, between marks that cannot be forged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import Attachment
from bot.prompt.thread_context import (
    LONGEST_MESSAGE,
    MOST_MESSAGES,
    MOST_TOKENS,
    UNREADABLE,
    AuthorKind,
    EarlierMessage,
    ThreadContext,
    bots,
    bounded,
    named,
    pieces,
)
from bot.prompt.tokens import estimate_tokens

NAMES = {"U1": "Ana", "U2": "Ben", "B1": "deploys (a bot)"}
BEGINS, ENDS = "[From here to", "[end of the background]"


def earlier(number: int, text: str, author: str = "U1", by: AuthorKind = AuthorKind.PERSON) -> EarlierMessage:
    """Return the message of this number."""
    return EarlierMessage(f"{number:06}", author, text, by=by)


def shown(background: ThreadContext, question: str = "Ana: and you?") -> list[tuple[bool, str]]:
    """Return the texts without the opening mark."""
    return [
        (own, text.partition("]\n\n")[2] if BEGINS in text else text)
        for own, text in pieces(background, NAMES, question)
    ]


def test_earlier_messages_come_before_the_question() -> None:
    """Each message has its author's name and indented lines. The question comes after the closing mark."""
    context = ThreadContext((earlier(1, "who knows printers?"), earlier(2, "not me\nask IT", "U2")))

    assert shown(context) == [(False, f"Ana: who knows printers?\n\nBen: not me\n  ask IT\n\n{ENDS}\n\nAna: and you?")]


def test_the_bots_messages_are_the_assistants() -> None:
    """The bot's messages are the assistant's. Neighbours are joined, and none comes first."""
    own = [earlier(number, f"part {number}", "UBOT", AuthorKind.SELF) for number in (1, 2, 4)]
    context = ThreadContext((own[0], own[1], earlier(3, "thanks"), own[2]))
    roles = [own for own, _ in pieces(context, NAMES, "?")]

    assert roles == [False, True, False, True, False]
    assert shown(context, "?")[1:] == [
        (True, "part 1\n\npart 2"), (False, "Ana: thanks"), (True, "part 4"), (False, f"{ENDS}\n\n?")
    ]  # fmt: skip


def test_unreadable_messages_are_mentioned() -> None:
    """The model reads that there are messages it cannot read."""
    [(own, text)] = pieces(UNREADABLE, {}, "Ana: and you?")

    assert not own
    assert "You cannot read what." in text.splitlines()[0]
    assert text.endswith("\n\nAna: and you?")
    assert ENDS not in text


def test_other_bots_are_bots() -> None:
    """Other bots have the platform's name for them, marked as bots."""
    screenshot = Attachment("F1", "a.png", "image/png", 1)
    alert = EarlierMessage("1", "B1", "<@U2> look", (screenshot,), AuthorKind.BOT, "deploys")
    context = ThreadContext((alert, earlier(2, "own", "UBOT", AuthorKind.SELF), earlier(3, "hm")))

    assert bots(context) == {"B1": "deploys (a bot)"}
    assert named(context) == ["B1", "U2", "U1"]
    assert "deploys (a bot): @Ben look\n  [attached, and not visible to you: a.png (image/png)]" in shown(context)[0][1]


def test_missing_messages_are_mentioned() -> None:
    """The opening mark says if a part is missing."""
    whole, part = (
        next(pieces(ThreadContext((earlier(1, "hi"),), complete=whole), NAMES, "?"))[1] for whole in (True, False)
    )

    assert "left out" not in whole
    assert "left out" in part


texts = st.text(max_size=20) | st.integers(0, 5_000).map(lambda length: "x" * length)


@given(st.lists(texts, max_size=100), st.integers(0, 6_000), st.booleans())
def test_it_is_bounded(texts: list[str], tokens: int, whole: bool) -> None:  # noqa: FBT001 - drawn
    """The first message and the newest are shown in order, with one gap at most, within all limits."""
    messages = [earlier(number, text) for number, text in enumerate(texts)]
    context = bounded(messages, whole=whole, tokens=tokens)
    ids = [message.message_id for message in context.messages]

    assert len(ids) <= MOST_MESSAGES
    assert ids[:1] == [message.message_id for message in messages[:1]]
    assert ids[1:] == [message.message_id for message in messages[1:]][len(messages) - len(ids) :]
    assert context.complete == (whole and len(ids) == len(messages))
    assert sum(estimate_tokens(message.text) for message in context.messages[1:]) <= min(tokens, MOST_TOKENS)
    assert all(len(message.text) <= LONGEST_MESSAGE for message in context.messages)


def test_the_thread_context_uses_its_room() -> None:
    """One message more would exceed a limit. A long message is shown without its middle."""
    assert len(bounded([earlier(number, "") for number in range(MOST_MESSAGES + 1)]).messages) == MOST_MESSAGES
    assert len(bounded([earlier(number, "x" * 60) for number in range(9)], tokens=40).messages) == 2
    [long] = bounded([earlier(1, f"begin {'x' * LONGEST_MESSAGE} end")]).messages
    assert long.text.startswith("begin ")
    assert " […] " in long.text
    assert long.text.endswith(" end")


@given(st.lists(st.sampled_from([ENDS, "\n", "\u2028", "Ben: yes", "x", BEGINS]), max_size=8).map("".join))
def test_the_marks_cannot_be_forged(text: str) -> None:
    """For any texts, only the marks and the authors' names begin a line that is not indented, once each."""
    context = ThreadContext((earlier(1, text), earlier(2, "ok", "U2")))
    [(_, whole)] = pieces(context, NAMES, "Ana: so?")
    opening = [line for line in whole.splitlines() if line and not line.startswith("  ")]

    assert [line.partition(":")[0] for line in opening[1:3]] == ["Ana", "Ben"]
    assert opening[3:] == [ENDS, "Ana: so?"]
    assert opening[0].startswith(BEGINS)
