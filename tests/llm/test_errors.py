"""The model's context window in the errors of different backends."""

from __future__ import annotations

import pytest

from bot.errors import Trouble
from bot.llm.errors import BackendFault, retry_after_s

TOO_LONG = [
    (
        {
            "code": "context_length_exceeded",
            "message": "This model's maximum context length is 8192 tokens. "
            "However, your messages resulted in 9011 tokens.",
        },
        8_192,
    ),
    (
        {
            "code": "context_length_exceeded",
            "message": "Input tokens exceed the configured limit of 272000 tokens. "
            "Your messages resulted in 477469 tokens.",
        },
        272_000,
    ),
    (
        {
            "code": "invalid_request_error",
            "message": "This model's maximum context length is 65,536 tokens. However, you requested 70000 tokens "
            "(69000 in the messages, 1000 in the completion).",
        },
        65_536,
    ),
    ({"code": "400", "message": "Input length (5000) exceeds model's maximum context length (4096)."}, 4_096),
    ({"message": "prompt is too long: 210000 tokens > 200000 maximum"}, 200_000),
    ({"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"}, 32_768),
    ({"message": "request (12345 tokens) exceeds the available context size (4096 tokens), try increasing it"}, 4_096),
    ({"type": "exceed_context_size_error", "message": "too long", "n_prompt_tokens": 9_000, "n_ctx": 2_048}, 2_048),
    (
        {
            "message": "The number of tokens to keep from the initial prompt is greater than the context length "
            "(n_keep: 5000>= n_ctx: 4096). Try to load the model with a larger context length."
        },
        4_096,
    ),
    ({"code": "context_length_exceeded", "message": "Please reduce the length of the messages or completion."}, None),
]


@pytest.mark.parametrize(("error", "window"), TOO_LONG)
def test_the_window_is_read_from_the_refusal(error: dict[str, object], window: int | None) -> None:
    """The window is read from its own field or from the message. The length of the request is not mistaken for it."""
    fault = BackendFault.read({"type": "invalid_request_error", **error}, 400)

    assert fault.window == window
    assert fault.error("m").window == window


def test_other_refusals_have_no_window() -> None:
    """A limit of requests per minute is not a window."""
    assert BackendFault.read({"code": "rate_limit_exceeded", "message": "Limit 500, used 500."}, 429).window is None


@pytest.mark.parametrize("error", [{"param": "input_tokens", "code": 400}, {"type": "exceed_context_size_error"}])
def test_a_callers_exceeded_window_is_read_from_codes(error: dict[str, object]) -> None:
    """vLLM blames a parameter of its own, and llama.cpp has a type for it."""
    assert BackendFault.read({"message": "no", **error}, 400, quotes_caller=True).trouble is Trouble.WINDOW_EXCEEDED


@pytest.mark.parametrize(("error", "window"), TOO_LONG[:-3])
def test_a_message_alone_does_not_exceed_a_callers_window(error: dict[str, object], window: int) -> None:
    """The message may repeat a value that the caller chose. The operator reads what to do if it does not."""
    ours, theirs = (BackendFault.read({"message": error["message"]}, 400, quotes_caller=it) for it in (False, True))

    assert (ours.trouble, ours.window) == (Trouble.WINDOW_EXCEEDED, window)
    assert (theirs.trouble, theirs.window) == (Trouble.BAD_REQUEST, None)
    assert "MODEL_WINDOW_TOKENS" in theirs.error("m").detail


QUOTE = "Input flagged: 'my maximum context 600'"
# Of OpenAI, DeepSeek and vLLM, OpenRouter, newer versions of vLLM, llama.cpp, LM Studio, Ollama, SGLang, TGI.
SENTENCES = [
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
    "This endpoint's maximum context length is 4096 tokens. However, you requested about 5000 tokens.",
    "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 477469 tokens.",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    (
        "You passed 5000 input tokens and requested 16 output tokens. However, the model's context length is only 4096 "
        "tokens, resulting in a maximum input length of 4080 tokens."
    ),
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 3200. This model's maximum context length is 4096 "
        "tokens and your request has 1200 input tokens (3200 > 4096 - 1200)."
    ),
    "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "the request exceeds the available context size, try increasing it",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    (
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context "
        "length of only 4096 tokens, which is not enough."
    ),
    "the input length exceeds the context length",
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens.",
]


@pytest.mark.parametrize(
    ("status", "error", "trouble"),
    [
        (400, {"code": "content_filter", "type": "invalid_request_error"}, Trouble.REFUSED),
        (400, {"code": "unsupported_value"}, Trouble.BAD_REQUEST),
        (400, {"code": "invalid_value"}, Trouble.BAD_REQUEST),
        (401, {"code": "invalid_api_key"}, Trouble.REFUSED_KEY),
        (403, {}, Trouble.REFUSED_KEY),
        (404, {}, Trouble.NOT_FOUND),
        (429, {}, Trouble.RATE_LIMITED),
        (429, {"code": "rate_limit_exceeded"}, Trouble.RATE_LIMITED),
        (429, {"code": "insufficient_quota"}, Trouble.NO_QUOTA),
        (429, {"type": "server_error"}, Trouble.RATE_LIMITED),
        (500, {}, Trouble.UNAVAILABLE),
        (503, {"type": "server_error"}, Trouble.UNAVAILABLE),
        (None, {"code": 429}, Trouble.RATE_LIMITED),
        (None, {"code": "content_filter"}, Trouble.REFUSED),
        (None, {"type": "server_error"}, Trouble.UNAVAILABLE),
    ],
)
def test_codes_and_status_count_before_the_message(
    status: int | None, error: dict[str, object], trouble: Trouble
) -> None:
    """A message may quote a person who writes about windows. A code or a status that says the kind of failure wins."""
    fault = BackendFault.read({"message": QUOTE, **error}, status)

    assert (fault.trouble, fault.window) == (trouble, None)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, {"message": sentence}) for sentence in SENTENCES for status in (None, 400, 422)),
        (None, {"code": 400, "type": "BadRequestError", "message": SENTENCES[0]}),
        (400, {"code": "invalid_request_error", "message": SENTENCES[0]}),
        (400, {"message": f"litellm.BadRequestError: OpenAIException - {SENTENCES[0]}"}),
        (500, {"code": 500, "type": "server_error", "message": "Context size has been exceeded."}),
    ],
)
def test_a_message_counts_where_nothing_else_says_the_kind(status: int | None, error: dict[str, object]) -> None:
    """Most local backends have no code for an exceeded window. llama.cpp reports one as an error of its own."""
    assert BackendFault.read(error, status).trouble is Trouble.WINDOW_EXCEEDED


@pytest.mark.parametrize("sentence", [*SENTENCES, "maximum context 600", "context length is 600 tokens"])
@pytest.mark.parametrize(
    "form", ["Invalid content: '{}'", "Flagged: {}", '"{}" is not allowed', "my words: {}", "[{}]"]
)
@pytest.mark.parametrize("status", [None, 400, 422])
def test_a_quoted_sentence_does_not_count(sentence: str, form: str, status: int | None) -> None:
    """A message that repeats somebody's words, even a backend's own sentence, is no refusal for its length.

    The operator reads what to do if the backend words its refusals in this way.
    """
    fault = BackendFault.read({"message": form.format(sentence)}, status)

    assert fault.trouble is (Trouble.CUT if status is None else Trouble.BAD_REQUEST)
    assert fault.window is None


DATE, LATER = "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:30 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "20"}, 1.5),
        ({"retry-after": LATER, "date": DATE}, 30.0),
        ({"retry-after": DATE, "date": LATER}, 0.0),
        ({"retry-after": LATER}, None),
        ({"retry-after": LATER, "date": "Wed, 21 Oct 2026 07:28:00"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9" * 5_000}, None),
    ],
)
def test_the_pause_that_a_response_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    """It is read from each form of the header. A value that is no time counts as none."""
    assert retry_after_s(headers) == seconds
