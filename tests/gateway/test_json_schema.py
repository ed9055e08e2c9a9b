"""Shapes: what a schema says is checked as JSON Schema means it, and told so that one finds the place."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.gateway import schemas
from bot.gateway.json_schema import Problem, check

REQUEST = schemas.request(3)
VALIDATOR = jsonschema_rs.validator_for(REQUEST)
# JSON Schema takes 1.0 for an integer; we do not, for backends do not.
NUMBERS = st.integers(-3, 300) | st.floats(-3, 3).filter(lambda number: not number.is_integer())
SCALARS = st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "user", "text", "auto", "x" * 65, "function"])
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["type", "text", "role"]), inner),
    max_leaves=6,
)
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.just("text") | ANYTHING, "text": st.just("hi") | ANYTHING}), max_size=2
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])},
    optional={
        "content": st.just("hi") | PARTS | ANYTHING,
        "name": st.just("ana") | ANYTHING,
        "tool_call_id": st.just("call_1"),
        "tool_calls": ANYTHING,
        "refusal": ANYTHING,
    },
)
FIELDS: dict[str, Any] = {name: ANYTHING for name in REQUEST["properties"] if name != "messages"}
BODIES = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGES, max_size=4) | ANYTHING},
    optional={"tools": st.lists(ANYTHING, max_size=2), "stop": st.lists(st.just("a") | ANYTHING, max_size=5), **FIELDS},
)


@given(BODIES | ANYTHING)
def test_a_problem_is_found_where_json_schema_finds_one(body: Any) -> None:
    """No more and no less, whatever the body: so the OpenAPI document says what is checked."""
    assert (check(body, REQUEST) is None) is VALIDATOR.is_valid(body)


ROLES = "must be one of 'system', 'developer', 'user', 'assistant', 'tool'"


def asked(message: Any = None, **fields: Any) -> Any:
    """A request with this message, and more fields."""
    return {"messages": [message or {"role": "user", "content": "x"}], **fields}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ([], Problem("", "must be of type object")),
        ({}, Problem("messages", "is missing")),
        ({"messages": []}, Problem("messages", "must have at least 1 items")),
        (asked(7), Problem("messages[0]", "must be of type object")),
        (asked({"role": "x"}), Problem("messages[0].role", ROLES)),
        (asked({"role": "user", "content": 7}), Problem("messages[0].content", "must be of type array or string")),
        (
            asked({"role": "user", "content": [{"type": "image_url"}]}),
            Problem("messages[0].content[0].type", "must be one of 'text'"),
        ),
        (asked(wat=1), Problem("wat", "is not known here", unknown=True)),
        (asked(top_p=1.5), Problem("top_p", "must be at most 1")),
        (asked(logit_bias={"1": 101}), Problem("logit_bias.1", "must be at most 100")),
    ],
)
def test_a_problem_is_told_by_its_place(body: Any, problem: Problem) -> None:
    """The first one, as a path into the body, and what is wrong there."""
    assert check(body, REQUEST) == problem
