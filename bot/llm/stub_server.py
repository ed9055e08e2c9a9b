"""The stand-in model: an OpenAI-shaped endpoint on this machine that answers when no language model is set up.

Each answer says that it is a stand-in, repeats the newest message, and tells what else it was shown: how many earlier
messages of the conversation (people's and its own), and the last of people's, quoted; and what the person asked to be
kept in mind. A message that holds "show me a long answer" also gets headings, a list, a table and code, so that
streaming can be watched; to "call me Ana" it calls the tool that keeps the name. Its summary of what no longer fits is
how each of people's messages began.

Rule: it is spoken to over HTTP like any other backend, and knows nothing but what a request shows it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web

from bot.prompt.compose import MISSING, NOTE_ENDS, SUMMARY_ENDS, SUMMARY_SO_FAR, TO_BE_SUMMED_UP
from bot.prompt.history import UNTIL_HERE, ChatMessage
from bot.prompt.thread_context import ENDS
from bot.prompt.tokens import estimate_tokens

log = logging.getLogger(__name__)

MODEL = "demo"
PAUSE_S = 0.03  # between two words
QUOTED_CHARACTERS = 200
SUMMED_UP_CHARACTERS = 60  # of a message
MOST_SUMMED_UP = 600  # characters
MAX_REQUEST_BYTES = 64 * 1024 * 1024
LONG_ANSWER = "show me a long answer"
SET_PREFERENCES = "set_preferences"  # the one tool that it knows how to call

_CALL_ME = re.compile(
    r"\bcall me (?P<name>[^\n.,;:!?]{1,60}?)(?: from now on| please)*\s*(?:[.,;:!?\n]|$)", re.IGNORECASE
)

_REMARK = re.compile(r"^" + re.escape(UNTIL_HERE).replace(r"\{\}", r"[^\[\]\n]*") + r"$", re.MULTILINE)
_INTRODUCTION = (
    "*I am the demo model: no language model is connected.* To talk to a real one, set `OPENAI_API_KEY` "
    "(or `OPENAI_BASE_URL`) and start me again."
)
_HINT = f"Reply here to see what I remember, or write _{LONG_ANSWER}_ to watch one arrive."
_LONG = """\
## How an answer arrives
A language model writes its answer piece by piece, and you read along. This is what happens meanwhile:

1. Your message is **stored** before Slack hears that it has arrived, so that it cannot get lost.
2. The model is shown the persona and as much of this conversation as fits.
3. Its words are passed on as they come; what is too long for one message goes on in the next.
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
    """What the stand-in says, in Markdown, when it is shown these messages."""
    said = [message for message in messages if message["role"] in {"user", "assistant"} and "tool_calls" not in message]
    said = said or [ChatMessage(role="user", content="")]
    first, (*earlier, newest) = said[0]["content"], said
    if TO_BE_SUMMED_UP in newest["content"]:
        return _sum_up(newest["content"])
    question = _question(newest["content"])
    parts = [_INTRODUCTION, f"You wrote:\n{_quote(question)}", _memory(earlier)]
    if summary := _summary(first):
        parts.append(f"Of what came before that I have my summary:\n{_quote(summary)}")
    if MISSING in first:
        parts.append("Some of what came before that I was not shown: it no longer fits, and is not summed up yet.")
    if remark := _REMARK.search(newest["content"]):
        parts.append(f"I was also told:\n{_quote(remark[0])}")
    if before := _before(newest["content"]):
        parts.append(f"Before I was called, this was said here:\n{_quote(before)}")
    if LONG_ANSWER in question.casefold():
        parts.insert(1, _LONG)
    if messages and messages[-1]["role"] == "tool":
        parts.insert(0, f"From now on I call you {_name(question)}.")
    elif wishes := _kept_in_mind(newest["content"]):
        parts.append(f"You asked me to keep in mind:\n{_quote(wishes)}")
    return "\n\n".join(parts)


def call(messages: Sequence[ChatMessage], tools: object) -> dict[str, Any] | None:
    """The tool call with which it answers "call me Ana", when it is offered that tool; None for an answer in words."""
    offered = json.dumps(tools)
    if not messages or messages[-1]["role"] != "user" or f'"{SET_PREFERENCES}"' not in offered:
        return None
    if not (name := _name(_question(messages[-1]["content"]))):
        return None
    function = {"name": SET_PREFERENCES, "arguments": json.dumps({"name": name})}
    return {"index": 0, "id": "call_demo", "type": "function", "function": function}


class StubServer:
    """The endpoint: chat completions, streamed or not, and the list of models. On 127.0.0.1 only."""

    def __init__(self, *, pause_s: float = PAUSE_S) -> None:
        """`pause_s` is the time it takes over a word; before the first it thinks ten times as long."""
        self._pause_s = pause_s
        self._runner: web.AppRunner | None = None
        self._warned = False

    async def start(self) -> str:
        """Listen on a free port; the base URL to give to a client."""
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
        """Stop listening; answers under way are cut off."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = await request.json()
            called = call(asked["messages"], asked.get("tools"))
            text = "" if called else answer(asked["messages"])
            usage = _usage(asked["messages"], text)
        except (ValueError, TypeError, KeyError, AttributeError):
            error = {"message": "This is no chat-completions request.", "type": "invalid_request_error"}
            return web.json_response({"error": error}, status=400)
        self._warn()
        if not asked.get("stream"):
            await asyncio.sleep(10 * self._pause_s)
            message = {"role": "assistant", "content": text} | ({"tool_calls": [called]} if called else {})
            whole = {"index": 0, "message": message, "finish_reason": _finish(called)}
            return web.json_response(_envelope("chat.completion", [whole]) | {"usage": usage})
        return await self._stream(request, text, called, usage)

    def _warn(self) -> None:
        # With the first answer and not at start: a start that fails says why in one line, and nothing else.
        if not self._warned:
            log.warning("demo_model_answers", extra={"remedy": "set OPENAI_API_KEY or OPENAI_BASE_URL"})
        self._warned = True

    async def _stream(
        self, request: web.Request, text: str, called: dict[str, Any] | None, usage: dict[str, int]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(10 * self._pause_s)
        for word in _words(text):
            await response.write(_event([_choice({"content": word})]))
            await asyncio.sleep(self._pause_s)
        if called:
            await response.write(_event([_choice({"tool_calls": [called]})]))
        ending = _event([_choice({}, _finish(called))]) + _event([], usage=usage)
        await response.write(ending + b"data: [DONE]\n\n")
        return response


def _memory(earlier: Sequence[ChatMessage]) -> str:
    if not earlier:
        return f"This is the first message of this conversation that I was shown. {_HINT}"
    count = "**1 earlier message**" if len(earlier) == 1 else f"**{len(earlier)} earlier messages**"
    shown = f"Of this conversation I was also shown {count}."
    asked = [message["content"] for message in earlier if message["role"] == "user"]
    return f"{shown} The last thing that was said to me before:\n{_quote(_question(asked[-1]))}" if asked else shown


def _question(text: str) -> str:
    """What the person wrote, without what stands before it in the same message."""
    for ends in (SUMMARY_ENDS, NOTE_ENDS, ENDS):
        text = text.rpartition(f"{ends}\n\n")[2]
    return _REMARK.sub("", text.replace(MISSING, "")).lstrip()


def _sum_up(text: str) -> str:
    so_far, _, turns = text.rpartition(TO_BE_SUMMED_UP)
    said = [line[:SUMMED_UP_CHARACTERS] for line in turns.splitlines() if not line.startswith(("You: ", " "))]
    return "; ".join(filter(None, [so_far.removeprefix(SUMMARY_SO_FAR).strip(), *said]))[:MOST_SUMMED_UP]


def _summary(text: str) -> str:
    """The stand-in's own summary, with which the first message opens that it is shown."""
    return text.partition(SUMMARY_ENDS)[0].partition("]\n\n")[2] if SUMMARY_ENDS in text else ""


def _before(text: str) -> str:
    """What was said before the bot was called."""
    return text.rpartition(f"{NOTE_ENDS}\n\n")[2].rpartition(ENDS)[0].partition("]\n\n")[2]


def _kept_in_mind(text: str) -> str:
    """The lines of the person's own in what stands right before their newest message."""
    lines = [line.strip() for line in text.rpartition(f"{NOTE_ENDS}\n\n")[0].splitlines()]
    return " ".join(line.removeprefix("> ") for line in lines if line.startswith("> "))


def _name(text: str) -> str:
    found = _CALL_ME.search(text)
    return found["name"].strip() if found else ""


def _finish(called: object) -> str:
    return "tool_calls" if called else "stop"


def _quote(text: str) -> str:
    """The text on one quoted line, where none of it can open a list, a heading or a block of code."""
    line = " ".join(text.split()).replace("`", "'")
    if len(line) > QUOTED_CHARACTERS:
        line = line[:QUOTED_CHARACTERS].rstrip() + "…"
    return f"> “{line}”"


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
