"""Validation agrees with the OpenAPI document. An error names the field, the problem and the allowed values."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config.settings import Settings
from bot.gateway.inbound.request_models import CompletionBody, completion_body
from bot.gateway.inbound.validation import MAX_ERRORS, validate
from bot.gateway.outbound.errors import ApiError
from bot.gateway.routes import openapi

BODY = completion_body(3)
SCHEMAS = openapi.document("/v1", Settings(gateway_max_messages=3))["components"]
VALIDATOR = jsonschema_rs.validator_for({"$ref": "#/components/schemas/CompletionBody", "components": SCHEMAS})

# JSON Schema accepts 1.0 for an integer. The gateway does not, because backends do not.
NUMBERS = st.integers(-3, 300) | st.floats(-3, 3).filter(lambda number: not number.is_integer())
SCALARS = st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "user", "text", "auto", "x" * 65, "function"])
KEYS = st.sampled_from(["type", "text", "role", "function", "name", "<string>", "user"])
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=6
)


def usually(value: Any) -> st.SearchStrategy[Any]:
    """Generate this value, or anything."""
    return st.just(value) | ANYTHING


PARTS = st.lists(st.fixed_dictionaries({"type": usually("text"), "text": usually("hi")}), max_size=2)
CALLED = st.fixed_dictionaries({"name": usually("look_up"), "arguments": usually("{}")})
CALLS = st.lists(
    st.fixed_dictionaries({"id": usually("call_1"), "type": usually("function"), "function": CALLED | ANYTHING}),
    max_size=2,
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"]) | ANYTHING},
    optional={
        "content": st.just("hi") | PARTS | ANYTHING,
        "name": usually("ana"),
        "tool_call_id": usually("call_1"),
        "tool_calls": CALLS | ANYTHING,
        "refusal": ANYTHING,
        "annotations": ANYTHING,
    },
)
DEFINITIONS = st.fixed_dictionaries(
    {"name": usually("look_up")}, optional={"description": ANYTHING, "parameters": ANYTHING, "strict": ANYTHING}
)
TOOLS = st.lists(st.fixed_dictionaries({"type": usually("function"), "function": DEFINITIONS | ANYTHING}), max_size=2)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(CompletionBody.model_fields, ANYTHING),
    "tools": TOOLS | ANYTHING,
    "stop": st.lists(usually("a"), max_size=5) | ANYTHING,
    "logit_bias": st.dictionaries(KEYS, NUMBERS | ANYTHING) | ANYTHING,
}
del FIELDS["messages"]
USER = {"role": "user", "content": "x"}
ONE_FIELD = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: FIELDS[name].map(lambda value: {"messages": [USER], name: value})
)
BODIES = st.fixed_dictionaries({"messages": st.lists(MESSAGES, max_size=4) | ANYTHING}, optional=FIELDS)


def error_of(body: Any) -> ApiError | None:
    """Return the error of a body."""
    try:
        validate(BODY, body)
    except ApiError as error:
        return error
    return None


@given(ONE_FIELD | BODIES | ANYTHING)
def test_the_gateway_and_its_document_accept_the_same_bodies(body: Any) -> None:
    """An independent implementation of JSON Schema accepts and refuses the same bodies."""
    assert (error_of(body) is None) is VALIDATOR.is_valid(body)


def asked(message: Any = None, **fields: Any) -> Any:
    """Return a request with this message and these fields."""
    return {"messages": [message or USER], **fields}


ROLES = "'system', 'developer', 'user', 'assistant', 'tool'"
UNSUPPORTED = "Unsupported parameter: '{}' is not supported here."


@pytest.mark.parametrize(
    ("body", "param", "problem"),
    [
        ({}, "messages", "is missing"),
        ({"messages": []}, "messages", "must not be empty"),
        ({"messages": [USER] * 4}, "messages", "must have at most 3 items"),
        (asked(7), "messages[0]", "must be an object"),
        (asked({"role": "x"}), "messages[0].role", f"must be one of {ROLES}"),
        (asked({"content": "x"}), "messages[0].role", "is missing"),
        (asked({"role": "user", "content": 7}), "messages[0].content", "must be a string or an array"),
        (asked({"role": "user", "content": [{"type": "x"}]}), "messages[0].content[0].type", "must be 'text'"),
        (asked({"role": "assistant", "refusal": "x"}), "messages[0].refusal", "must be null"),
        (asked(top_p=1.5), "top_p", "must be at most 1"),
        (asked(max_tokens=2**31), "max_tokens", "must be at most 2147483647"),
        (asked(seed=1.0), "seed", "must be an integer"),
        (asked(temperature="1"), "temperature", "must be a number"),
        (asked(stream="true"), "stream", "must be true or false"),
        (asked(stream=1), "stream", "must be true or false"),
        (asked(stop=["a", ""]), "stop[1]", "must not be empty"),
        (asked(user="x" * 257), "user", "must have at most 256 characters"),
        (asked(tools={}), "tools", "must be an array"),
        (asked(tool_choice=7), "tool_choice", "must be a string or an object"),
        (asked(tool_choice="any"), "tool_choice", "must be 'none', 'auto' or 'required'"),
        (asked(tool_choice={"type": "function"}), "tool_choice.function", "is missing"),
        (asked(logit_bias={"1": 101}), "logit_bias.1", "must be at most 100"),
        (asked(stream_options={"include_obfuscation": True}), "stream_options.include_obfuscation", "must be false"),
    ],
)
def test_an_error_names_the_field_and_the_allowed_values(body: Any, param: str, problem: str) -> None:
    """The error has the path into the body and a sentence."""
    error = error_of(body)

    assert error is not None
    assert (error.response.param, error.response.message) == (param, f"Invalid value: '{param}' {problem}.")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (asked(wat=1), "wat"),
        (asked({**USER, "wat": 1}), "messages[0].wat"),
        (asked(tools=[{"type": "function", "function": {"name": "f"}, "wat": 1}]), "tools[0].wat"),
        (asked(modalities=["text", "audio"]), "modalities"),
        (asked(modalities=["audio"]), "modalities"),
        (asked(n=True), "n"),
        (asked(logprobs=0), "logprobs"),
    ],
)
def test_an_unsupported_field_is_refused_by_name(body: Any, param: str) -> None:
    """Unknown fields, and values of OpenAI's fields that the gateway does not support, are refused."""
    error = error_of(body)

    assert error is not None
    assert (error.response.param, error.response.message) == (param, UNSUPPORTED.format(param))


@pytest.mark.parametrize("body", [[], 7, None, "x"])
def test_a_body_must_be_an_object(body: Any) -> None:
    """The error names no field."""
    error = error_of(body)

    assert error is not None
    assert (error.response.param, error.response.message) == (None, "The request's body must be a JSON object.")


def test_a_body_full_of_errors_is_refused_without_describing_them() -> None:
    """After a thousand errors the gateway counts no further, so that one body cannot keep it busy."""
    error = error_of(asked(logit_bias={str(number): "x" for number in range(MAX_ERRORS + 1)}))

    assert error is not None
    assert "more than 1000 errors" in error.response.message


@pytest.mark.parametrize(
    "body",
    [
        asked({"role": "SECRET"}),
        asked({"role": "user", "content": {"SECRET": "SECRET"}}),
        asked({"role": "user", "content": [{"type": "SECRET"}]}),
        asked(user="SECRET" * 100),
        asked(temperature="SECRET"),
        asked(metadata={"SECRET": "SECRET"}),
        asked(tool_choice="SECRET"),
        asked(user="SECRET\ud800"),
    ],
)
def test_an_error_repeats_no_value(body: Any) -> None:
    """An error contains no value, because a value may be a person's text or a secret."""
    error = error_of(body)

    assert error is not None
    assert "SECRET" not in str(error.response.body())
