"""A backend's failure: its status and error object, read as one Trouble and a line for operators.

Rule: pure. The backend's message may repeat a person's text or part of a key. It is never shown, and it is searched
only where neither a code nor the status says the kind of failure. Then it has to begin with a sentence that backends
are known to write, because it may quote that sentence from a person's text. It may also repeat a value that a caller of
the HTTP API chose; then only the fault's codes say that the window was exceeded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Self

from bot.errors import ModelError, Trouble

PROBLEMS = {
    Trouble.REFUSED_KEY: "the backend refused the key; check OPENAI_API_KEY and what it is allowed to do",
    Trouble.NO_QUOTA: "the account's quota or credit is used up; look at its billing page",
    Trouble.RATE_LIMITED: "the account's rate limit is reached; raise it, or lower MAX_RUNNING_TURNS",
    Trouble.UNAVAILABLE: "the backend is failing; check OPENAI_BASE_URL and the backend's status",
    Trouble.TIMEOUT: "the backend sent nothing for too long; raise MODEL_TIMEOUT_SECONDS, or use a quicker model",
    Trouble.CUT: "the answer's stream broke off; look at the backend, and at proxies before it",
    Trouble.EMPTY: "the answer was empty; if this stays so, try another OPENAI_MODEL",
    Trouble.REFUSED: "the backend's content filter, or the model itself, refused to answer",
    Trouble.WINDOW_EXCEEDED: "the request exceeds the model's window; set MODEL_WINDOW_TOKENS, or lower HISTORY_TOKENS",
    Trouble.BAD_REQUEST: "the backend did not accept the request; check OPENAI_MODEL and OPENAI_BASE_URL",
    Trouble.NOT_FOUND: "the backend knows no model {model!r} at this address; check OPENAI_MODEL and OPENAI_BASE_URL",
}

# `code` or `type` of the error object. developers.openai.com/api/docs/guides/error-codes; other backends borrow these.
_BY_WORD = {
    "insufficient_quota": Trouble.NO_QUOTA,
    "billing_hard_limit_reached": Trouble.NO_QUOTA,
    "billing_not_active": Trouble.NO_QUOTA,
    "content_filter": Trouble.REFUSED,  # Azure's filter on the prompt
    "content_policy_violation": Trouble.REFUSED,
    "invalid_prompt": Trouble.REFUSED,
    "context_length_exceeded": Trouble.WINDOW_EXCEEDED,
    "exceed_context_size_error": Trouble.WINDOW_EXCEEDED,  # llama.cpp
    "invalid_api_key": Trouble.REFUSED_KEY,
    "model_not_found": Trouble.NOT_FOUND,
    "rate_limit_exceeded": Trouble.RATE_LIMITED,
    "tool_use_failed": Trouble.CUT,  # Groq: the model wrote an invalid call
}
# These say less than a status does.
_BY_VAGUE_WORD = {"server_error": Trouble.UNAVAILABLE, "overloaded_error": Trouble.UNAVAILABLE}
_BY_STATUS = {
    401: Trouble.REFUSED_KEY,
    402: Trouble.NO_QUOTA,
    403: Trouble.REFUSED_KEY,
    404: Trouble.NOT_FOUND,
    408: Trouble.UNAVAILABLE,
    409: Trouble.UNAVAILABLE,
    429: Trouble.RATE_LIMITED,
}
# Newer versions of vLLM have no code for an exceeded window, but they blame this. No request has such a parameter.
_INPUT_TOKENS = "input_tokens"
# Codes of a single parameter's fault. `invalid_request_error` is none: DeepSeek has it for an exceeded window.
_PARAMETER_CODE = re.compile(r"(unsupported|unknown|missing)_|invalid_(?!request)")
# DeepSeek, LM Studio and older versions of vLLM and llama.cpp have only a message. It begins with one of these.
_SENTENCES = (
    r"This (?:model|endpoint)'s maximum context length is \d+",  # OpenAI, DeepSeek, vLLM, OpenRouter
    r"Input tokens exceed the configured limit of \d+ tokens|Your input exceeds the context window of this model",
    r"You passed \d+ input \w+(?: and requested \d+ output tokens)?\. However, the model's context length is only \d+",
    r"(?:'max_tokens' or )?'max_(?:completion_)?tokens' is too large: \d+\. This model's maximum context length is \d+",
    r"The decoder prompt \(length \d+\) is longer than the maximum model length of \d+",
    r"Input length \(\d+\) exceeds model's maximum context length",
    r"(?:the )?request (?:\(\d+ tokens\) )?exceeds the available context size",  # llama.cpp
    r"The number of tokens to keep from the initial prompt is greater than the context length",  # LM Studio
    r"Trying to keep the first \d+ tokens when context the overflows",
    r"(?:the )?input length exceeds the context length",  # Ollama
    r"The input \(\d+ tokens\) is longer than the model's context length",  # SGLang
    r"(?:Input validation error: )?`inputs` tokens \+ `max_new_tokens` must be <= \d+",  # TGI
    r"prompt is too long: \d+ tokens > \d+ maximum",
    r"Prompt contains \d+ tokens, too large for model with \d+ maximum context length",
)
_PROXY = r"(?:[\w.]{1,60}(?:Error|Exception)(?:: | - ))*"  # LiteLLM puts the names of its exceptions before it
_WINDOW_EXCEEDED = re.compile(
    _PROXY + "(?:" + "|".join(_SENTENCES).replace(r"\d+", r"\d[\d,]*") + ")", re.IGNORECASE | re.ASCII
)
_WINDOW = re.compile(  # a message that an operator should look at
    r"context (length|window|size)|maximum context|input tokens exceed|prompt is too long", re.IGNORECASE
)
_WINDOW_FULL = "Context size has been exceeded."  # llama.cpp, with a 500: no more than this, so no quotation
# Ollama, vLLM, Groq, OpenRouter, llama.cpp and OpenAI itself (for reasoning models) each word it differently.
_NO_TOOLS = re.compile(r"\btools?\b|\btool_|function[_ ](calling|tools?)", re.IGNORECASE)
# Messages that name the window: "maximum context length is 8192 tokens", "configured limit of 272,000 tokens",
# "available context size (4096 tokens)", "210000 tokens > 200000 maximum", "32768 maximum context", "n_ctx: 4096".
_NUMBER = r"(\d[\d,]{2,11})"
_LIMITS = [
    re.compile(pattern.replace("NUMBER", _NUMBER), re.IGNORECASE | re.ASCII)
    for pattern in (
        r"n_ctx\W{1,4}NUMBER",
        r"> ?NUMBER",
        r"NUMBER maximum context",
        r"(?:maximum|context (?:length|window|size)|limit)\D{1,40}NUMBER",
    )
]
_PERHAPS_WINDOW = "; if its message is about an exceeded window, set MODEL_WINDOW_TOKENS"
_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,60}")
_TOO_LARGE = 413
_LONGEST_PAUSE_S = 7 * 86_400.0  # people and clients are told of no longer one
_UNCLEAR = {None, 400, 422}  # statuses of many kinds of failure
_SERVER_ERROR = 500
_REFUSALS = {Trouble.BAD_REQUEST, Trouble.NOT_FOUND}


@dataclass(frozen=True, slots=True)
class BackendFault:
    """A failure as the backend described it, over HTTP or inside a stream. In a stream it has no status."""

    status: int | None
    code: str = ""
    kind: str = ""  # the error object's `type`
    param: str = ""
    message: str = field(default="", repr=False)
    window_field: int | None = None  # llama.cpp has a field for it
    quotes_caller: bool = False  # the message may repeat values that a caller chose

    @classmethod
    def read(cls, error: object, status: int | None = None, *, quotes_caller: bool = False) -> Self:
        """Read the error object, or the value in its place."""
        if not isinstance(error, dict):
            return cls(status, message=str(error), quotes_caller=quotes_caller)
        code = error.get("code")
        if status is None and isinstance(code, int):  # OpenRouter puts the HTTP status there
            status = code
        code, kind, param = (_word(error.get(name)) for name in ("code", "type", "param"))
        window = window if isinstance(window := error.get("n_ctx"), int) else None
        return cls(status, code, kind, param, str(error.get("message")), window, quotes_caller)

    @property
    def trouble(self) -> Trouble:
        """The kind of failure, as the bot handles it."""
        if self.status == _TOO_LARGE or self.param == _INPUT_TOKENS:
            return Trouble.WINDOW_EXCEEDED
        if known := self._named(_BY_WORD) or _BY_STATUS.get(self.status or 0):
            return known
        if not self.quotes_caller and self._has_only_message_of_window:
            return Trouble.WINDOW_EXCEEDED
        if vague := self._named(_BY_VAGUE_WORD):
            return vague
        if self.status is None:
            return Trouble.CUT
        return Trouble.UNAVAILABLE if self.status >= _SERVER_ERROR else Trouble.BAD_REQUEST

    @property
    def window(self) -> int | None:
        """The model's window in tokens, if the refusal names it."""
        if self.trouble is not Trouble.WINDOW_EXCEEDED:
            return None
        match = next(filter(None, (limit.search(self.message) for limit in _LIMITS)), None)
        return self.window_field or (int(match[1].replace(",", "")) if match else None)

    def _named(self, troubles: Mapping[str, Trouble]) -> Trouble | None:
        return troubles.get(self.code) or troubles.get(self.kind)

    @property
    def _has_only_message_of_window(self) -> bool:
        if self.message == _WINDOW_FULL:
            return True
        says_more = self._named(_BY_VAGUE_WORD) or _PARAMETER_CODE.match(self.code)
        return self.status in _UNCLEAR and not says_more and _WINDOW_EXCEEDED.match(self.message) is not None

    @property
    def _mentions_window(self) -> bool:
        return _WINDOW.search(self.message) is not None

    def blames(self, parameter: str) -> bool:
        """Return whether the backend refused this parameter of the request, or its value."""
        is_named = self.param.split(".")[0] == parameter if self.param else parameter in self.message
        return self.trouble is Trouble.BAD_REQUEST and is_named

    @property
    def refuses_tools(self) -> bool:
        """Whether the backend, or this model of it, refuses requests with tools."""
        if self.trouble is Trouble.UNAVAILABLE:
            return "tools param requires" in self.message  # llama.cpp; other 500s that mention tools are temporary
        # An error about `messages` may repeat a person's text, which may mention tools.
        message = "" if self.param.startswith("messages") else self.message
        return self.trouble in _REFUSALS and _NO_TOOLS.search(f"{self.param} {message}") is not None

    def error(self, model: str, *, retry_after_s: float | None = None) -> ModelError:
        """Return the ModelError, with the facts by which an operator finds the cause."""
        problem = PROBLEMS[self.trouble].format(model=model)
        if self.trouble is Trouble.BAD_REQUEST and self._mentions_window:
            problem += _PERHAPS_WINDOW
        facts = [f"HTTP {self.status}" if self.status else "", self.code, self.kind, self.param]
        listed = ", ".join(dict.fromkeys(filter(None, facts)))
        param = self.param if self.trouble is Trouble.BAD_REQUEST else ""
        detail = f"{problem} ({listed})" if listed else problem
        return ModelError(self.trouble, detail, window=self.window, param=param, retry_after_s=retry_after_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the pause in seconds that a response asks for; None when it names none, or not in a known form.

    It is a week at most. A date is compared with the response's own Date, because the clocks of two machines differ.
    """
    for header, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with suppress(ValueError):
            seconds = float(headers.get(header, "")) * unit_s
            return min(seconds, _LONGEST_PAUSE_S) if 0 <= seconds < math.inf else None
    with suppress(ValueError, TypeError):
        until, now = (parsedate_to_datetime(headers.get(header, "")) for header in ("retry-after", "date"))
        return min(max(0.0, (until - now).total_seconds()), _LONGEST_PAUSE_S)
    return None


def _word(value: object) -> str:
    """Return the value if it is a plain word such as an error code; a longer text could be a person's."""
    text = str(value) if isinstance(value, str | int) else ""
    return text if _WORD.fullmatch(text) else ""
