"""Schemas: what a request may be, field by field, and what an answer is. The checks and the OpenAPI document read them.

The fields are those of OpenAI's chat completions (developers.openai.com/api/reference/resources/chat). Each is passed
on to the model, read by us, or, where it asks for what we do not give, allowed with the value that asks for nothing.
"""

from __future__ import annotations

from typing import Any

from bot.gateway.json_schema import Schema

Json = dict[str, Any]


def _nullable(kind: str, **more: Any) -> Json:
    return {"type": [kind, "null"], **more}


_TEXT_PART: Json = {
    "type": "object",
    "properties": {"type": {"type": "string", "enum": ["text"]}, "text": {"type": "string"}},
    "required": ["type", "text"],
    "additionalProperties": False,
}
_CONTENT: Json = {"anyOf": [{"type": "string"}, {"type": "array", "items": _TEXT_PART, "minItems": 1}]}
_CONTENT_OR_NULL: Json = {"anyOf": [*_CONTENT["anyOf"], {"type": "null"}]}
_NAME: Json = {"type": "string", "minLength": 1, "maxLength": 64}
_TOOL_CALL: Json = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "type": {"type": "string", "enum": ["function"]},
        "function": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "arguments": {"type": "string"}},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        },
    },
    "required": ["id", "type", "function"],
    "additionalProperties": False,
}


def _message(role: str, required: list[str], **properties: Json) -> Json:
    return {
        "type": "object",
        "properties": {"role": {"type": "string", "enum": [role]}, **properties},
        "required": ["role", *required],
        "additionalProperties": False,
    }


_MESSAGES = [
    _message("system", ["content"], content=_CONTENT),
    _message("developer", ["content"], content=_CONTENT),
    _message("user", ["content"], content=_CONTENT, name=_NAME),
    _message(
        "assistant",
        [],
        content=_CONTENT_OR_NULL,
        name=_NAME,
        tool_calls={
            "anyOf": [{"type": "array", "items": _TOOL_CALL, "minItems": 1, "maxItems": 128}, {"type": "null"}]
        },
        # What an answer of ours has besides, when an SDK sends it back as it came.
        refusal={"type": "null"},
        annotations={"type": ["array", "null"], "maxItems": 0},
        audio={"type": "null"},
        function_call={"type": "null"},
    ),
    _message("tool", ["content", "tool_call_id"], content=_CONTENT, tool_call_id={"type": "string", "minLength": 1}),
]

_TOOL: Json = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["function"]},
        "function": {
            "type": "object",
            "properties": {
                "name": _NAME,
                "description": {"type": "string"},
                "parameters": {"type": "object"},
                "strict": {"type": ["boolean", "null"]},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
    },
    "required": ["type", "function"],
    "additionalProperties": False,
}
_TOOL_CHOICE: Json = {
    "anyOf": [
        {"type": "string", "enum": ["none", "auto", "required"]},
        {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["function"]},
                "function": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}},
                    "required": ["name"],
                    "additionalProperties": False,
                },
            },
            "required": ["type", "function"],
            "additionalProperties": False,
        },
        {"type": "null"},
    ]
}
_STOP: Json = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 4},
        {"type": "null"},
    ]
}
_FORMAT: Json = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["text", "json_object", "json_schema"]},
        "json_schema": {"type": "object"},
    },
    "required": ["type"],
    "additionalProperties": False,
}
_TOKENS = _nullable("integer", minimum=1, maximum=2**31 - 1)
_PENALTY = _nullable("number", minimum=-2, maximum=2)

PASSED_ON: dict[str, Json] = {
    "temperature": _nullable("number", minimum=0, maximum=2),
    "top_p": _nullable("number", minimum=0, maximum=1),
    "max_tokens": _TOKENS,
    "max_completion_tokens": _TOKENS,
    "stop": _STOP,
    "seed": _nullable("integer", minimum=-(2**63), maximum=2**63 - 1),
    "presence_penalty": _PENALTY,
    "frequency_penalty": _PENALTY,
    "logit_bias": _nullable("object", additionalProperties={"type": "number", "minimum": -100, "maximum": 100}),
    "response_format": {"anyOf": [_FORMAT, {"type": "null"}]},
    "tools": {"anyOf": [{"type": "array", "items": _TOOL, "minItems": 1, "maxItems": 128}, {"type": "null"}]},
    "tool_choice": _TOOL_CHOICE,
    "parallel_tool_calls": _nullable("boolean"),
    "reasoning_effort": _nullable("string", minLength=1, maxLength=32),
    "verbosity": _nullable("string", minLength=1, maxLength=32),
    "prompt_cache_key": _nullable("string", maxLength=256),
    "safety_identifier": _nullable("string", maxLength=256),
    "user": _nullable("string", maxLength=256),
}
_READ: dict[str, Json] = {
    "model": {"type": ["string", "null"], "maxLength": 256},
    "stream": _nullable("boolean"),
    "stream_options": _nullable(
        "object",
        properties={"include_usage": {"type": "boolean"}, "include_obfuscation": {"type": "boolean", "enum": [False]}},
        additionalProperties=False,
    ),
}
_NULL: Json = {"enum": [None]}
ASKS_FOR_NOTHING: dict[str, Json] = {
    "n": {"enum": [1, None]},
    "logprobs": {"enum": [False, None]},
    "store": {"enum": [False, None]},
    "modalities": {"enum": [["text"], None]},
    "service_tier": {"enum": ["auto", "default", None]},
    "metadata": {"enum": [{}, None]},
    "top_logprobs": {"enum": [0, None]},
    "audio": _NULL,
    "function_call": _NULL,
    "functions": _NULL,
    "prediction": _NULL,
    "prompt_cache_retention": _NULL,
    "web_search_options": _NULL,
}


def request(most_messages: int) -> Json:
    """The body of a request for a completion."""
    messages = {
        "type": "array",
        "items": {"oneOf": _MESSAGES, "discriminator": {"propertyName": "role"}},
        "minItems": 1,
        "maxItems": most_messages,
    }
    return {
        "type": "object",
        "properties": {"messages": messages, **_READ, **PASSED_ON, **ASKS_FOR_NOTHING},
        "required": ["messages"],
        "additionalProperties": False,
    }


_USAGE: Json = {
    "type": "object",
    "properties": {
        "prompt_tokens": {"type": "integer"},
        "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"},
        "prompt_tokens_details": {"type": "object", "properties": {"cached_tokens": {"type": "integer"}}},
    },
    "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
}


def _object(**properties: Schema) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


_CHOICE = _object(
    index={"type": "integer"},
    message=_object(role={"enum": ["assistant"]}, content={"type": ["string", "null"]}, refusal={"type": "null"}),
    logprobs={"type": "null"},
    finish_reason={"enum": ["stop", "length", "tool_calls"]},
)
COMPLETION = _object(
    id={"type": "string"},
    object={"enum": ["chat.completion"]},
    created={"type": "integer"},
    model={"type": "string"},
    choices={"type": "array", "items": _CHOICE},
    usage=_USAGE,
)
MODEL = _object(
    id={"type": "string"}, object={"enum": ["model"]}, created={"type": "integer"}, owned_by={"type": "string"}
)
MODELS = _object(object={"enum": ["list"]}, data={"type": "array", "items": MODEL})
SESSION = _object(
    id={"type": "string"},
    object={"enum": ["session"]},
    created={"type": "integer"},
    last_active={"type": "integer"},
    expires_at={"type": "integer"},
    turns={"type": "integer"},
)
DELETED = _object(id={"type": "string"}, object={"enum": ["session.deleted"]}, deleted={"enum": [True]})
ERROR = _object(
    error=_object(
        message={"type": "string"},
        type={"type": "string"},
        param={"type": ["string", "null"]},
        code={"type": ["string", "null"]},
    )
)
EVENT = {"description": "One server-sent event: a chunk as JSON, or [DONE].", **_object(data={"type": "string"})}
ALIVE = _object(alive={"enum": [True]})
