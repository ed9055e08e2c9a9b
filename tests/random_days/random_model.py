"""The random suite's model: each answer names the messages that it answers, and the others in the request.

Rule: an answer is a function of its request, so that a reader in Slack can tell whether it is whole.
"""

from __future__ import annotations

import asyncio
import enum
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from bot.domain import quiet_texts, texts
from bot.domain.listening import QuietOutcome
from bot.domain.sessions import Interrupted, ResetOutcome, StopOutcome
from bot.errors import Trouble
from bot.prompt.marks import ASIDE_BEGINS, ASIDE_ENDS, CONTEXT_ENDS
from bot.testing import PausedStep
from tests.random_days.random_steps import ModelFault
from tests.support.openai_server import Cut, Fails, Reply, Request, Step, Waits, says

TOKEN = re.compile(r"\bq\d{3}\b")
_HEAD = re.compile(r"Answer to (?P<asked>[q0-9 ]+)\. I was shown (?P<shown>nothing|[q0-9 ]+)\.")
_THREAD_CONTEXT = re.compile(r"\[From here to.*?" + re.escape(CONTEXT_ENDS), re.DOTALL)
_ASIDE = re.compile(re.escape(ASIDE_BEGINS) + r".*?" + re.escape(ASIDE_ENDS), re.DOTALL)
_LONG = 9  # parts that do not fit into one message
_PAUSES_S = (0.02, 0.2, 0.5)  # between two pieces of an answer


class Ending(enum.Enum):
    """The kinds of ending of the bot's texts."""

    WHOLE = "whole"
    TOLD = "told"  # the reason for a missing or partial answer
    INTERRUPTED = "interrupted"
    RESET_LINE = "reset line"
    STOP_LINE = "stop line"
    QUIET_LINE = "quiet line"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Reading:
    """One of the bot's texts, parsed: its ending, the tokens that it answers, and the other tokens shown."""

    ending: Ending
    asked: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()


def tokens(text: str) -> tuple[str, ...]:
    """Return the tokens in a text, in its order."""
    return tuple(TOKEN.findall(text))


def asked_in(request: Request) -> tuple[str, ...]:
    """Return the tokens of the messages that are to be answered."""
    return tokens(_ASIDE.sub("", request.body["messages"][-1]["content"].rpartition(CONTEXT_ENDS)[2]))


def shown_in(request: Request) -> tuple[str, ...]:
    """Return the tokens of the session's earlier messages in the request."""
    said = _ASIDE.sub("", _THREAD_CONTEXT.sub("", _said(request)))
    return tokens(said)[: -len(asked_in(request)) or None]


def thread_context_in(request: Request) -> tuple[str, ...]:
    """Return the tokens of the messages that people wrote before they called the bot, or not to it."""
    return tokens(" ".join([*_THREAD_CONTEXT.findall(_said(request)), *_ASIDE.findall(_said(request))]))


def paragraphs(asked: Sequence[str], shown: Sequence[str]) -> list[str]:
    """Return the answer's paragraphs. Some answers are too long for one Slack message."""
    number = _number(asked)
    parts, words = (_LONG, 260) if number % 11 == 7 else (number % 4, 12)
    head = f"Answer to {' '.join(asked) or 'nothing'}. I was shown {' '.join(shown) or 'nothing'}."
    said = [f"Part {part}: " + " ".join(f"w{part}{word}" for word in range(words)) + "." for part in range(parts)]
    return [head, *said, "That is all."]


def read(text: str) -> Reading:
    """Parse one of the bot's texts. Line breaks do not matter."""
    flat = _flat(text)
    if flat in _LINES:
        return Reading(_LINES[flat])
    found = _HEAD.match(flat)
    last, ending = next(((last, ending) for last, ending in _LAST.items() if flat.endswith(last)), ("", Ending.WHOLE))
    if found is None:
        return Reading(ending if last and flat == last else Ending.NONE)
    asked, shown = tokens(found["asked"]), tokens(found["shown"])
    whole, said = _flat(" ".join(paragraphs(asked, shown))), flat.removesuffix(last).strip()
    if said == whole:  # a late interruption cut nothing off
        return Reading(Ending.WHOLE, asked, shown)
    return Reading(ending if last and whole.startswith(said) else Ending.NONE, asked, shown)


class Model:
    """Gives correct answers at its own pace, after the failures that the day asks for."""

    def __init__(self) -> None:
        self.trouble: deque[ModelFault] = deque()
        self._holds: set[PausedStep] = set()

    def answer(self, request: Request) -> Reply:
        """Reply to a request. See OpenAIServer."""
        asked = asked_in(request)
        pieces = [piece + "\n\n" for piece in paragraphs(asked, shown_in(request))]
        if self.trouble:
            return self._in_trouble(self.trouble.popleft(), pieces)
        return says(*self._paced(pieces, _PAUSES_S[_number(asked) % len(_PAUSES_S)]))

    def calm(self) -> None:
        """End all failures and all pauses."""
        self.trouble.clear()
        for hold in self._holds:
            hold.release()
        self._holds.clear()

    def _in_trouble(self, kind: ModelFault, pieces: Sequence[str]) -> Reply:
        match kind:
            case "unavailable":
                return Fails(503, "away")
            case "rate_limited":
                return Fails(429, "too many", {"retry-after": "1"})
            case "cut":
                return says(*pieces[:1], self._held(0.3), Cut())
            case "stall":
                return says(*pieces[:1], self._held(), Cut())
            case "silence":
                return Waits(self._held())
            case "empty":
                return says()
            case _:
                assert_never(kind)

    def _paced(self, pieces: Sequence[str], pause_s: float) -> list[Step]:
        steps: list[Step] = []
        for number, piece in enumerate(pieces, 1):
            steps += [self._held(pause_s * number), piece]
        return steps

    def _held(self, for_s: float | None = None) -> PausedStep:
        """Return a pause that ends after so many seconds from now, or when all calms down."""
        hold = PausedStep()
        self._holds.add(hold)
        if for_s is not None:
            asyncio.get_running_loop().call_later(for_s, hold.release)
        return hold


def _said(request: Request) -> str:
    return " ".join(message["content"] for message in request.body["messages"] if message["role"] == "user")


def _number(asked: Sequence[str]) -> int:
    """Return the number by which answers differ."""
    return int(asked[0][1:]) if asked else 0


def _flat(text: str) -> str:
    return " ".join(text.split())


_LAST = {
    **{_flat(texts.trouble(kind)): Ending.TOLD for kind in Trouble},
    **{_flat(line): Ending.INTERRUPTED for why in Interrupted if (line := texts.interrupted(why))},
}
_LINES = {
    **{_flat(texts.fixed_reply(outcome)): Ending.RESET_LINE for outcome in ResetOutcome},
    **{_flat(texts.fixed_reply(outcome)): Ending.STOP_LINE for outcome in StopOutcome},
    **{_flat(quiet_texts.reply(outcome)): Ending.QUIET_LINE for outcome in QuietOutcome},
}
