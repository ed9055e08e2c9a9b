"""History: a session's turns as the model reads them, and the window of those that are shown.

Rule: pure. A turn's text depends only on it and on earlier turns, so that requests keep the same prefix.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal, NotRequired, TypedDict, TypeVar

from bot.domain import texts
from bot.domain.events import Attachment, Forwarded
from bot.domain.file_content import ScaledImage
from bot.prompt import attached_files, thread_context
from bot.prompt.marks import ASIDE_BEGINS, ASIDE_ENDS, SINGLE_AUTHOR_NOTE, without_marks
from bot.prompt.speakers import UNKNOWN, attributed, forwarded_people, mentioned, message_text, unattributed
from bot.prompt.thread_context import NO_THREAD_CONTEXT, EarlierMessage, ThreadContext

Role = Literal["system", "user", "assistant", "tool"]
M = TypeVar("M", "Utterance", EarlierMessage)


class ChatMessage(TypedDict):
    """One of the `messages` in a chat-completions request of OpenAI's API."""

    role: Role
    content: str
    name: NotRequired[str]  # the author's, as an API caller gave it
    tool_calls: NotRequired[Sequence[Mapping[str, Any]]]  # in an assistant's message
    tool_call_id: NotRequired[str]  # in a tool's message: the call that it answers
    images: NotRequired[Sequence[ScaledImage]]  # after its text; bot/llm/image_parts.py writes them in OpenAI's form


@dataclass(frozen=True, slots=True)
class Utterance:
    """A person's message, as it is stored."""

    author_id: str
    text: str
    attachments: tuple[Attachment, ...] = ()
    forwarded: tuple[Forwarded, ...] = ()
    message_id: str = field(default="", compare=False)  # the platform's
    overheard: bool = False  # not written to the bot


@dataclass(frozen=True, slots=True)
class Turn:
    """Messages that are answered together, and the answer; None while there is none yet."""

    messages: tuple[Utterance, ...]
    answer: str | None = None
    id: int = field(default=0, compare=False)  # of its row; increases within a session
    thread_context: ThreadContext = NO_THREAD_CONTEXT  # shown with this turn

    @property
    def texts(self) -> list[str]:
        """The texts of its messages, of those that they pass on, and of their files."""
        messages: list[Utterance | EarlierMessage] = [*self.messages, *self.thread_context.messages]
        written = [text for message in messages for text in (message.text, *(each.text for each in message.forwarded))]
        return written + [file.content.text for file in files_of(self) if file.content is not None]

    @property
    def size(self) -> int:
        """The length of its texts in characters, with the answer's."""
        return sum(map(len, (*self.texts, self.answer or "")))


@dataclass(frozen=True, slots=True)
class HistoryWindow:
    """The part of a session that the model reads, and the summary of the part before it."""

    after: int = 0  # the id of the last turn before the window
    summary: str = ""
    reaches: int = 0  # the id of the last turn that the summary covers
    several: bool = False  # several people have written up to there


WHOLE_HISTORY = HistoryWindow()


@dataclass(frozen=True, slots=True)
class Past:
    """The settled turns in the window, oldest first, and the window."""

    turns: tuple[Turn, ...] = ()
    window: HistoryWindow = WHOLE_HISTORY

    @property
    def size(self) -> int:
        """The length of its texts in characters."""
        return sum(turn.size for turn in self.turns) + len(self.window.summary)


def speakers(turns: Iterable[Turn]) -> frozenset[str]:
    """Return the ids of all authors of these turns."""
    return frozenset(message.author_id for turn in turns for message in turn.messages)


def has_several_authors(turns: Sequence[Turn]) -> bool:
    """Return whether several people wrote in these turns, so that messages begin with their authors' names."""
    return len(speakers(turns)) > 1 or any(turn.thread_context != NO_THREAD_CONTEXT for turn in turns)


def holds_words_of_others(past: Past, newest: Turn) -> bool:
    """Return whether a prompt of these turns shows words that the newest message's author has not written.

    They are other people's messages and names, the thread context, forwarded messages, names of files, and summaries
    of several people.
    """
    turns = [*past.turns, newest]
    has_files = any(message.attachments or message.forwarded for turn in turns for message in turn.messages)
    return past.window.several or has_several_authors(turns) or has_files or bool(named(turns))


def files_in(message: Utterance | EarlierMessage) -> list[Attachment]:
    """Return the files that a message shows: its own, and then those of the messages that it passes on."""
    return [*message.attachments, *(file for each in message.forwarded for file in each.attachments)]


def with_files(message: M, files: Iterable[Attachment]) -> M:
    """Return the message with these files in place of its own, in the order of `files_in`."""
    left = iter(files)
    own = tuple(islice(left, len(message.attachments)))
    forwarded = [replace(each, attachments=tuple(islice(left, len(each.attachments)))) for each in message.forwarded]
    return replace(message, attachments=own, forwarded=tuple(forwarded))


def files_of(turn: Turn) -> list[Attachment]:
    """Return the files of a turn: those in its thread context, and those in its messages."""
    before = [file for message in turn.thread_context.messages for file in files_in(message)]
    return [*before, *(file for message in turn.messages for file in files_in(message))]


def with_files_of(turn: Turn, files: Iterable[Attachment]) -> Turn:
    """Return the turn with these files in place of its own, in the order of `files_of`."""
    left = iter(files)
    context = [with_files(each, islice(left, len(files_in(each)))) for each in turn.thread_context.messages]
    messages = tuple(with_files(each, islice(left, len(files_in(each)))) for each in turn.messages)
    return replace(turn, messages=messages, thread_context=replace(turn.thread_context, messages=tuple(context)))


def with_short_files(turn: Turn, most_tokens: int) -> Turn:
    """Return the turn with files whose texts have at most so many tokens together."""
    files = files_of(turn)
    if not any(file.content is not None and file.content.text for file in files):
        return turn
    return with_files_of(turn, attached_files.shortened(files, most_tokens))


def named(turns: Iterable[Turn], *, several: bool = False) -> list[str]:
    """Return the ids of all people whose names these turns show, in order of appearance. `several`: see `read`."""
    people: dict[str, None] = {}
    authors: dict[str, None] = {}
    for turn in turns:
        people |= dict.fromkeys(thread_context.named(turn.thread_context))
        authors |= dict.fromkeys(message.author_id for message in turn.messages)
        several = several or turn.thread_context != NO_THREAD_CONTEXT or len(authors) > 1
        people |= authors if several else {}
        for message in turn.messages:
            people |= dict.fromkeys([*mentioned(message.text), *forwarded_people(message.forwarded)])
    return list(people)


def read(
    turns: Iterable[Turn], names: Mapping[str, str], *, several: bool = False, one_caller: bool = False
) -> Iterator[list[ChatMessage]]:
    """Yield the messages of each turn, oldest first. `several`: several people wrote before these turns.

    `one_caller`: all messages are an API caller's, so nobody else's can be mistaken for one of them.

    Messages begin with their authors' names from the turn on in which a second person writes, or which has a thread
    context. The turns before it do not change; a note in that turn names their author.
    """
    only_author: str | None = None
    for turn in turns:
        authors = speakers([turn])
        all_authors = authors | {only_author} if only_author else authors
        joined = not several and (len(all_authors) > 1 or has_several_authors([turn]))
        several = several or joined
        note = SINGLE_AUTHOR_NOTE.format(names.get(only_author, UNKNOWN)) if joined and only_author else ""
        yield render(turn, names, several=several, note=note, one_caller=one_caller)
        only_author = next(iter(all_authors), None)


def render(
    turn: Turn, names: Mapping[str, str], *, several: bool, note: str = "", one_caller: bool = False
) -> list[ChatMessage]:
    """Return a turn's messages. With `several`, each text of a person begins with their name."""
    said = [_text(message, names, several=several, one_caller=one_caller) for message in turn.messages]
    question = "\n\n".join([note, *said] if note else said)
    if one_caller and len(said) > 1:  # a mark may be spread over several messages
        question = without_marks(question)
    messages: list[ChatMessage] = [
        {"role": "assistant" if own else "user", "content": text} for own, text in _pieces(turn, names, question)
    ]
    if images := attached_files.images_of(files_of(turn)):
        messages[-1]["images"] = images
    if turn.answer:  # some backends refuse an empty message
        messages.append({"role": "assistant", "content": _answer(turn.answer)})
    return messages


def transcript(turn: Turn, names: Mapping[str, str]) -> str:
    """Return a turn as one text, for a summary; empty when all its messages were deleted."""
    if not turn.messages:
        return ""
    question = "\n".join(_text(message, names, several=True) for message in turn.messages)
    said = [attributed("You", text) if own else text for own, text in _pieces(turn, names, question)]
    return "\n".join([*said, attributed("You", _answer(turn.answer))] if turn.answer else said)


def turns_to_show(tokens: Sequence[int], room: int) -> int:
    """Return how many of the newest turns to show. `tokens`: of each turn, oldest first.

    All if they fit; otherwise those that fit into half of the room. So the window moves rarely and in large steps,
    and the prompt cache stays valid in between.
    """
    return len(tokens) if sum(tokens) <= room else turns_that_fit(tokens, room // 2)


def turns_that_fit(tokens: Sequence[int], room: int) -> int:
    """Return how many of the newest turns fit into the room. `tokens`: of each turn, oldest first."""
    sums = itertools.accumulate(reversed(tokens))
    return sum(1 for _ in itertools.takewhile(lambda total: total <= room, sums))


def _text(message: Utterance, names: Mapping[str, str], *, several: bool, one_caller: bool = False) -> str:
    if not several and not one_caller:
        text = unattributed(message.text, message.attachments, names, message.forwarded)
    else:
        text = message_text(message.text, message.attachments, names, forwarded=message.forwarded, named=several)
        text = attributed(names.get(message.author_id, UNKNOWN), text) if several else text
    return f"{ASIDE_BEGINS}\n\n{text}\n\n{ASIDE_ENDS}" if message.overheard else text


def _answer(text: str) -> str:
    return text if text == texts.ANSWER_ERASED else without_marks(text)


def _pieces(turn: Turn, names: Mapping[str, str], question: str) -> Iterable[tuple[bool, str]]:
    """Return the texts before the turn's answer as (whether it is the bot's, text)."""
    if turn.thread_context == NO_THREAD_CONTEXT:
        return [(False, question)]
    return thread_context.pieces(turn.thread_context, names, question)
