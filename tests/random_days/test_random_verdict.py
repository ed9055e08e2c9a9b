"""The judge of the random suite finds each kind of violation, and none on a correct day."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from bot.domain import texts as wording
from bot.domain.sessions import Interrupted, ResetOutcome
from bot.errors import Trouble
from bot.playground.workspace.messages import Message
from bot.playground.workspace.workspace import Workspace
from tests.random_days.random_day import drawn
from tests.random_days.random_model import Ending, paragraphs, read
from tests.random_days.random_verdict import Duty, Interruption, Judge, Question, Requested
from tests.support.playground_stage import Clock, make_workspace

AWAY = wording.trouble(Trouble.UNAVAILABLE)
STOPPED = wording.interrupted(Interrupted.STOPPED)
FORGOTTEN = wording.fixed_reply(ResetOutcome.DONE)


def whole(*asked: str, shown: Sequence[str] = ()) -> str:
    """Return the model's whole answer to these questions."""
    return "\n\n".join(paragraphs(asked, shown))


class Scene:
    """Some threads with their messages, each a second after the one before."""

    def __init__(self) -> None:
        self._clock = Clock()
        self.workspace: Workspace = make_workspace(self._clock)
        self.questions: dict[str, Question] = {}
        self.interruptions: list[Interruption] = []
        self.requests: list[Requested] = []
        self._tokens = (f"q{number:03d}" for number in itertools.count(1))

    def ask(self, root: Message | None = None, duty: Duty = "must") -> Message:
        """Ask with the next token: q001, q002, … The question is stored at once."""
        token, thread_ts = next(self._tokens), root.ts if root else None
        self._clock.advance(seconds=1)
        person, channel = self.workspace.person("ana"), self.workspace.channel("help-desk")
        message = self.workspace.post(person, channel, token, thread_ts)
        at = float(message.ts)
        self.questions[token] = Question(token=token, message=message, duty=duty, at=at, stored=at + 0.1)
        return message

    def change(self, token: str, **changes: Any) -> None:
        """Change the fate of a question."""
        self.questions[token] = dataclasses.replace(self.questions[token], **changes)

    def say(self, root: Message, *texts: str) -> None:
        """Have the bot post these texts in the thread."""
        app = self.workspace.app
        for text in texts:
            self._clock.advance(seconds=1)
            by_app: dict[str, Any] = {"user": app.user_id, "bot_id": app.bot_id, "text": text, "thread_ts": root.ts}
            self.workspace.add(Message(channel=root.channel, ts=self.workspace.new_ts(), **by_app))

    def interrupt(self, root: Message, **how: Any) -> None:
        """Add a stop, or a reset, that the bot acknowledges at once."""
        at = float(self.workspace.new_ts())
        place = (root.channel, root.ts)
        self.interruptions.append(Interruption(places=frozenset({place}), at=at, acked=at + 0.1, **how))

    def complaints(self, *, crowded: bool = False) -> list[str]:
        """Return the judge's violations, without the places."""
        judge = Judge(list(self.questions.values()), self.interruptions, crowded)
        return [line.partition(": ")[2] or line for line in judge.violations(self.workspace, self.requests)]


@pytest.fixture
def scene() -> Scene:
    """A workspace in which nobody has asked anything."""
    return Scene()


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        (whole("q001"), Ending.WHOLE),
        (whole("q007"), Ending.WHOLE),  # a long one
        (whole("q001").replace("That is", "That"), Ending.NONE),
        (whole("q001").removesuffix("That is all."), Ending.NONE),
        (whole("q001") + " That is all.", Ending.NONE),
        (AWAY, Ending.TOLD),
        (f"{paragraphs(['q001'], [])[0]}\n\n{AWAY}", Ending.TOLD),
        (f"Answer to q001 somehow. {AWAY}", Ending.NONE),
        (STOPPED, Ending.INTERRUPTED),
        (f"{paragraphs(['q001'], [])[0]}\n\n{STOPPED}", Ending.INTERRUPTED),
        (f"{whole('q001')}\n\n{STOPPED}", Ending.WHOLE),
        (FORGOTTEN, Ending.RESET_LINE),
        (wording.SOMETHING_BROKE, Ending.NONE),
    ],
)
def test_a_text_is_whole_or_gives_a_reason(text: str, ending: Ending) -> None:
    """An answer is complete to the letter, or gives a reason. Half an answer does neither."""
    assert read(text).ending is ending


def test_correct_answers_are_no_violation(scene: Scene) -> None:
    """Whole answers, once, in order, in the right thread, with the right memory, are no violation."""
    root, other = scene.ask(), scene.ask()
    scene.say(root, whole("q001"))
    scene.say(other, AWAY)
    scene.ask(root)
    scene.say(root, whole("q003", shown=["q001"]))
    scene.requests = [Requested(("q001",), ()), Requested(("q003",), ("q001",))]

    assert scene.complaints() == []


def test_a_missing_answer_is_a_violation(scene: Scene) -> None:
    """A question without an answer is a violation. A sentence from before the question does not count."""
    root = scene.ask()
    scene.say(root, AWAY)
    scene.ask(root)

    assert scene.complaints() == ["not answered: 'q002'"]


def test_a_second_answer_is_a_violation(scene: Scene) -> None:
    """Two answers are a violation, also to a question that may stay without one."""
    root = scene.ask()
    scene.say(root, whole("q001"), whole("q001"))
    assert scene.complaints() == ["answered 2 times: 'q001'"]
    scene.change("q001", deleted=0.0)

    assert scene.complaints() == ["answered 2 times: 'q001'"]


def test_a_sentence_beside_an_answer_is_a_violation(scene: Scene) -> None:
    """A sentence about a missing answer is a violation beside the answer."""
    root = scene.ask()
    scene.say(root, whole("q001"), AWAY)

    assert scene.complaints() == ["a sentence (told) that nobody's message accounts for"]


def test_a_fragment_is_a_violation(scene: Scene) -> None:
    """A fragment is a violation, with the answer and without it. The parts of a long answer are none."""
    root, long = scene.ask(), [scene.ask() for _ in range(6)][-1]
    pieces = whole("q007").split("Part 8")
    scene.say(root, "Answer to q001. I was shown nothing.", whole("q001"))
    scene.say(long, pieces[0], "Part 8" + pieces[1])
    for token in ("q002", "q003", "q004", "q005", "q006"):
        scene.change(token, duty="may")

    assert scene.complaints() == ["neither an answer nor a remark: 'Answer to q001. I was shown nothing.'"]


def test_giving_up_is_a_violation(scene: Scene) -> None:
    """A given-up turn is a violation, because no day has so many failures in one turn."""
    root = scene.ask()
    scene.say(root, wording.SOMETHING_BROKE)

    assert "not answered: 'q001'" in scene.complaints()


def test_another_threads_token_is_a_violation(scene: Scene) -> None:
    """Another thread's token is a violation, in an answer and in a request to the model."""
    root, other = scene.ask(), scene.ask()
    scene.say(root, whole("q001"))
    scene.say(other, whole("q002", shown=["q001"]))
    scene.requests = [Requested(("q002",), ("q001",))]

    assert scene.complaints() == [
        "an answer names q001 of another thread",
        "the request for q002 shows q001 of another thread",
    ]


def test_the_wrong_order_is_a_violation(scene: Scene) -> None:
    """The wrong order is a violation, across answers and within one, except for messages that arrived too late."""
    root = scene.ask()
    scene.ask(root)
    scene.say(root, whole("q002"), whole("q001", shown=["q002"]))
    scene.requests = [Requested(("q002", "q001"), ())]
    assert scene.complaints() == [
        "q002 before q001, which is older",
        "the request for q002 q001 shows q002 before q001, which is older",
        "the request for q002 q001 shows them in another order than Slack's",
    ]
    scene.change("q001", stored=float(scene.workspace.new_ts()))
    scene.requests = [Requested(("q001", "q002"), ())]

    assert scene.complaints() == []


def test_a_stopped_question_may_stay_unanswered(scene: Scene) -> None:
    """A stop excuses missing answers to messages from before it, but not to later ones."""
    root = scene.ask()
    scene.interrupt(root)
    scene.say(root, f"{paragraphs(['q001'], [])[0]}\n\n{STOPPED}")
    assert scene.complaints() == []
    scene.ask(root)
    scene.say(root, f"{paragraphs(['q002'], ['q001'])[0]}\n\n{STOPPED}")

    assert "not answered: 'q002'" in scene.complaints()


def test_an_answer_from_before_a_stop_must_stay(scene: Scene) -> None:
    """A stop does not excuse the removal of an answer that was complete before it."""
    root = scene.ask()
    scene.interrupt(root, answered=frozenset({"q001"}))

    assert scene.complaints() == ["not answered: 'q001'"]


def test_remembering_a_reset_message_is_a_violation(scene: Scene) -> None:
    """A request must not hold a message from before a reset."""
    root = scene.ask()
    scene.say(root, whole("q001"))
    scene.interrupt(root, reset=True, sure=True, written_in=(root.channel, root.ts), owed=True)
    scene.say(root, FORGOTTEN)
    scene.ask(root)
    scene.say(root, whole("q002"))
    scene.requests = [Requested(("q002",), ())]
    assert scene.complaints() == []
    scene.requests = [Requested(("q002",), ("q001",))]

    assert scene.complaints() == ["the request for q002 shows q001 of before a reset"]


def test_a_status_that_stays_is_a_violation(scene: Scene) -> None:
    """A status that stays is a violation, except on a crowded day after a stop of the waiting message."""
    root = scene.ask()
    scene.say(root, whole("q001"))
    scene.workspace.statuses.set(root.channel, root.ts, "is thinking", timedelta(minutes=2))
    assert scene.complaints(crowded=True) == ["still shows the status 'is thinking'"]
    scene.ask(root)
    scene.interrupt(root, answered=frozenset({"q001"}))
    assert scene.complaints(crowded=True) == []

    assert scene.complaints() == ["still shows the status 'is thinking'"]


@pytest.mark.parametrize("lines", [0, 2])
def test_a_reset_needs_one_confirmation(scene: Scene, lines: int) -> None:
    """No line after a reset is a violation, and so are two."""
    root = scene.ask()
    scene.say(root, whole("q001"), *[FORGOTTEN] * lines)
    scene.interrupt(root, reset=True, written_in=(root.channel, root.ts), owed=True)

    assert scene.complaints() == [f"{lines} times a reset line, for 1 commands, 1 of them surely the bot's"]


def test_forgetting_a_message_is_a_violation(scene: Scene) -> None:
    """A request without a message of the session is a violation, unless the message was deleted."""
    root = scene.ask()
    scene.ask(root)
    scene.say(root, whole("q001"), whole("q002"))
    scene.requests = [Requested(("q002",), ())]
    assert scene.complaints() == ["the request for q002 shows no q001, which it should remember"]
    scene.change("q001", deleted=0.0)

    assert scene.complaints() == []


def test_remembering_a_deleted_message_is_a_violation(scene: Scene) -> None:
    """A request that holds a message deleted before the question is a violation."""
    root = scene.ask()
    scene.say(root, whole("q001"))
    deleted = float(scene.workspace.new_ts())
    scene.change("q001", deleted=deleted, deletion_acked=deleted)
    scene.ask(root)
    scene.say(root, whole("q002", shown=["q001"]))
    scene.requests = [Requested(("q002",), ("q001",))]

    assert scene.complaints() == ["the request for q002 shows q001, which was deleted"]


def test_answering_a_message_to_another_person_is_a_violation(scene: Scene) -> None:
    """A message to another person is neither answered nor shown to the model."""
    root = scene.ask()
    scene.ask(root, "never")
    scene.say(root, whole("q001", "q002"))
    scene.requests = [Requested(("q001", "q002"), ())]

    assert scene.complaints() == [
        "an answer names q002, which was not for it",
        "the request for q001 q002 shows q002, which was not for it",
    ]


def test_a_seed_always_draws_the_same_day() -> None:
    """Four seeds in a row cover both databases and both ways to show an answer."""
    days = [drawn(seed) for seed in range(4)]

    assert days[1:] == [drawn(seed) for seed in range(1, 4)]
    assert {(day.database, day.streaming) for day in days} == {
        (database, streaming) for database in ("sqlite", "postgresql") for streaming in ("auto", "off")
    }
