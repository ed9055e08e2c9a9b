"""An answer in OpenAI's shape: a whole chat completion, or its chunks as server-sent events.

Rule: pure. The shapes: developers.openai.com/api/reference/resources/chat (chat.completion, chat.completion.chunk).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.llm import Done, ToolCall, Usage

END = b"data: [DONE]\n\n"
_OURS = uuid.UUID("5a1c1f0e-6d1b-4c52-9a3e-0f5d3b9a7c11")  # the namespace of the answers' ids


@dataclass(frozen=True, slots=True)
class Envelope:
    """The fields that every chunk of an answer repeats."""

    id: str
    created: int
    model: str

    def whole(self, text: str, done: Done, usage: Usage) -> dict[str, Any]:
        """Return the whole answer."""
        content = text if text or not done.tool_calls else None
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
        if done.tool_calls:
            message["tool_calls"] = [_call(call) for call in done.tool_calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(done)}
        return self._of("chat.completion", [choice]) | {"usage": usage_object(usage)}

    def opening(self, *, with_usage: bool) -> bytes:
        """Return the first chunk, with the role."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None}, None, with_usage=with_usage)

    def delta(self, text: str, *, with_usage: bool) -> bytes:
        """Return the chunk of a piece of text."""
        return self._chunk({"content": text}, None, with_usage=with_usage)

    def ending(self, done: Done, usage: Usage, *, with_usage: bool) -> Iterator[bytes]:
        """Return the last chunks: tool calls, finish reason, the usage if the client asked for it, and [DONE]."""
        if done.tool_calls:
            calls = [{"index": index, **_call(call)} for index, call in enumerate(done.tool_calls)]
            yield self._chunk({"tool_calls": calls}, None, with_usage=with_usage)
        yield self._chunk({}, finish_reason(done), with_usage=with_usage)
        if with_usage:
            yield event(self._of("chat.completion.chunk", []) | {"usage": usage_object(usage)})
        yield END

    def _chunk(self, delta: Mapping[str, Any], finish: str | None, *, with_usage: bool) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(self._of("chat.completion.chunk", [choice]) | ({"usage": None} if with_usage else {}))

    def _of(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": None,
            "choices": choices,
        }


def envelope(began_at: datetime, model: str, name: str) -> Envelope:
    """Return the envelope of the answer with this name: a repeated answer has the same id."""
    return Envelope(f"chatcmpl-{uuid.uuid5(_OURS, name).hex}", int(began_at.timestamp()), model)


def finish_reason(done: Done) -> str:
    """Return why the model ended."""
    if done.truncated:
        return "length"
    return "tool_calls" if done.tool_calls else "stop"


def usage_object(usage: Usage) -> dict[str, Any]:
    """Return the usage object."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def event(data: Mapping[str, Any]) -> bytes:
    """Return a server-sent event."""
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n\n"


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
