"""Compose: the prompt of one turn, from the persona, the summary, whole turns, the note and the newest message.

Rule: pure. A prompt never exceeds its room, and the newest message is always in it. Parts that change from turn to turn
stand after the history, so that the prompt cache covers the rest. The persona is the only system message, and user and
assistant alternate after it, because the chat templates of many models accept nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter

from bot.prompt.budget import Budget, Room
from bot.prompt.history import (
    WHOLE_HISTORY,
    ChatMessage,
    HistoryWindow,
    Past,
    Turn,
    has_several_authors,
    read,
    turns_that_fit,
    turns_to_show,
)
from bot.prompt.marks import (
    MISSING,
    NOTE_BEGINS,
    NOTE_ENDS,
    SUMMARY_BEGINS,
    SUMMARY_ENDS,
    set_in,
    without_marks,
)
from bot.prompt.tokens import MOST_CHARACTERS, estimate_tokens, shorten

CROWDED = 0.75  # of the room: beyond that, compaction starts, before turns have to be left out


@dataclass(frozen=True, slots=True)
class Compaction:
    """The next compaction: which turns to add to the summary."""

    until: int  # the id of the last turn to add
    several: bool  # several people have written in the session


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages of one request, and the window of the history in it."""

    messages: tuple[ChatMessage, ...]
    tokens: int  # estimated
    window: HistoryWindow  # the window, which may have moved
    shortened: bool  # the newest message is not shown in full
    compaction: Compaction | None  # None: no compaction is due

    def has_number(self, number: int) -> bool:
        """Return whether a message has the digits of this number, with or without commas."""
        return any(str(number) in message["content"].replace(",", "") for message in self.messages)


@dataclass(frozen=True, slots=True)
class PromptParts:
    """The parts of one request, besides the persona."""

    past: Past
    newest: Turn
    names: Mapping[str, str] = field(default_factory=dict)
    about: str = ""  # the note on the author and the time; only for this answer
    instructions: str = ""  # below the persona, shown whole
    following: tuple[ChatMessage, ...] = ()  # after the newest turn, shown whole
    extra_tokens: int = 0  # tokens of the request besides its messages
    one_caller: bool = False  # all messages are an API caller's

    @property
    def size(self) -> int:
        """The length of its texts in characters. Composing takes time in proportion."""
        following = sum(len(message["content"]) for message in self.following)
        return self.past.size + self.newest.size + len(self.about) + len(self.instructions) + following


def compose(persona: str, parts: PromptParts, budget: Budget) -> Prompt:
    """Return the prompt for the newest turn."""
    past, newest, extra_tokens = parts.past, parts.newest, parts.extra_tokens
    system, instruction_tokens = _system(persona, parts.instructions)
    room = budget.room(system.tokens - instruction_tokens + extra_tokens)
    summary, note = _summary(past.window, room), _marked_text(NOTE_BEGINS, parts.about, NOTE_ENDS, room)
    after = _part(_unmarked(parts.following))
    left = room.tokens - summary.tokens - note.tokens - instruction_tokens - after.tokens
    turns_read = read([*past.turns, newest], parts.names, several=past.window.several, one_caller=parts.one_caller)
    *earlier, [*context, newest_message] = turns_read
    question = _part([newest_message], left, min(left, room.most // 2))
    before = _shortened_equally(context, left - question.tokens)
    turns = _turns(earlier, room)
    if dropped := len(turns) - turns_to_show([turn.tokens for turn in turns], left - question.tokens - before.tokens):
        return compose(persona, replace(parts, past=_without_oldest(past, dropped, newest)), budget)
    shown = (system, summary, *turns, before, note, question)
    return Prompt(
        messages=(*_alternating(message for part in shown for message in part.messages), *after.messages),
        tokens=sum(part.tokens for part in shown) + after.tokens + extra_tokens,
        window=past.window,
        shortened=question.messages != (newest_message,) or question.tokens > left,
        compaction=_compaction(past, newest, [turn.tokens for turn in turns], left, question.tokens + before.tokens),
    )


def compose_verbatim(
    persona: str, messages: Sequence[ChatMessage], budget: Budget, *, instructions: str = "", extra_tokens: int = 0
) -> Prompt:
    """Return the prompt of exactly these messages. Only the model's window limits them."""
    (system, instruction_tokens), given = _system(persona, instructions), _part(_unmarked(messages))
    left = budget.widest(system.tokens - instruction_tokens + extra_tokens) - instruction_tokens
    return Prompt(
        messages=(*system.messages, *given.messages),
        tokens=system.tokens + given.tokens + extra_tokens,
        window=WHOLE_HISTORY,
        shortened=given.tokens > left,
        compaction=None,
    )


def filled(persona: str, past: Past, budget: Budget, *, extra_tokens: int = 0) -> float:
    """Return the share of the room, up to 1, that the history takes. `extra_tokens`: see `compose`."""
    room = budget.room(estimate_tokens(persona) + extra_tokens)
    turns = _turns(read(past.turns, {}, several=past.window.several), room)
    return min(1.0, (_summary(past.window, room).tokens + sum(turn.tokens for turn in turns)) / room.tokens)


@dataclass(frozen=True, slots=True)
class _Part:
    """Messages, and their estimated tokens."""

    messages: tuple[ChatMessage, ...]
    tokens: int


_UNBOUNDED = 1 << 62  # tokens


def _system(persona: str, instructions: str) -> tuple[_Part, int]:
    """Return the system message, and the tokens of the instructions in it."""
    alone = _part([{"role": "system", "content": persona}])
    if not instructions:
        return alone, 0
    # One message, not two: some models' chat templates accept a single one, in the first place.
    both = _part([{"role": "system", "content": f"{persona}\n\n{without_marks(instructions)}"}])
    return both, both.tokens - alone.tokens


def _summary(window: HistoryWindow, room: Room) -> _Part:
    summary = _marked_text(SUMMARY_BEGINS, window.summary, SUMMARY_ENDS, room)
    missing = _part([{"role": "user", "content": MISSING}])
    if window.after <= window.reaches or missing.tokens > room.tokens // 8:
        return summary
    return _Part(summary.messages + missing.messages, summary.tokens + missing.tokens)


def _marked_text(begins: str, text: str, ends: str, room: Room) -> _Part:
    """Return a text beside the turns: indented between two marks, so that nothing in it can close it.

    It takes at most a quarter of the room. If not even the marks fit, there is none.
    """
    quarter = room.tokens // 4
    most = quarter - estimate_tokens(f"{begins}\n\n\n\n{ends}") if text.strip() else 0
    while most > 0:
        inside = set_in(shorten(without_marks(text), most))
        part = _part([{"role": "user", "content": f"{begins}\n\n{inside}\n\n{ends}"}])
        if part.tokens <= quarter:
            return part
        most -= part.tokens - quarter
    return _part([])


def _unmarked(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Return a caller's messages, without lines that read like marks of ours."""
    return [{**message, "content": without_marks(message["content"])} for message in messages]


def _alternating(messages: Iterable[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Join neighbouring messages of the same role."""
    groups = groupby(messages, key=itemgetter("role"))
    return tuple(ChatMessage(role=role, content="\n\n".join(one["content"] for one in ones)) for role, ones in groups)


def _turns(turns: Iterable[Sequence[ChatMessage]], room: Room) -> list[_Part]:
    return [_part(turn, room.most, room.most // 2) for turn in turns]


def _shortened_equally(messages: Sequence[ChatMessage], room: int) -> _Part:
    """Return messages that belong together: whole, or each shortened to its share of the room, or none of them."""
    if (whole := _part(messages)).tokens <= max(room, 0):
        return whole
    share = room // len(messages)
    shortened = _part(messages, share, share)
    return shortened if shortened.tokens <= room else _part([])


def _part(messages: Sequence[ChatMessage], most: int = _UNBOUNDED, then: int = 0) -> _Part:
    """Return the messages. One with more than `most` tokens is shortened to `then`."""
    shown: list[ChatMessage] = []
    tokens = 0
    for message in messages:
        text, cost = _within(message["content"], most, then)
        tool_calls = message.get("tool_calls")
        tokens += cost + (estimate_tokens(json.dumps(tool_calls)) if tool_calls else 0)
        shown.append({**message, "content": text})
    return _Part(tuple(shown), tokens)


def _within(text: str, most: int, then: int) -> tuple[str, int]:
    """Return a text, shortened to `then` tokens if it has more than `most`, and its tokens."""
    if len(text) <= most * MOST_CHARACTERS and (tokens := estimate_tokens(text)) <= most:
        return text, tokens
    return (shortened := shorten(text, then)), estimate_tokens(shortened)


def _without_oldest(past: Past, dropped: int, newest: Turn) -> Past:
    """Drop the oldest turns. The request's prefix changes anyway, so names may now be shown from its start."""
    window = replace(past.window, after=past.turns[dropped - 1].id, several=_several(past, newest))
    return Past(past.turns[dropped:], window)


def _compaction(past: Past, newest: Turn, costs: Sequence[int], room: int, newest_cost: int) -> Compaction | None:
    """Return the compaction that is due, if any.

    In a crowded room: all turns except the newest ones that fit into half of it. Otherwise: the turns that the window
    has left behind.
    """
    crowded = sum(costs) + newest_cost > CROWDED * room
    dropped = len(costs) - turns_that_fit(costs, room // 2) if crowded else 0
    until = past.turns[dropped - 1].id if dropped else past.window.after
    return Compaction(until, _several(past, newest)) if until > past.window.reaches else None


def _several(past: Past, newest: Turn) -> bool:
    return past.window.several or has_several_authors([*past.turns, newest])
