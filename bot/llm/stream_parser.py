"""Parser of one streamed chat completion: bytes of server-sent events in, text out, then a Done or a ModelError.

Rule: pure. No bytes make `feed` fail; only `end` raises, and only a ModelError.
The chunks' shape: developers.openai.com/api/reference/resources/chat (the chat.completion.chunk object).
"""

from __future__ import annotations

import json
from typing import Any

from bot.errors import ModelError, Trouble
from bot.llm import Done, ToolCall, Usage
from bot.llm.errors import PROBLEMS, BackendFault
from bot.prompt.tokens import MOST_CHARACTERS

MAX_LINE_BYTES = 1_000_000  # one event; a delta is a few hundred
MAX_ANSWER_CHARACTERS = 1_000_000  # above any model's own limit: stops a local model that loops
MAX_BLANK_CHARACTERS = 10_000  # before the first word
MAX_TOOL_CALLS = 128  # OpenAI's own limit of tools
MAX_NAME_CHARACTERS = 200  # of the model's name, as it is stored
MAX_TOKENS = 2**31 - 1  # likewise of a count

# Not OpenAI's. DeepSeek says `reasoning_content`, vLLM `reasoning` (docs.vllm.ai, Reasoning Outputs), and OpenRouter
# `reasoning_details` where the reasoning is encrypted.
_REASONING = ("reasoning_content", "reasoning", "reasoning_details")
_HIGH = ("\ud800", "\udbff")


class StreamParser:
    """The answer to one request. Feed it the body until it has `ended`, then call `end`."""

    def __init__(
        self, model: str, *, may_be_empty: bool = False, most_tokens: int | None = None, quotes_caller: bool = False
    ) -> None:
        """`model` is reported when the backend names none. With `may_be_empty` an answer without text is whole.

        `most_tokens` is our own limit. An answer may end there before its first word, and the parser ends a text that
        is surely longer. With `quotes_caller` an error's message may repeat values that a caller chose.
        """
        self.ended = False  # the rest of the body does not matter
        self.thinking = False  # the last bytes held reasoning, which is not part of the text
        self._requested_model = model
        self._may_be_empty = may_be_empty
        self._is_limited = most_tokens is not None
        self._most_characters = min(MAX_ANSWER_CHARACTERS, (most_tokens or MAX_ANSWER_CHARACTERS) * MOST_CHARACTERS)
        self._quotes_caller = quotes_caller
        self._reported_model = ""  # the backend's name of it
        self._usage: Usage | None = None
        self._finish: str | None = None
        self._failure: ModelError | None = None
        self._calls: dict[int, ToolCall] = {}  # by index
        self._characters = self._characters_of_calls = 0
        self._rest = b""
        self._blank = ""  # white space before the first word
        self._high_surrogate = ""  # half a character, at the end of the last delta

    def feed(self, data: bytes) -> str:
        """Return the text that these bytes add. White space before the first word comes with that word."""
        # Split as bytes: str.splitlines() would also cut at U+2028, which JSON may hold unescaped.
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.thinking = False
        text = self._join("".join([self._read(line) for line in lines]))
        if len(self._rest) > MAX_LINE_BYTES:
            self._fail(Trouble.CUT, "an event without end")
        if not self._characters:
            text, self._blank = self._blank + text, ""
            if not text.strip():  # not an answer yet: a model may send nothing else
                text, self._blank = "", text[:MAX_BLANK_CHARACTERS]
        self._characters += len(text)
        if self._characters > self._most_characters:
            self._finish, self.ended = "length", True
        return text

    def end(self) -> Done:
        """Return the end of a whole answer. Raises ModelError when the answer is not whole."""
        if self._failure is not None:
            raise self._failure
        if self._finish is None and not self.ended:
            raise _failure(Trouble.CUT, "no finish_reason")
        if self._finish == "content_filter":
            raise _failure(Trouble.REFUSED, "finish_reason content_filter")
        too_short = self._finish == "length"
        is_limits_end = (self._may_be_empty and self._finish) or (self._is_limited and too_short)
        if not (self._characters or self._calls or is_limits_end):
            raise _failure(Trouble.EMPTY, "the length limit ended it before the first word" if too_short else "no text")
        return Done(
            _name(self._reported_model) or _name(self._requested_model),
            self._usage,
            truncated=too_short,
            tool_calls=tuple(self._calls[index] for index in sorted(self._calls)),
        )

    def _join(self, text: str) -> str:
        """Return the text with each surrogate pair as one character, and each lone surrogate replaced."""
        text = self._high_surrogate + text
        self._high_surrogate = text[-1] if text and _HIGH[0] <= text[-1] <= _HIGH[1] else ""
        return (
            text.removesuffix(self._high_surrogate).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        )

    def _read(self, line: bytes) -> str:
        if self.ended or not line.startswith(b"data:"):  # blank lines, and comments that keep the connection alive
            return ""
        data = line[5:].strip()
        if data == b"[DONE]":
            self.ended = True
            return ""
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            chunk = None
        if isinstance(chunk, dict):
            return self._take(chunk)
        self._fail(Trouble.CUT, "a chunk that is no JSON object")
        return ""

    def _take(self, chunk: dict[str, Any]) -> str:
        if chunk.get("error"):
            fault = BackendFault.read(chunk["error"], quotes_caller=self._quotes_caller)
            self._failure, self.ended = fault.error(self._requested_model), True
            return ""
        self._read_model_and_usage(chunk)
        choices = chunk.get("choices")
        choice = _object(choices[0]) if isinstance(choices, list) and choices else {}
        delta = _object(choice.get("delta"))
        if delta.get("refusal"):
            self._fail(Trouble.REFUSED, "a refusal")
        if isinstance(finish := choice.get("finish_reason"), str):
            self._finish = finish
        if any(map(delta.get, _REASONING)):
            self.thinking = True
        for piece in calls if isinstance(calls := delta.get("tool_calls"), list) else ():
            self._add(_object(piece))
        text = delta.get("content")
        return text if isinstance(text, str) else ""

    def _add(self, piece: dict[str, Any]) -> None:
        """Add a piece of a tool call. The first of its index has the id and name; each has a part of the arguments."""
        index, function = piece.get("index", 0), _object(piece.get("function"))
        if type(index) is not int or (index not in self._calls and len(self._calls) >= MAX_TOOL_CALLS):
            return
        so_far = self._calls.get(index, ToolCall("", "", ""))
        arguments = _text(function.get("arguments"))
        self._characters_of_calls += len(arguments)
        if self._characters_of_calls > MAX_ANSWER_CHARACTERS:
            self._fail(Trouble.CUT, "a tool call without end")
            return
        self._calls[index] = ToolCall(
            so_far.id or _text(piece.get("id")),
            so_far.name or _text(function.get("name")),
            so_far.arguments + arguments,
        )

    def _read_model_and_usage(self, chunk: dict[str, Any]) -> None:
        if isinstance(name := chunk.get("model"), str):
            self._reported_model = name
        if usage := _object(chunk.get("usage")):
            details = _object(usage.get("prompt_tokens_details"))
            self._usage = Usage(
                prompt=_count(usage.get("prompt_tokens")),
                cached=_count(details.get("cached_tokens")),
                completion=_count(usage.get("completion_tokens")),
            )

    def _fail(self, trouble: Trouble, detail: str) -> None:
        self._failure, self.ended = _failure(trouble, detail), True


def _failure(trouble: Trouble, detail: str) -> ModelError:
    return ModelError(trouble, f"{PROBLEMS[trouble]} ({detail})")


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else 0  # type(): True is no count


def _name(text: str) -> str:
    """Return a name that can be stored and shown on one line."""
    return "".join(filter(str.isprintable, text))[:MAX_NAME_CHARACTERS]
