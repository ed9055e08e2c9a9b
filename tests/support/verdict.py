"""The verdict on what stands in a workspace: every question has one whole answer, and the app said nothing else.

It looks from outside, as a reader of the threads does, and knows nothing of the bot.
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
    """A judge of threads.

    `answers(question, text)` tells whether a text is the whole answer to a question, and nothing more; one text may
    answer several. An answer in several messages is their texts with an empty line between. `remarks(text)` tells
    what else the app may say: that it was reset, that it was stopped. `may_show(channel, root)` tells where a status
    that stays is no matter.
    """

    answers: Callable[[Message, str], bool]
    remarks: Callable[[str], bool] = lambda _: False
    may_show: Callable[[str, str], bool] = lambda _channel, _root: False

    def violations(
        self, workspace: Workspace, questions: Iterable[Message], optional: Iterable[Message] = ()
    ) -> list[str]:
        """What is wrong, a line each; empty when all is well. Nobody else in the workspace has asked anything.

        What is `optional` may be left without an answer, but has no two.
        """
        threads: dict[tuple[str, str], list[Message]] = {}
        needed = list(questions)
        for question in (*needed, *optional):
            threads.setdefault((question.channel, question.root), []).append(question)
        said = {where: _said(workspace, *where) for where in threads}
        must = {question.id for question in needed}
        wrong = [line for where in threads for line in self._in_thread(threads[where], said[where], must)]
        return [*wrong, *self._statuses(workspace), *self._elsewhere(workspace, said.values())]

    def _in_thread(self, asked: Sequence[Message], said: Sequence[Message], must: AbstractSet[str]) -> Iterator[str]:
        times: Counter[str] = Counter()
        for alone, group in itertools.groupby(said, lambda message: bool(self._answered(asked, [message]))):
            run = list(group)
            while run:
                length = 1 if alone else self._length_of_answer(asked, run)
                times.update(self._answered(asked, run[:length]))
                if not length:
                    yield from self._of_no_answer(run[0])
                del run[: length or 1]
        for question in asked:
            if times[question.ts] != 1 and (times[question.ts] or question.id in must):
                how_often = f"answered {times[question.ts]} times" if times[question.ts] else "not answered"
                yield f"{_place(question)}: {how_often}: {question.text!r}"

    def _answered(self, asked: Sequence[Message], said: Sequence[Message]) -> list[str]:
        """The `ts` of the questions to which these messages together are the answer."""
        text = "\n\n".join(message.text for message in said)
        whole = bool(said) and not any(message.streaming_since for message in said)
        return [question.ts for question in asked if whole and self.answers(question, text)]

    def _length_of_answer(self, asked: Sequence[Message], run: Sequence[Message]) -> int:
        """How many of the first messages are an answer together; 0 when none are."""
        lengths = range(1, len(run) + 1)
        return next((length for length in lengths if self._answered(asked, run[:length])), 0)

    def _of_no_answer(self, message: Message) -> Iterator[str]:
        if message.streaming_since:
            yield f"{_place(message)}: still streams: {message.text!r}"
        elif message.text.strip() in _PLACEHOLDERS:
            yield f"{_place(message)}: was left empty: {message.text!r}"
        elif not self.remarks(message.text):
            yield f"{_place(message)}: neither an answer nor a remark: {message.text!r}"

    def _statuses(self, workspace: Workspace) -> Iterator[str]:
        for channel in workspace.channels.values():
            for root, status in workspace.statuses.in_channel(channel).items():
                if not self.may_show(channel.id, root):
                    yield f"{channel.id} {root}: still shows the status {status!r}"

    def _elsewhere(self, workspace: Workspace, judged: Iterable[Sequence[Message]]) -> Iterator[str]:
        known = {message.id for said in judged for message in said}
        for channel in workspace.channels.values():
            for message in workspace.app_messages(channel):
                if message.id not in known and not self.remarks(message.text):
                    yield f"{_place(message)}: nobody asked there: {message.text!r}"


def _said(workspace: Workspace, channel: str, root: str) -> list[Message]:
    thread = workspace.thread(workspace.channels[channel], root)
    return [message for message in thread if message.bot_id == workspace.app.bot_id]


def _place(message: Message) -> str:
    where = f" in the thread {message.thread_ts}" if message.thread_ts else ""
    return f"{message.channel} {message.ts}{where}"
