"""Tests that a verdict finds every violation that a reader in Slack would notice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot.playground.workspace.messages import Message
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import Clock, make_workspace
from tests.support.verdict import Verdict

VERDICT = Verdict(answers=lambda question, text: text == f"Re: {question.text}", remarks=lambda text: text == "Reset.")


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


@pytest.fixture
def question(workspace: Workspace) -> Message:
    return ask(workspace)


def ask(workspace: Workspace, text: str = "one", thread_ts: str | None = None) -> Message:
    return workspace.post(workspace.person("ana"), workspace.channel("help-desk"), text, thread_ts)


def reply(workspace: Workspace, text: str, root: str | None, **more: Any) -> Message:
    app, channel = workspace.app, workspace.channel("help-desk").id
    by_app = {"user": app.user_id, "bot_id": app.bot_id, "text": text, "thread_ts": root, **more}
    return workspace.add(Message(channel=channel, ts=workspace.new_ts(), **by_app))


def violations_of(workspace: Workspace, *questions: Message) -> list[str]:
    """Return the violations without their places."""
    return [line.partition(": ")[2] for line in VERDICT.violations(workspace, questions)]


def test_one_whole_answer_is_no_violation(workspace: Workspace, question: Message) -> None:
    """An answer with a remark beside it is no violation. Ephemeral messages do not count."""
    reply(workspace, "Re: one", question.ts)
    reply(workspace, "Reset.", question.ts)
    workspace.show_ephemeral(workspace.person("ana"), workspace.channel("help-desk"), "Re: one", by_app=True)

    assert violations_of(workspace, question) == []


@pytest.mark.parametrize(
    ("replies", "violations"),
    [
        ([], ["not answered: 'one'"]),
        (["Re: one", "Re: one"], ["answered 2 times: 'one'"]),
        (["Re: o", "Re: one"], ["neither an answer nor a remark: 'Re: o'"]),
        (["Re: one", "…"], ["was left empty: '…'"]),
        (["", "Re: one"], ["was left empty: ''"]),
    ],
)
def test_wrong_answers_are_violations(
    workspace: Workspace, question: Message, replies: list[str], violations: list[str]
) -> None:
    """No answer, two answers, a fragment and an orphaned placeholder are violations."""
    for text in replies:
        reply(workspace, text, question.ts)

    assert violations_of(workspace, question) == violations


def test_a_live_stream_is_no_answer(workspace: Workspace, question: Message) -> None:
    """A message that still streams is not a complete answer, even if its text is."""
    reply(workspace, "Re: one", question.ts, streaming_since=workspace.clock())

    assert violations_of(workspace, question) == ["still streams: 'Re: one'", "not answered: 'one'"]


def test_an_optional_question_may_have_no_answer(workspace: Workspace, question: Message) -> None:
    """Two answers to an optional question are a violation."""
    assert VERDICT.violations(workspace, [], [question]) == []
    reply(workspace, "Re: one", question.ts)
    reply(workspace, "Re: one", question.ts)

    assert [line.partition(": ")[2] for line in VERDICT.violations(workspace, [], [question])] == [
        "answered 2 times: 'one'"
    ]


def test_several_messages_may_be_one_answer(workspace: Workspace, question: Message) -> None:
    """A split answer is judged as a whole. Without its end, each piece is a violation."""
    split = ask(workspace, "two\n\nthree", question.ts)
    reply(workspace, "Re: one", question.ts)
    reply(workspace, "Re: two", question.ts)
    assert len(violations_of(workspace, question, split)) == 2
    reply(workspace, "three", question.ts)

    assert violations_of(workspace, question, split) == []


def test_one_answer_may_serve_several_questions(workspace: Workspace, question: Message) -> None:
    """Questions that are answered together share their answer."""
    again = ask(workspace, "one", question.ts)
    reply(workspace, "Re: one", question.ts)

    assert violations_of(workspace, question, again) == []


def test_a_status_that_remains_is_a_violation() -> None:
    """A status that remains after the answer is a violation."""
    workspace = make_workspace(Clock())
    question = ask(workspace)
    reply(workspace, "Re: one", question.ts)
    workspace.statuses.set(question.channel, question.ts, "is thinking", timedelta(minutes=2))

    assert violations_of(workspace, question) == ["still shows the status 'is thinking'"]


def test_an_answer_outside_the_questions_thread_is_a_violation(workspace: Workspace, question: Message) -> None:
    """An answer outside the question's thread is a violation."""
    reply(workspace, "Re: one", None)

    assert violations_of(workspace, question) == ["not answered: 'one'", "nobody asked there: 'Re: one'"]
