"""The JSON bodies of the API's responses, as pydantic models: they describe them in OpenAPI.

A whole answer is encoded in completion.py, whose tests read it with OpenAI's own models.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class ResponseModel(BaseModel):
    """An object in a response."""

    model_config = ConfigDict(defer_build=True)  # as in the request's models


class PromptTokensDetails(ResponseModel):
    """The part of the prompt that the backend had in its cache."""

    cached_tokens: int = 0


class TokenUsage(ResponseModel):
    """The tokens of a request and its answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails = PromptTokensDetails()


class CompletionMessage(ResponseModel):
    """The answer. Its content is null if the model only calls tools."""

    role: Literal["assistant"]
    content: str | None
    refusal: None


class CompletionChoice(ResponseModel):
    """The only choice of a completion."""

    index: int
    message: CompletionMessage
    logprobs: None
    finish_reason: Literal["stop", "length", "tool_calls"]


class Completion(ResponseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: TokenUsage


class ServerSentEvent(ResponseModel):
    """One server-sent event: a chunk of an answer as JSON, or [DONE]."""

    data: str


class ListedModel(ResponseModel):
    """A model that a request may name."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "attendant"


class ModelList(ResponseModel):
    """The models that a request may name."""

    object: Literal["list"] = "list"
    data: list[ListedModel]


class SessionDescription(ResponseModel):
    """An open session, without its text. Times are Unix seconds."""

    id: str
    object: Literal["session"] = "session"
    created: int
    last_active: int
    expires_at: int
    turns: int


class DeletedSession(ResponseModel):
    """A session that was reset."""

    id: str
    object: Literal["session.deleted"] = "session.deleted"
    deleted: Literal[True] = True


class ErrorDetail(ResponseModel):
    """An error. `param` names the field that is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(ResponseModel):
    """The body of every error response."""

    error: ErrorDetail


class Liveness(ResponseModel):
    """The process is alive."""

    alive: Literal[True]
