"""The arguments of a Web API call, read by type (docs.slack.dev/apis/web-api)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bot.playground.web_api.errors import SlackError, invalid_arguments
from bot.playground.workspace.messages import Json


class Args:
    """A call's arguments. Those of a JSON body keep their types, those of a form or a query are strings."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """Return a string, empty when it is missing."""
        value = self._values.get(name, "")
        if not isinstance(value, str):
            raise invalid_arguments(f"must be a string: {name}")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a boolean, None when it is missing."""
        value = self._values.get(name)
        return None if value is None else str(value).lower() in {"1", "true"}

    def number(self, name: str, default: int) -> int:
        """Return a whole number."""
        value = str(self._values.get(name, default))
        if not value.isascii() or not value.isdigit():
            raise invalid_arguments(f"must be a whole number: {name}")
        return int(value)

    def texts(self, name: str) -> list[str]:
        """Return a list of strings, given as such or as JSON text. Empty when it is missing."""
        value = self._decoded(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid_arguments(f"must be a list of strings: {name}")
        return value

    def items(self, name: str) -> list[Json]:
        """Return a list of objects, given as such or as JSON text. Empty when it is missing."""
        value = self._decoded(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise SlackError(f"invalid_{name}")
        return value

    def object(self, name: str) -> Json | None:
        """Return an object, given as such or as JSON text. None when it is missing."""
        value = self._decoded(name, None)
        if value is not None and not isinstance(value, dict):
            raise SlackError(f"invalid_{name}_format")
        return value

    def _decoded(self, name: str, default: Any) -> Any:
        value = self._values.get(name, default)
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise SlackError(f"invalid_{name}_format") from None
