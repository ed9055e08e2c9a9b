"""The body of a request for a completion, as pydantic models: they validate requests and describe them in OpenAPI.

The fields are those of OpenAI's chat completions (developers.openai.com/api/reference/resources/chat). The gateway
passes a field on to the model, or reads it, or accepts only the value that asks for nothing.

Rule: pure. A default stands for an absent field. Only fields with `| None` accept null.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, create_model

TAGS: dict[type, str] = {str: "<string>", list: "<array>", dict: "<object>"}  # no field has such a name


def json_type(value: object) -> str:
    """Return the tag of the union's member to validate by, so that an error is about that member."""
    return TAGS.get(type(value), "<other>")


def by_type(error_type: str) -> Discriminator:
    """Return the discriminator of a union whose members have different JSON types."""
    return Discriminator(json_type, custom_error_type=error_type, custom_error_message=error_type)


def is_false(value: bool) -> bool:  # noqa: FBT001 - pydantic calls it
    """Refuse true. `Literal[False]` would accept 0 as well."""
    if value:
        raise ValueError
    return value


Off = Annotated[bool, AfterValidator(is_false), WithJsonSchema({"const": False})]
One = Annotated[int, Field(ge=1, le=1)]
Zero = Annotated[int, Field(ge=0, le=0)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Effort = Annotated[str, Field(min_length=1, max_length=32)]
Identifier = Annotated[str, Field(max_length=256)]
TokenCount = Annotated[int, Field(ge=1, le=2**31 - 1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
StopSequence = Annotated[str, Field(min_length=1)]


class RequestModel(BaseModel):
    """An object in a request. It converts no types and allows no unknown fields."""

    # Deferred: a process without the HTTP API builds no validators.
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class TextPart(RequestModel):
    """A part of a message's content."""

    type: Literal["text"]
    text: str


Content = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[list[TextPart], Field(min_length=1, fail_fast=True), Tag("<array>")],
    by_type("string_or_array"),
]


class CalledFunction(RequestModel):
    """A function that the model called, with its arguments as JSON text."""

    name: str
    arguments: str


class FunctionCall(RequestModel):
    """A tool call of the model, as the client received it."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class InstructionMessage(RequestModel):
    """Instructions of the client. They follow the persona in the system message."""

    role: Literal["system", "developer"]
    content: Content


class UserMessage(RequestModel):
    """A message of the user."""

    role: Literal["user"]
    content: Content
    name: Name = ""


class AssistantMessage(RequestModel):
    """An answer, or the tool calls of the model.

    The last four fields are part of every answer. SDKs send them back as they came.
    """

    role: Literal["assistant"]
    content: Content | None = None
    name: Name = ""
    tool_calls: Annotated[list[FunctionCall], Field(min_length=1, max_length=128, fail_fast=True)] | None = None
    refusal: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None


class ToolMessage(RequestModel):
    """The result of a tool call."""

    role: Literal["tool"]
    content: Content
    tool_call_id: Annotated[str, Field(min_length=1)]


RequestMessage = Annotated[
    InstructionMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class FunctionDefinition(RequestModel):
    """A function that the model may call. `parameters` is a JSON Schema, which the backend checks."""

    name: Name
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool | None = None


class FunctionTool(RequestModel):
    """A tool that the model may call."""

    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(RequestModel):
    """The name of a function."""

    name: str


class FunctionChoice(RequestModel):
    """The one tool that the model has to call."""

    type: Literal["function"]
    function: NamedFunction


class ResponseFormat(RequestModel):
    """The format of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] = {}


class StreamOptions(RequestModel):
    """Options of a streamed answer."""

    include_usage: bool = False
    include_obfuscation: Off = False


Stop = Annotated[
    Annotated[StopSequence, Tag("<string>")]
    | Annotated[list[StopSequence], Field(min_length=1, max_length=4, fail_fast=True), Tag("<array>")],
    by_type("string_or_array"),
]
ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<string>")] | Annotated[FunctionChoice, Tag("<object>")],
    by_type("string_or_object"),
]


class PassedOn(RequestModel):
    """The fields that the model gets as the client wrote them."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    stop: Stop | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[FunctionTool], Field(min_length=1, max_length=128, fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    verbosity: Effort | None = None
    prompt_cache_key: Identifier | None = None
    safety_identifier: Identifier | None = None
    user: Identifier | None = None


class Unsupported(RequestModel):
    """The fields that the gateway does not support. Each accepts the value that asks for nothing."""

    n: One | None = None
    logprobs: Off | None = None
    store: Off | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    service_tier: Literal["auto", "default"] | None = None
    metadata: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    top_logprobs: Zero | None = None
    audio: None = None
    function_call: None = None
    functions: None = None
    prediction: None = None
    prompt_cache_retention: None = None
    web_search_options: None = None


class CompletionBody(Unsupported, PassedOn):
    """A request for a completion."""

    messages: Annotated[list[RequestMessage], Field(min_length=1, fail_fast=True)]
    model: Identifier | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


@cache
def completion_body(max_messages: int) -> type[CompletionBody]:
    """Return the model of a request that may have at most this many messages."""
    messages = Annotated[list[RequestMessage], Field(min_length=1, max_length=max_messages, fail_fast=True)]
    return create_model("CompletionBody", __base__=CompletionBody, __doc__=CompletionBody.__doc__, messages=messages)
