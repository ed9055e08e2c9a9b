"""The tools that the model may call. Each tool is a file here.

Reading order: loop (the model calls tools and continues), set_preferences.
Rule: a tool call of the model is untrusted. A tool checks its arguments, and acts only for the one author of the
messages that are answered. That person reads of each change, whether or not the model mentions it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

Arguments = Mapping[str, object]  # a JSON object, as the model wrote it


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a call."""

    result: Mapping[str, Any]  # JSON, for the model to go on with
    note: str = ""  # for the person, unless the model mentions the change itself
    mentioned_by: tuple[str, ...] = ()  # it has mentioned the change when it has used all of these words


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call: https://platform.openai.com/docs/guides/function-calling."""

    name: str
    description: str
    parameters: Mapping[str, Any]  # JSON Schema
    run: Callable[[Arguments], Awaitable[Outcome]]

    @property
    def definition(self) -> dict[str, Any]:
        """The tool in the form of a request."""
        return definition(self.name, self.description, self.parameters)


def definition(name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool in the form of a request."""
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def failed(problem: str | Mapping[str, str]) -> Outcome:
    """Return the outcome of a call that did nothing; the model reads the problem."""
    return Outcome({"error": problem})
