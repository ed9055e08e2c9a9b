"""The judge of what stands in a workspace finds what a reader would complain of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot.playground.workspace.messages import Message
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import Clock, make_workspace
from tests.support.verdict import Verdict

JUDGE = Verdict(answers=lambda question, text: text == f"Re: {question.text}", remarks=lambda text: text == "Reset.")


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


@pytest.fixture
def question(workspace: Workspace) -> Message:
    return ask(workspace)


def ask(workspace: Workspace, text: str = "one", thread_ts: str | None = None) -> Message:
    return workspace.post(workspace.person("ana"), workspace.channel("help-desk"), text, thread_ts)


def say(workspace: Workspace, text: str, root: str | None, **more: Any) -> Message:
    app, channel = workspace.app, workspace.channel("help-desk").id
    by_app = {"user": app.user_id, "bot_id": app.bot_id, "text": text, "thread_ts": root, **more}
    return workspace.add(Message(channel=channel, ts=workspace.new_ts(), **by_app))


def complaints(workspace: Workspace, *questions: Message) -> list[str]:
    """What the judge says, without the places."""
    return [line.partition(": ")[2] for line in JUDGE.violations(workspace, questions)]


def test_one_whole_answer_is_well(workspace: Workspace, question: Message) -> None:
    """An answer, and a remark beside it, are no complaint; an ephemeral message does not count."""
    say(workspace, "Re: one", question.ts)
    say(workspace, "Reset.", question.ts)
    workspace.show_ephemeral(workspace.person("ana"), workspace.channel("help-desk"), "Re: one", by_app=True)

    assert complaints(workspace, question) == []


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ([], ["not answered: 'one'"]),
        (["Re: one", "Re: one"], ["answered 2 times: 'one'"]),
        (["Re: o", "Re: one"], ["neither an answer nor a remark: 'Re: o'"]),
        (["Re: one", "…"], ["was left empty: '…'"]),
        (["", "Re: one"], ["was left empty: ''"]),
    ],
)
def test_what_a_reader_complains_of(
    workspace: Workspace, question: Message, said: list[str], complaint: list[str]
) -> None:
    """None or two answers, a fragment and an orphaned placeholder are each a complaint."""
    for text in said:
        say(workspace, text, question.ts)

    assert complaints(workspace, question) == complaint


def test_a_live_stream_is_no_answer(workspace: Workspace, question: Message) -> None:
    """What still streams is not whole, whatever it says."""
    say(workspace, "Re: one", question.ts, streaming_since=workspace.clock())

    assert complaints(workspace, question) == ["still streams: 'Re: one'", "not answered: 'one'"]


def test_what_is_optional_may_be_left_without_an_answer(workspace: Workspace, question: Message) -> None:
    """None is no complaint, two are."""
    assert JUDGE.violations(workspace, [], [question]) == []
    say(workspace, "Re: one", question.ts)
    say(workspace, "Re: one", question.ts)

    assert [line.partition(": ")[2] for line in JUDGE.violations(workspace, [], [question])] == [
        "answered 2 times: 'one'"
    ]


def test_several_messages_may_be_one_answer(workspace: Workspace, question: Message) -> None:
    """An answer that is split is judged as a whole; without its end, each piece is a complaint."""
    long = ask(workspace, "two\n\nthree", question.ts)
    say(workspace, "Re: one", question.ts)
    say(workspace, "Re: two", question.ts)
    assert len(complaints(workspace, question, long)) == 2
    say(workspace, "three", question.ts)

    assert complaints(workspace, question, long) == []


def test_one_answer_may_serve_several_questions(workspace: Workspace, question: Message) -> None:
    """Questions that are answered together share their answer."""
    again = ask(workspace, "one", question.ts)
    say(workspace, "Re: one", question.ts)

    assert complaints(workspace, question, again) == []


def test_a_status_that_stays_is_a_complaint() -> None:
    """When all is answered, nothing may say that the app still works."""
    workspace = make_workspace(Clock())
    question = ask(workspace)
    say(workspace, "Re: one", question.ts)
    workspace.statuses.set(question.channel, question.ts, "is thinking", timedelta(minutes=2))

    assert complaints(workspace, question) == ["still shows the status 'is thinking'"]


def test_speaking_where_nobody_asked_is_a_complaint(workspace: Workspace, question: Message) -> None:
    """An answer outside the question's thread is found."""
    say(workspace, "Re: one", None)

    assert complaints(workspace, question) == ["not answered: 'one'", "nobody asked there: 'Re: one'"]
