"""A verdict on the messages of a workspace: every question has one complete answer, and the app posted nothing else.

Rule: it reads the workspace as a person does, and does not use the bot's code.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from bot.playground.workspace.messages import Message
from bot.playground.workspace.workspace import Workspace

_PLACEHOLDERS = {"", "…", "..."}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Finds violations that a reader of the threads would notice.

    `answers(question, text)` returns whether a text is the complete answer to a question and nothing more. One text may
    answer several questions. The texts of a split answer are joined with an empty line.
    `remarks(text)` returns whether the app may post this besides, for instance the confirmation of a reset.
    `may_show(channel, root)` returns whether a status may remain there.
    """

    answers: Callable[[Message, str], bool]
    remarks: Callable[[str], bool] = lambda _: False
    may_show: Callable[[str, str], bool] = lambda _channel, _root: False

    def violations(
        self, workspace: Workspace, questions: Iterable[Message], optional: Iterable[Message] = ()
    ) -> list[str]:
        """Return the violations, one line each. No other question was asked in the workspace.

        An `optional` question may have no answer, but not two.
        """
        threads: dict[tuple[str, str], list[Message]] = {}
        needed = list(questions)
        for question in (*needed, *optional):
            threads.setdefault((question.channel, question.root), []).append(question)
        replies = {where: _app_replies(workspace, *where) for where in threads}
        must = {question.id for question in needed}
        in_threads = [line for where in threads for line in self._in_thread(threads[where], replies[where], must)]
        return [*in_threads, *self._statuses(workspace), *self._elsewhere(workspace, replies.values())]

    def _in_thread(
        self, questions: Sequence[Message], replies: Sequence[Message], must: AbstractSet[str]
    ) -> Iterator[str]:
        times: Counter[str] = Counter()
        for is_answer, group in itertools.groupby(replies, lambda message: bool(self._answered(questions, [message]))):
            run = list(group)
            while run:
                length = 1 if is_answer else self._length_of_answer(questions, run)
                times.update(self._answered(questions, run[:length]))
                if not length:
                    yield from self._not_an_answer(run[0])
                del run[: length or 1]
        for question in questions:
            if times[question.ts] != 1 and (times[question.ts] or question.id in must):
                how_often = f"answered {times[question.ts]} times" if times[question.ts] else "not answered"
                yield f"{_place(question)}: {how_often}: {question.text!r}"

    def _answered(self, questions: Sequence[Message], messages: Sequence[Message]) -> list[str]:
        """Return the `ts` of the questions that these messages together answer."""
        text = "\n\n".join(message.shown_text for message in messages)
        complete = bool(messages) and not any(message.streaming_since for message in messages)
        return [question.ts for question in questions if complete and self.answers(question, text)]

    def _length_of_answer(self, questions: Sequence[Message], run: Sequence[Message]) -> int:
        """Return how many of the first messages form an answer. Return 0 if none do."""
        lengths = range(1, len(run) + 1)
        return next((length for length in lengths if self._answered(questions, run[:length])), 0)

    def _not_an_answer(self, message: Message) -> Iterator[str]:
        if message.streaming_since:
            yield f"{_place(message)}: still streams: {message.shown_text!r}"
        elif message.shown_text.strip() in _PLACEHOLDERS:
            yield f"{_place(message)}: was left empty: {message.shown_text!r}"
        elif not self.remarks(message.shown_text):
            yield f"{_place(message)}: neither an answer nor a remark: {message.shown_text!r}"

    def _statuses(self, workspace: Workspace) -> Iterator[str]:
        for channel in workspace.channels.values():
            for root, status in workspace.statuses.in_channel(channel).items():
                if not self.may_show(channel.id, root):
                    yield f"{channel.id} {root}: still shows the status {status!r}"

    def _elsewhere(self, workspace: Workspace, judged: Iterable[Sequence[Message]]) -> Iterator[str]:
        known = {message.id for replies in judged for message in replies}
        for channel in workspace.channels.values():
            for message in workspace.app_messages(channel):
                if message.id not in known and not self.remarks(message.shown_text):
                    yield f"{_place(message)}: nobody asked there: {message.shown_text!r}"


def _app_replies(workspace: Workspace, channel: str, root: str) -> list[Message]:
    thread = workspace.thread(workspace.channels[channel], root)
    return [message for message in thread if message.bot_id == workspace.app.bot_id]


def _place(message: Message) -> str:
    where = f" in the thread {message.thread_ts}" if message.thread_ts else ""
    return f"{message.channel} {message.ts}{where}"
