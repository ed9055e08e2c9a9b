"""Transcripts: however often a client resends what was said, what is new is what came after the last answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.gateway.outbound.errors import ApiError
from bot.gateway.inbound.request_messages import Message, in_session, instructions

CALL: Any = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LOOP: list[Message] = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "42"},
]
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
QUESTIONS = st.lists(TEXTS, min_size=1, max_size=3)
TURNS = st.lists(st.tuples(QUESTIONS, st.booleans(), TEXTS), max_size=5)


def user(text: str) -> Message:
    """A question."""
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    """An answer."""
    return {"role": "assistant", "content": text}


@given(TURNS, QUESTIONS, st.booleans())
def test_a_conversation_is_read_as_it_was_held(
    turns: list[tuple[list[str], bool, str]],
    now: list[str],
    with_tools: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    """Each question with its answer, whatever tools were called between them; then what is new, and its tools."""
    sent: list[Message] = [{"role": "system", "content": "Be kind."}]
    for said, called, answer in turns:
        sent += [*map(user, said), *LOOP * called, assistant(answer)]
    read = in_session([*sent, *map(user, now), *LOOP * with_tools])

    assert [([each.text for each in turn.said], turn.answer) for turn in read.recalled] == [
        (said, answer) for said, _, answer in turns
    ]
    assert read.said == tuple(now)
    assert [message["role"] for message in read.following] == ["assistant", "tool"] * with_tools


def test_instructions_are_gathered_from_wherever_they_stand() -> None:
    """System and developer messages alike, in parts or not; each is a paragraph."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages: list[Message] = [user("x"), {"role": "developer", "content": parts}, {"role": "system", "content": "c"}]

    assert instructions(messages) == "a\nb\n\nc"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "x"}],
        [user("x"), assistant("y")],
        [*LOOP],
        [user("x"), assistant("y"), *LOOP],
        [user("x"), LOOP[0]],
        [user("x"), *LOOP, user("y")],
        [user("x"), {**user("y"), "name": "ana"}],
    ],
)
def test_what_has_nothing_to_answer_is_refused(messages: list[Message]) -> None:
    """No user's message after the last answer, or tools' calls and results that are not in their order."""
    with pytest.raises(ApiError) as refused:
        in_session(messages)

    assert refused.value.error.status == 400
