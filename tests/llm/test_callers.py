"""Callers: whose request it is, and the values of each caller."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.llm import NO_PARAMETERS, Offer, Parameters
from bot.llm.callers import MOST_CALLERS, MOST_MODELS, CallersParameters, PerCaller, caller_of

REQUESTS = st.lists(st.tuples(st.integers(0, 4).map(str), st.integers(0, 3 * MOST_MODELS)), max_size=200)


def of(caller: str, model: int | None = None) -> CallersParameters:
    """Return parameters of this caller, who names this model."""
    return CallersParameters({} if model is None else {"model": f"m{model}"}, caller)


def values() -> PerCaller[list[Any]]:
    """Return lists, one of ours and one per caller and model."""
    return PerCaller([], lambda *_: [])


@pytest.mark.parametrize(
    ("parameters", "caller"),
    [
        (NO_PARAMETERS, None),
        ({"tools": Offer(), "tool_choice": "none"}, None),
        ({"temperature": 1}, ""),
        ({"tools": []}, ""),
        ({"model": "other"}, ""),
        (of("key-1"), "key-1"),
        (CallersParameters({"tools": Offer()}, "key-1"), "key-1"),
    ],
)
def test_the_caller_of_a_request(parameters: Parameters, caller: str | None) -> None:
    """Only requests without a caller's parameters are our own."""
    assert caller_of(parameters) == caller


@given(REQUESTS)
def test_callers_share_no_value(requests: list[tuple[str, int]]) -> None:
    """However many models callers name, each finds the values that it used last, and only its own."""
    per_caller = values()
    for caller, model in requests:
        per_caller.of(of(caller, model)).append((caller, model))

    for caller in {caller for caller, _ in requests}:
        newest = list(dict.fromkeys(model for name, model in reversed(requests) if name == caller))[:MOST_MODELS]
        for model in reversed(newest):
            assert set(per_caller.of(of(caller, model))) == {(caller, model)}
    assert per_caller.ours == []


def test_the_number_of_values_is_bounded() -> None:
    """The values of the caller that was away for longest are dropped. Ours are always kept."""
    per_caller = values()
    per_caller.of(NO_PARAMETERS).append("ours")
    for number in range(MOST_CALLERS + 1):
        per_caller.of(of(f"key-{number}")).append(number)

    assert per_caller.of(NO_PARAMETERS) == ["ours"]
    assert per_caller.of(of(f"key-{MOST_CALLERS}")) == [MOST_CALLERS]
    assert per_caller.of(of("key-0")) == []
