"""What the model may do besides talking. Each tool is a file here.

Reading order: loop (the model calls for tools and goes on), set_preferences.
Rule: what a model calls for is untrusted: a tool checks its arguments, and does nothing for anybody but the one
author of the messages that are answered. What it changed is told to that person, whether or not the model tells it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

Arguments = Mapping[str, object]  # an object of JSON, as the model made it up


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call."""

    result: Mapping[str, Any]  # JSON, for the model to go on with
    note: str = ""  # for the person, unless the model tells them itself
    told_by: tuple[str, ...] = ()  # it has told them when it has used all of these words


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call: https://platform.openai.com/docs/guides/function-calling."""

    name: str
    description: str
    parameters: Mapping[str, Any]  # JSON Schema
    run: Callable[[Arguments], Awaitable[Outcome]]

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as a request names it."""
        return definition(self.name, self.description, self.parameters)


def definition(name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as a request names it."""
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def failed(problem: str | Mapping[str, str]) -> Outcome:
    """Nothing was done; the model reads why."""
    return Outcome({"error": problem})
