"""Doubles for tests of this bot and of programs on its API: a model that follows a script, a clock that is set.

Rule: a double is strict. A call without a script fails, and so does a script that was not called.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import assert_never

from bot.errors import ModelError
from bot.llm import NO_PARAMETERS, Done, Parameters, ToolCall, Usage
from bot.prompt.history import ChatMessage


class PausedStep:
    """A step of a script at which the model waits until the test releases it."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._released = asyncio.Event()

    async def reached(self) -> None:
        """Wait until the model has reached this step."""
        await self._reached.wait()

    def release(self) -> None:
        """Let the model continue."""
        self._released.set()

    async def pause(self) -> None:
        """Wait for the release. The model that plays the script calls this."""
        self._reached.set()
        await self._released.wait()


Step = str | PausedStep | ModelError


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request to the model, copied when it was made."""

    messages: tuple[ChatMessage, ...]
    parameters: Parameters = field(default_factory=dict)

    def knows(self, text: str) -> bool:
        """Return whether any message of the request holds this text."""
        return any(text in message["content"] for message in self.messages)


class ScriptedLLM:
    """An LLM that plays one script per call, in order."""

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []
        self.closed_early = 0  # calls whose stream the caller closed before its end
        self._scripts: deque[tuple[Sequence[Step], Done]] = deque()
        self._unexpected = 0
        self._called = asyncio.Condition()

    def script(
        self,
        *steps: Step,
        usage: Usage | None = None,
        truncated: bool = False,
        tool_calls: Sequence[ToolCall] = (),
        done: Done | None = None,
    ) -> None:
        """Script the next call: text is streamed, a PausedStep is waited at, a ModelError is raised.

        `done` is the end of the answer in place of the one that the other arguments describe.
        """
        self._scripts.append((steps, done or Done("scripted", usage, truncated, tuple(tool_calls))))

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """See LLM.stream. Raises AssertionError when no script is left."""
        await self._record(ModelCall(tuple(copy.deepcopy(list(messages))), copy.deepcopy(dict(parameters))))
        if not self._scripts:
            self._unexpected += 1
            raise AssertionError(f"call {len(self.calls)} of the model is not in the script")
        steps, done = self._scripts.popleft()
        try:
            for step in steps:
                match step:
                    case str():
                        yield step
                    case PausedStep():
                        await step.pause()
                    case ModelError():
                        raise step
                    case _:
                        assert_never(step)
        except (GeneratorExit, asyncio.CancelledError):
            self.closed_early += 1
            raise
        yield done

    async def called(self, times: int) -> ModelCall:
        """Wait until the model has been called `times` times in all; return that last call."""
        async with self._called:
            await self._called.wait_for(lambda: len(self.calls) >= times)
        return self.calls[times - 1]

    def assert_done(self) -> None:
        """Raise AssertionError unless every script was played and no call came without one."""
        if self._scripts or self._unexpected:
            raise AssertionError(f"{len(self._scripts)} scripts not played, {self._unexpected} calls not in the script")

    async def _record(self, call: ModelCall) -> None:
        async with self._called:
            self.calls.append(call)
            self._called.notify_all()


class SettableClock:
    """A clock that stands still until a test moves it. UTC."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        """Raise ValueError for a time without a zone."""
        if start.tzinfo is None:
            raise ValueError("the clock needs a time zone")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the clock's time."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the clock; backwards too, as happens to real clocks."""
        self._now += by
