"""The verdict on a random day, judged by a reader's view of Slack and by the requests to the model.

Rule: pure, without access to the bot. Times are seconds since the epoch. A message that was acknowledged before
another one was written must precede it everywhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.playground.workspace.messages import Message
from bot.playground.workspace.workspace import Workspace
from tests.random_days import random_model
from tests.random_days.random_model import Ending, Reading
from tests.support.verdict import Verdict

Place = tuple[str, str]  # channel and root
Duty = Literal["must", "may", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A message of a person's. `stored` is when Slack got its first acknowledgement, infinity if it never did."""

    token: str
    message: Message
    duty: Duty  # to be answered, unless somebody deletes, stops or resets
    at: float
    stored: float = math.inf
    deleted: float = math.inf
    deletion_acked: float = math.inf

    @property
    def place(self) -> Place:
        """Its thread."""
        return self.message.channel, self.message.root


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """A stop or a reset. It excuses missing answers to messages from before it was `acked`.

    A `sure` reset came from a person who took part. A reset that is a message of the thread spares later messages
    (`spares_later`), however late it arrives. In the thread where it was `written_in`, one line confirms it. That line
    is required if it is `owed`, and optional otherwise.
    """

    places: frozenset[Place]
    at: float
    acked: float = math.inf
    written_in: Place | None = None
    owed: bool = False
    answered: frozenset[str] = frozenset()  # the tokens that had whole answers by then
    reset: bool = False
    quiet: bool = False  # a `!quiet` or a `!back`, which interrupts nothing and has a line, too
    sure: bool = False
    spares_later: bool = False

    def may_have_ended(self, question: Question) -> bool:
        """Return whether this may be the reason why the question has no answer."""
        until = self.at if self.spares_later else self.acked
        return question.place in self.places and question.token not in self.answered and question.at < until


@dataclass(frozen=True, slots=True)
class Requested:
    """A request to the model: the tokens to answer, those of the session so far, and those of the thread context."""

    asked: tuple[str, ...]
    shown: tuple[str, ...]
    thread_context: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judge:
    """Knows all messages and interruptions, and finds the violations at the end.

    On a `crowded` day some threads show a waiting status. After a stop, reset or deletion a process clears it. If that
    process dies, the status stays until Slack removes it. The judge therefore ignores it.
    """

    questions: Sequence[Question]
    interruptions: Sequence[Interruption]
    crowded: bool = False

    def violations(self, workspace: Workspace, requests: Iterable[Requested]) -> list[str]:
        """Return the violations, one line each."""
        known = {question.token: question for question in self.questions}
        said = {place: self._said(workspace, place) for place in {question.place for question in self.questions}}
        return [
            *self._answers(workspace, said),
            *(line for place, readings in said.items() for line in self._readings(known, place, readings)),
            *(line for request in dict.fromkeys(requests) for line in self._request(known, request)),
        ]

    def is_optional(self, question: Question) -> bool:
        """Return whether the question may stay without an answer."""
        ended = any(each.may_have_ended(question) for each in self.interruptions)
        return question.duty == "may" or ended or question.deleted < math.inf

    def _answers(self, workspace: Workspace, said: dict[Place, list[tuple[float, Reading]]]) -> list[str]:
        told = {token for place, readings in said.items() for token in self._told(place, readings)}
        owed = [each for each in self.questions if each.duty != "never" and each.token not in told]
        optional = {each.message.id: each for each in owed if self.is_optional(each)}

        def answers(question: Message, text: str) -> bool:
            reading = random_model.read(text)
            ended = reading.ending in {Ending.WHOLE, Ending.TOLD} or question.id in optional
            return reading.ending is not Ending.NONE and ended and tokens[question.id] in reading.asked

        tokens = {each.message.id: each.token for each in owed}
        judge = Verdict(answers, lambda text: _is_remark(random_model.read(text)), self._may_show)
        must = [each.message for each in owed if each.message.id not in optional]
        return judge.violations(workspace, must, [each.message for each in optional.values()])

    def _may_show(self, channel: str, root: str) -> bool:
        """Return whether a waiting status may remain: the thread's newest message has no answer, and needs none."""
        here = [each for each in self.questions if each.place == (channel, root) and each.duty != "never"]
        return self.crowded and bool(here) and self.is_optional(max(here, key=lambda each: each.at))

    def _said(self, workspace: Workspace, place: Place) -> list[tuple[float, Reading]]:
        thread = workspace.thread(workspace.channels[place[0]], place[1])
        by_app = [message for message in thread if message.bot_id == workspace.app.bot_id]
        return [(float(message.ts), random_model.read(message.shown_text)) for message in by_app]

    def _told(self, place: Place, readings: Sequence[tuple[float, Reading]]) -> Iterator[str]:
        """Return the questions that a sentence without tokens answers. No other answer names those of its turn."""
        named = {token for _, reading in readings for token in reading.asked}
        open_ = [each for each in self.questions if each.place == place and each.token not in named]
        for at, reading in readings:
            if reading.ending is Ending.TOLD and not reading.asked:
                yield from (each.token for each in open_ if each.at < at)

    def _readings(
        self, known: dict[str, Question], place: Place, readings: Sequence[tuple[float, Reading]]
    ) -> Iterator[str]:
        """Check that a thread's answers name its own messages, in the order in which they were written."""
        where = " ".join(place)
        for _, reading in readings:
            for token in (*reading.asked, *reading.shown):
                if known[token].place != place:
                    yield f"{where}: an answer names {token} of another thread"
                elif known[token].duty == "never":
                    yield f"{where}: an answer names {token}, which was not for it"
        answered = [known[token] for _, reading in readings for token in reading.asked]
        yield from (f"{where}: {line}" for line in _out_of_order(answered))
        yield from (f"{where}: {line}" for line in self._sentences_too_many(place, readings))
        yield from (f"{where}: {line}" for line in self._lines(place, [reading.ending for _, reading in readings]))

    def _sentences_too_many(self, place: Place, readings: Sequence[tuple[float, Reading]]) -> Iterator[str]:
        """Check that each sentence without a token has a question of its own that no answer names."""
        named = {token for _, reading in readings for token in reading.asked}
        here = [each for each in self.questions if each.place == place and each.duty != "never"]
        left = sorted(each.at for each in here if each.token not in named)
        for at, reading in readings:
            if reading.asked or reading.ending not in {Ending.TOLD, Ending.INTERRUPTED}:
                continue
            if not left or left.pop(0) > at:
                yield f"a sentence ({reading.ending.value}) that nobody's message accounts for"

    def _lines(self, place: Place, endings: Sequence[Ending]) -> Iterator[str]:
        """Check that each written command has one line. A stop that ends an answer is confirmed in the answer."""
        kinds = (
            (Ending.RESET_LINE, (True, False)),
            (Ending.STOP_LINE, (False, False)),
            (Ending.QUIET_LINE, (False, True)),
        )
        here = [each for each in self.interruptions if each.written_in == place]
        for ending, kind in kinds:
            written = [each for each in here if (each.reset, each.quiet) == kind]
            least, there = sum(each.owed for each in written), endings.count(ending)
            if not least <= there <= len(written):
                yield f"{there} times a {ending.value}, for {len(written)} commands, {least} of them surely the bot's"

    def _request(self, known: dict[str, Question], request: Requested) -> Iterator[str]:
        """Check that the model is shown the session, all of it, in order."""
        if not request.asked:
            return
        shown = [known[token] for token in request.shown]
        newest = max((known[token] for token in request.asked), key=lambda each: each.at)
        line = f"the request for {' '.join(request.asked)} shows"
        all_shown = [*shown, *(known[token] for token in request.asked)]
        for question in all_shown:
            if question.place != newest.place:
                yield f"{line} {question.token} of another thread"
            elif question.duty == "never":
                yield f"{line} {question.token}, which was not for it"
            elif newest.at > question.deletion_acked and question.stored < question.deleted:
                yield f"{line} {question.token}, which was deleted"
            elif any(self._has_erased(each, question, newest) for each in self.interruptions):
                yield f"{line} {question.token} of before a reset"
        yield from (
            f"{line} {wrong}"
            for wrong in self._thread_context([known[token] for token in request.thread_context], newest)
        )
        yield from (f"{line} {wrong}" for wrong in _out_of_order(all_shown))
        if [known[token].at for token in request.asked] != sorted(known[token].at for token in request.asked):
            yield f"{line} them in another order than Slack's"
        names = {question.token for question in all_shown}
        for question in self.questions:
            if self._is_remembered(question, newest) and question.token not in names:
                yield f"{line} no {question.token}, which it should remember"

    def _thread_context(self, questions: Sequence[Question], newest: Question) -> Iterator[str]:
        """Check that the thread context comes from this thread, and holds no message from before a reset."""
        for question in questions:
            if question.place != newest.place:
                yield f"{question.token} of another thread"
            elif any(self._has_erased(each, question, newest) for each in self.interruptions):
                yield f"{question.token} of before a reset"

    def _has_erased(self, reset: Interruption, question: Question, newest: Question) -> bool:
        here = reset.sure and newest.place in reset.places
        return here and reset.acked < newest.at and question.stored < reset.at

    def _is_remembered(self, question: Question, newest: Question) -> bool:
        """Return whether this question certainly belongs to the session when `newest` is answered."""
        before = question.place == newest.place and question.stored < newest.at
        resets = [each for each in self.interruptions if each.reset and newest.place in each.places]
        forgotten = any(each.acked > question.at and newest.token not in each.answered for each in resets)
        return before and question.duty == "must" and question.deleted == math.inf and not forgotten


def _is_remark(reading: Reading) -> bool:
    """Return whether a text may stand beside the answers."""
    nameless = reading.ending in {Ending.TOLD, Ending.INTERRUPTED} and not reading.asked
    return nameless or reading.ending in {Ending.RESET_LINE, Ending.STOP_LINE, Ending.QUIET_LINE}


def _out_of_order(questions: Sequence[Question]) -> Iterator[str]:
    for one, other in itertools.combinations(questions, 2):
        if other.stored < one.at and other.token != one.token:
            yield f"{one.token} before {other.token}, which is older"
