"""One chat completion as it streams in: bytes of server-sent events become text, then a Done or the reason why not.

Rule: pure. Whatever the bytes are, reading them never fails; only `end` raises, and only a ModelError.
The chunks' shape: developers.openai.com/api/reference/resources/chat (the chat.completion.chunk object).
"""

from __future__ import annotations

import json
from typing import Any

from bot.errors import ModelError, Trouble
from bot.llm import Done, ToolCall, Usage
from bot.llm.errors import PROBLEMS, BackendFault

MAX_LINE_BYTES = 1_000_000  # one event; a delta is a few hundred
MAX_ANSWER_CHARACTERS = 1_000_000  # above any model's own limit: a local model that loops stops here
MAX_BLANK_CHARACTERS = 10_000  # before the first word
MAX_TOOL_CALLS = 128  # OpenAI's own limit of tools
MAX_NAME_CHARACTERS = 200  # of the model's name, as it is stored
MAX_TOKENS = 2**31 - 1  # likewise of a count

_HIGH = ("\ud800", "\udbff")


class StreamParser:
    """The answer to one request. Feed it the body as it comes until it has `ended`, then ask for its `end`."""

    def __init__(self, model: str, *, may_be_empty: bool = False) -> None:
        """`model` is the name to report when the backend gives none; `may_be_empty`: no text makes a whole answer."""
        self.ended = False  # nothing more is of interest
        self.thinking = False  # the bytes fed last held reasoning, which is not handed on
        self._asked = model
        self._may_be_empty = may_be_empty
        self._told = ""  # the backend's own name of it
        self._usage: Usage | None = None
        self._finish: str | None = None
        self._failure: ModelError | None = None
        self._calls: dict[int, ToolCall] = {}  # by the index that their pieces carry
        self._characters = self._characters_of_calls = 0
        self._rest = b""
        self._blank = ""  # what came before the first word
        self._half = ""  # of a character: the high surrogate that the last delta ended with

    def feed(self, data: bytes) -> str:
        """The text that these bytes add to the answer; blank space before its first word comes with it."""
        # On bytes, because text's splitlines() would also cut at U+2028, which JSON may hold unescaped.
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.thinking = False
        text = self._join("".join([self._read(line) for line in lines]))
        if len(self._rest) > MAX_LINE_BYTES:
            self._fail(Trouble.CUT, "an event without end")
        if not self._characters:
            text, self._blank = self._blank + text, ""
            if not text.strip():  # it is no sign of an answer yet: a model may say nothing else
                text, self._blank = "", text[:MAX_BLANK_CHARACTERS]
        self._characters += len(text)
        if self._characters > MAX_ANSWER_CHARACTERS:
            self._finish, self.ended = "length", True
        return text

    def end(self) -> Done:
        """The end of a whole answer. Raises ModelError when it was not whole."""
        if self._failure is not None:
            raise self._failure
        if self._finish is None and not self.ended:
            raise _failure(Trouble.CUT, "no finish_reason")
        if self._finish == "content_filter":
            raise _failure(Trouble.REFUSED, "finish_reason content_filter")
        if not (self._characters or self._calls or (self._may_be_empty and self._finish)):
            spent = self._finish == "length"
            raise _failure(Trouble.EMPTY, "its length limit was spent before the first word" if spent else "no text")
        return Done(
            _name(self._told) or _name(self._asked),
            self._usage,
            truncated=self._finish == "length",
            tool_calls=self._called(),
        )

    def _join(self, text: str) -> str:
        """The text with each surrogate pair made one character, and a half without its other one replaced."""
        text = self._half + text
        self._half = text[-1] if text and _HIGH[0] <= text[-1] <= _HIGH[1] else ""
        return text.removesuffix(self._half).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _read(self, line: bytes) -> str:
        if self.ended or not line.startswith(b"data:"):  # blank lines, comments that keep the connection alive
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
            self._failure, self.ended = BackendFault.read(chunk["error"]).error(self._asked), True
            return ""
        self._note(chunk)
        choices = chunk.get("choices")
        choice = _object(choices[0]) if isinstance(choices, list) and choices else {}
        delta = _object(choice.get("delta"))
        if delta.get("refusal"):
            self._fail(Trouble.REFUSED, "a refusal")
        if isinstance(finish := choice.get("finish_reason"), str):
            self._finish = finish
        # Not OpenAI's: DeepSeek says `reasoning_content`, vLLM `reasoning` (docs.vllm.ai, Reasoning Outputs).
        if delta.get("reasoning") or delta.get("reasoning_content"):
            self.thinking = True
        for piece in calls if isinstance(calls := delta.get("tool_calls"), list) else ():
            self._add(_object(piece))
        text = delta.get("content")
        return text if isinstance(text, str) else ""

    def _add(self, piece: dict[str, Any]) -> None:
        """Add a piece of a tool call: the first of its index brings id and name, all bring a part of the arguments."""
        index, function = piece.get("index", 0), _object(piece.get("function"))
        if type(index) is not int or (index not in self._calls and len(self._calls) >= MAX_TOOL_CALLS):
            return
        known = self._calls.get(index, ToolCall("", "", ""))
        more = _text(function.get("arguments"))
        self._characters_of_calls += len(more)
        if self._characters_of_calls > MAX_ANSWER_CHARACTERS:
            self._fail(Trouble.CUT, "a tool call without end")
            return
        self._calls[index] = ToolCall(
            known.id or _text(piece.get("id")), known.name or _text(function.get("name")), known.arguments + more
        )

    def _called(self) -> tuple[ToolCall, ...]:
        return tuple(self._calls[index] for index in sorted(self._calls))

    def _note(self, chunk: dict[str, Any]) -> None:
        if isinstance(name := chunk.get("model"), str):
            self._told = name
        if usage := _object(chunk.get("usage")):
            details = _object(usage.get("prompt_tokens_details"))
            self._usage = Usage(
                prompt=_count(usage.get("prompt_tokens")),
                cached=_count(details.get("cached_tokens")),
                completion=_count(usage.get("completion_tokens")),
            )

    def _fail(self, trouble: Trouble, seen: str) -> None:
        self._failure, self.ended = _failure(trouble, seen), True


def _failure(trouble: Trouble, seen: str) -> ModelError:
    return ModelError(trouble, f"{PROBLEMS[trouble]} ({seen})")


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else 0  # type(): True is no count


def _name(told: str) -> str:
    """What of a name can be stored and shown on one line."""
    return "".join(filter(str.isprintable, told))[:MAX_NAME_CHARACTERS]
