"""How a turn ended, as it is stored."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Self

from bot.errors import Trouble
from bot.llm import Done
from bot.prompt.history import HistoryWindow


class TurnState(enum.Enum):
    """How a turn ended, or that it runs."""

    RUNNING = "running"
    ANSWERED = "answered"
    FAILED = "failed"
    STOPPED = "stopped"  # by a person; the text until then is remembered
    SUPERSEDED = "superseded"  # its session was closed first: a late answer is discarded


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A whole answer of the model that an earlier attempt got, and that the platform has not shown whole yet."""

    text: str = field(repr=False)
    done: Done


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a turn ended, as it is stored."""

    state: TurnState
    answer: str | None = None
    trouble: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    truncated: bool | None = None  # the answer stopped at the model's length limit
    new_window: HistoryWindow | None = None  # the session's window, if it has moved
    fragment: bool = False  # the platform shows a part of an answer, which the turn's next attempt replaces

    @classmethod
    def by(
        cls,
        done: Done | None,
        state: TurnState,
        answer: str,
        *,
        trouble: Trouble | None = None,
        new_window: HistoryWindow | None = None,
    ) -> Self:
        """Make the settlement of a turn that called the model; `done` has the usage."""
        usage = done.usage if done else None
        return cls(
            state,
            answer=answer,
            trouble=trouble.value if trouble else None,
            model=done.model if done else None,
            prompt_tokens=usage.prompt if usage else None,
            cached_tokens=usage.cached if usage else None,
            completion_tokens=usage.completion if usage else None,
            truncated=done.truncated if done else None,
            new_window=new_window,
        )

    @property
    def figures(self) -> dict[str, object]:
        """The cost of the turn, or the reason of its failure, as fields of a log line."""
        return {
            "state": self.state.value,
            "trouble": self.trouble,
            "model": self.model,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
        }
