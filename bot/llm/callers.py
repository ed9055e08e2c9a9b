"""Callers of the HTTP API and of Python: whose request it is, and values that are kept for each caller apart.

Rule: a request of one caller changes nothing for other callers, nor for our own requests: Slack's turns, and summaries
of Slack's sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from bot.llm import Parameters, of_caller

MOST_CALLERS = 1_000
MOST_MODELS = 16  # of one caller

K = TypeVar("K")
T = TypeVar("T")


class CallersParameters(dict[str, Any]):
    """The parameters of a caller's request, with the caller's name, which is not sent.

    `most_tokens` limits the answer to the tokens that the caller's key has for it; None: no such limit. It is sent to
    backends that accept a limit.
    """

    def __init__(self, parameters: Parameters, caller: str, most_tokens: int | None = None) -> None:
        super().__init__(parameters)
        self.caller = caller
        self.most_tokens = most_tokens


def limited(parameters: Parameters, most_tokens: int) -> Parameters:
    """Return a caller's parameters with a limit of ours for the answer."""
    caller = caller_of(parameters)
    return parameters if caller is None else CallersParameters(parameters, caller, max(1, most_tokens))


def own_limit(parameters: Parameters) -> int | None:
    """Return our limit for the answer to a caller, if there is one."""
    return parameters.most_tokens if isinstance(parameters, CallersParameters) else None


def caller_of(parameters: Parameters) -> str | None:
    """Return the caller whose request has these parameters; None for our own requests.

    Parameters that none of our own requests has belong to a caller without a name.
    """
    if isinstance(parameters, CallersParameters):
        return parameters.caller
    return "" if of_caller(parameters) or "model" in parameters else None


class PerCaller(Generic[T]):
    """One value for our own requests, and one for each model that each caller uses.

    The values that were used last are kept. A caller that names many models replaces only values of its own.
    """

    def __init__(self, ours: T, make: Callable[[str, str | None], T]) -> None:
        """`make` makes the first value of a caller for a model; None is the default model."""
        self.ours = ours
        self._make = make
        self._theirs: dict[str, dict[str | None, T]] = {}

    def of(self, parameters: Parameters) -> T:
        """Return the value for a request with these parameters."""
        if (caller := caller_of(parameters)) is None:
            return self.ours
        model = parameters.get("model")
        by_model: dict[str | None, T] = _latest(self._theirs, caller, dict, MOST_CALLERS)
        return _latest(by_model, model, partial(self._make, caller, model), MOST_MODELS)


def _latest(values: dict[K, T], key: K, make: Callable[[], T], most: int) -> T:
    """Return the value of a key, which is the last one from now on. Drop the first value when there are too many."""
    value = values[key] = values.pop(key) if key in values else make()
    if len(values) > most:
        del values[next(iter(values))]
    return value
