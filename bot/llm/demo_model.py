"""The demo model: an OpenAI-compatible server on this machine that answers when no language model is configured.

Each answer says that it comes from the demo model, repeats the newest message, and describes the rest of the request:
how many earlier messages it holds, the last of them that a person wrote, and that person's preferences. A message
with "show me a long answer" also gets headings, a list, a table and code, so that people can watch streaming, and one
with "show me a very long answer" gets more than fits into a few messages. For "call me Ana" the model calls the tool
that stores the name. Of a file it quotes the first words, and it counts images. Its summary is the beginning of each
message that a person wrote.

Rule: the bot talks to it over HTTP as to any other backend, and it knows only the request.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web

from bot.llm.demo_files import files_in, quoted, without_files
from bot.prompt.history import ChatMessage
from bot.prompt.marks import (
    ASIDE_BEGINS,
    ASIDE_ENDS,
    CONTEXT_ENDS,
    MISSING,
    NOTE_ENDS,
    SINGLE_AUTHOR_NOTE,
    SUMMARY_ENDS,
    SUMMARY_SO_FAR,
    TURNS_TO_SUMMARIZE,
)
from bot.prompt.tokens import estimate_tokens

log = logging.getLogger(__name__)

MODEL = "demo"
PAUSE_S = 0.03  # between two words
LONGEST_BY_WORD = 10_000  # characters; a longer answer arrives line by line
SUMMARISED_CHARACTERS = 60  # of each message
SUMMARY_CHARACTERS = 600
MAX_REQUEST_BYTES = 64 * 1024 * 1024
LONG_ANSWER = "show me a long answer"
VERY_LONG_ANSWER = "show me a very long answer"
VERY_LONG_LINES = 400
SET_PREFERENCES = "set_preferences"  # the only tool that it calls

_CALL_ME = re.compile(
    r"\bcall me (?P<name>[^\n.,;:!?]{1,60}?)(?: from now on| please)*\s*(?:[.,;:!?\n]|$)", re.IGNORECASE
)

_ASIDE = re.compile(re.escape(ASIDE_BEGINS) + r"\s*(.*?)\s*" + re.escape(ASIDE_ENDS), re.DOTALL)
_REMARK = re.compile(r"^" + re.escape(SINGLE_AUTHOR_NOTE).replace(r"\{\}", r"[^\[\]\n]*") + r"$", re.MULTILINE)
_INTRODUCTION = (
    "*I am the demo model: no language model is connected.* To talk to a real one, set `OPENAI_API_KEY` "
    "(or `OPENAI_BASE_URL`) and start me again."
)
_HINT = f"Reply here to see what I remember, or write _{LONG_ANSWER}_ to watch one arrive."
_LONG = """\
## How an answer arrives
A language model writes its answer piece by piece, and you read along. This is what happens meanwhile:

1. Your message is **stored** before Slack gets its acknowledgement, so that it cannot get lost.
2. The model is shown the persona and as much of this conversation as fits.
3. Its words appear as they come. What is too long for one message continues in the next.
4. The whole answer is **remembered**, until the conversation is reset or falls idle.

| What you do | What I remember |
| --- | --- |
| Reply in this thread | everything said in it |
| Mention me in another thread | nothing of this one |
| Write `!reset` | nothing |

Code keeps its shape:

```python
def greet(name: str) -> str:
    # A real model would write something more useful here.
    return f"Hello, {name}!"
```

That was a long answer."""


def answer(messages: Sequence[ChatMessage]) -> str:
    """Return the demo model's answer to these messages, in Markdown."""
    turns = [
        message for message in messages if message["role"] in {"user", "assistant"} and "tool_calls" not in message
    ]
    turns = turns or [ChatMessage(role="user", content="")]
    first, (*earlier, newest) = turns[0]["content"], turns
    if TURNS_TO_SUMMARIZE in newest["content"] or newest["content"].startswith(SUMMARY_SO_FAR):
        return _sum_up(newest["content"])
    question, asides = _question(newest["content"]), _ASIDE.findall(newest["content"])
    parts = [_INTRODUCTION, f"You wrote:\n{quoted(without_files(question))}", *files_in(question), _memory(earlier)]
    if summary := _summary(first):
        parts.append(f"Of what came before that I have my summary:\n{quoted(summary)}")
    if MISSING in first:
        parts.append("Some of what came before that I was not shown: it no longer fits, and is not summed up yet.")
    if remark := _REMARK.search(newest["content"]):
        parts.append(f"I was also told:\n{quoted(remark[0])}")
    if before := _before(newest["content"]):
        parts.append(f"Before I was called, this was said here:\n{quoted(before)}")
    if asides:
        parts.append(f"What people said here, but not to me:\n{quoted(' '.join(asides))}")
    parts[1:1] = _long_parts(question.casefold())
    if messages and messages[-1]["role"] == "tool":
        parts.insert(0, f"From now on I call you {_name(question)}.")
    elif wishes := _preferences(newest["content"]):
        parts.append(f"You asked me to keep in mind:\n{quoted(wishes)}")
    return "\n\n".join(parts)


def _long_parts(question: str) -> list[str]:
    """Return the paragraphs of a long answer, if the question asks for one."""
    if VERY_LONG_ANSWER in question:
        lines = [f"{number}. A line that a real model would fill with sense." for number in range(1, VERY_LONG_LINES)]
        return [_LONG, "\n".join(lines)]
    return [_LONG] if LONG_ANSWER in question else []


def call(messages: Sequence[ChatMessage], tools: object) -> dict[str, Any] | None:
    """Return the tool call that answers "call me Ana", if the request offers that tool; None for an answer in text."""
    offered = json.dumps(tools)
    if not messages or messages[-1]["role"] != "user" or f'"{SET_PREFERENCES}"' not in offered:
        return None
    if not (name := _name(_question(messages[-1]["content"]))):
        return None
    function = {"name": SET_PREFERENCES, "arguments": json.dumps({"name": name})}
    return {"index": 0, "id": "call_demo", "type": "function", "function": function}


class DemoModel:
    """The server: chat completions, streamed or not, and the list of models. It listens on 127.0.0.1 only."""

    def __init__(self, *, pause_s: float = PAUSE_S) -> None:
        """`pause_s` is the pause after each word, in seconds; before the first word it is ten times as long."""
        self._pause_s = pause_s
        self._runner: web.AppRunner | None = None
        self._warned = False

    async def start(self) -> str:
        """Listen on a free port and return the base URL for a client."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", _list_models)
        app.router.add_get("/v1/models/{model}", _show_model)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/v1/"

    async def stop(self) -> None:
        """Stop listening, and cut off running answers."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
            messages: list[ChatMessage] = [_without_images(message) for message in body["messages"]]
            tool_call = call(messages, body.get("tools"))
            text = "" if tool_call else answer(messages)
            usage = _usage(messages, text)
        except (ValueError, TypeError, KeyError, AttributeError):
            error = {"message": "This is no chat-completions request.", "type": "invalid_request_error"}
            return web.json_response({"error": error}, status=400)
        self._warn()
        if not body.get("stream"):
            await asyncio.sleep(10 * self._pause_s)
            message = {"role": "assistant", "content": text} | ({"tool_calls": [tool_call]} if tool_call else {})
            whole = {"index": 0, "message": message, "finish_reason": _finish(tool_call)}
            return web.json_response(_envelope("chat.completion", [whole]) | {"usage": usage})
        return await self._stream(request, text, tool_call, usage)

    def _warn(self) -> None:
        # At the first answer and not at start, because a failed start prints its reason alone.
        if not self._warned:
            log.warning("demo_model_answers", extra={"remedy": "set OPENAI_API_KEY or OPENAI_BASE_URL"})
        self._warned = True

    async def _stream(
        self, request: web.Request, text: str, tool_call: dict[str, Any] | None, usage: dict[str, int]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(10 * self._pause_s)
        for word in text.splitlines(keepends=True) if len(text) > LONGEST_BY_WORD else _words(text):
            await response.write(_event([_choice({"content": word})]))
            await asyncio.sleep(self._pause_s)
        if tool_call:
            await response.write(_event([_choice({"tool_calls": [tool_call]})]))
        ending = _event([_choice({}, _finish(tool_call))]) + _event([], usage=usage)
        await response.write(ending + b"data: [DONE]\n\n")
        return response


def _memory(earlier: Sequence[ChatMessage]) -> str:
    if not earlier:
        return f"This is the first message of this conversation that I was shown. {_HINT}"
    count = "**1 earlier message**" if len(earlier) == 1 else f"**{len(earlier)} earlier messages**"
    shown = f"Of this conversation I was also shown {count}."
    questions = [message["content"] for message in earlier if message["role"] == "user"]
    return (
        f"{shown} The last thing that was said to me before:\n{quoted(_question(questions[-1]))}"
        if questions
        else shown
    )


def _without_images(message: Any) -> Any:
    """Return a message whose content is its text alone."""
    content = message["content"]
    text = "".join(part.get("text", "") for part in content) if isinstance(content, list) else content
    return {**message, "content": text}


def _question(text: str) -> str:
    """Return the person's own text, without the notes that stand before it in the same message."""
    for ends in (SUMMARY_ENDS, NOTE_ENDS, CONTEXT_ENDS):
        text = text.rpartition(f"{ends}\n\n")[2]
    return _REMARK.sub("", _ASIDE.sub("", text).replace(MISSING, "")).lstrip()


def _sum_up(text: str) -> str:
    so_far, _, turns = text.partition(TURNS_TO_SUMMARIZE)
    summaries = so_far.removeprefix(SUMMARY_SO_FAR).split("\n\n")
    beginnings = [line[:SUMMARISED_CHARACTERS] for line in turns.splitlines() if not line.startswith(("You: ", " "))]
    return "; ".join(filter(None, [*summaries, *beginnings]))[:SUMMARY_CHARACTERS]


def _summary(text: str) -> str:
    """Return the summary with which the first message of the request begins."""
    return text.partition(SUMMARY_ENDS)[0].partition("]\n\n")[2] if SUMMARY_ENDS in text else ""


def _before(text: str) -> str:
    """Return the part of the thread from before the bot was called."""
    return text.rpartition(f"{NOTE_ENDS}\n\n")[2].rpartition(CONTEXT_ENDS)[0].partition("]\n\n")[2]


def _preferences(text: str) -> str:
    """Return the person's preferences, which stand as quoted lines before their newest message."""
    lines = [line.strip() for line in text.rpartition(f"{NOTE_ENDS}\n\n")[0].splitlines()]
    return " ".join(line.removeprefix("> ") for line in lines if line.startswith("> "))


def _name(text: str) -> str:
    found = _CALL_ME.search(text)
    return found["name"].strip() if found else ""


def _finish(tool_call: object) -> str:
    return "tool_calls" if tool_call else "stop"


def _words(text: str) -> Iterator[str]:
    return (found[0] for found in re.finditer(r"\s*\S+", text))


def _usage(messages: Sequence[ChatMessage], text: str) -> dict[str, int]:
    prompt = sum(estimate_tokens(message["content"]) for message in messages)
    completion = estimate_tokens(text)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _event(choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = _envelope("chat.completion.chunk", choices) | more
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _envelope(kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "chatcmpl-demo", "object": kind, "created": 0, "model": MODEL, "choices": choices}


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "attendant"}


async def _list_models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [_card(MODEL)]})


async def _show_model(request: web.Request) -> web.Response:
    return web.json_response(_card(request.match_info["model"]))
