"""The demo model, called through the same client as any other backend."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest

from bot.domain.events import Attachment
from bot.domain.file_content import FileContent, FileOutcome, ScaledImage
from bot.llm import Done
from bot.llm.demo_files import QUOTED_CHARACTERS
from bot.llm.demo_model import LONG_ANSWER, MODEL, SET_PREFERENCES, DemoModel, answer, call
from bot.llm.openai import OpenAI
from bot.prompt.budget import Budget
from bot.prompt.compose import PromptParts, compose
from bot.prompt.history import WHOLE_HISTORY, ChatMessage, HistoryWindow, Past, Turn, Utterance, read
from bot.prompt.marks import SUMMARY_SO_FAR, TURNS_TO_SUMMARIZE
from bot.prompt.thread_context import EarlierMessage, ThreadContext, pieces

TOOLS = [{"type": "function", "function": {"name": SET_PREFERENCES, "parameters": {"type": "object"}}}]


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    """Serve a demo model that answers without a delay."""
    server = DemoModel(pause_s=0)
    yield await server.start()
    await server.stop()


@pytest.fixture
async def llm(base_url: str) -> AsyncIterator[OpenAI]:
    """Open a client of the demo model, as a bot without settings does."""
    llm = OpenAI(model=MODEL, base_url=base_url, silence_s=5, max_streams=10)
    yield llm
    await llm.aclose()


def talk(*texts: str) -> list[ChatMessage]:
    """Return a conversation: the persona, then a person and the bot in turn."""
    said: list[ChatMessage] = [
        {"role": "assistant" if index % 2 else "user", "content": text} for index, text in enumerate(texts)
    ]
    return [{"role": "system", "content": "You are kind."}, *said]


async def answer_to(llm: OpenAI, *texts: str) -> str:
    """Return the demo model's whole answer to a conversation."""
    pieces = [piece async for piece in llm.stream(talk(*texts))]
    assert isinstance(pieces[-1], Done)
    return "".join(map(str, pieces[:-1]))


def test_a_file_is_quoted() -> None:
    """The first words of a file and the names of images are told, and the question is quoted without them."""
    content = FileContent(FileOutcome.TEXT, "The gate code is 4711.\n" * 50)
    notes = Attachment("F1", "notes.txt", "text/plain", 9, content=content)
    picture = FileContent(FileOutcome.IMAGE, image=ScaledImage(b"", 9, 9))
    screen = Attachment("F2", "screen.png", "image/png", 9, content=picture)
    asked = list(read([Turn((Utterance("U1", "what is this?", (notes, screen)),))], {}))
    text = answer(asked[0])

    assert "You wrote:\n> “what is this?" in text
    assert "Your file `notes.txt` begins:\n> “The gate code is 4711. The gate" in text
    assert "I was shown your image `screen.png`." in text


async def test_it_says_that_no_model_is_connected(llm: OpenAI) -> None:
    """Each answer says so, explains how to connect a model, and repeats the message."""
    text = await answer_to(llm, "My VPN is down")

    assert "demo model" in text
    assert "`OPENAI_API_KEY`" in text
    assert "> “My VPN is down”" in text


async def test_it_shows_the_thread_context(llm: OpenAI) -> None:
    """In a thread that people started without the bot, the answer shows the question, and then the earlier messages."""
    before = ThreadContext((EarlierMessage("1", "U1", "who knows printers?"),))
    [(_, text)] = pieces(before, {"U1": "ana"}, "ana: do you?")
    told = await answer_to(llm, text)

    assert "You wrote:\n> “ana: do you?”" in told
    assert told.endswith("this was said here:\n> “ana: who knows printers?”")


async def test_the_log_says_that_it_answers(llm: OpenAI, caplog: pytest.LogCaptureFixture) -> None:
    """A warning with the first answer explains how to connect a language model."""
    assert not caplog.records
    await answer_to(llm, "Hi")
    await answer_to(llm, "Hi again")

    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.getMessage() == "demo_model_answers"
    assert "OPENAI_API_KEY" in vars(warning)["remedy"]


async def test_it_shows_its_memory(llm: OpenAI) -> None:
    """The answer counts the earlier messages of both sides and quotes the last message of a person."""
    text = await answer_to(llm, "I am Ana", "Hello Ana", "My VPN is down", "Since when?", "Today")

    assert "**4 earlier messages**" in text
    assert "said to me before:\n> “My VPN is down”" in text
    assert "Ana" not in text


async def test_it_shows_that_it_remembers_nothing(llm: OpenAI) -> None:
    """At the start of a conversation the answer says that the model sees only this message."""
    text = await answer_to(llm, "Hi")

    assert "first message" in text
    assert "earlier" not in text


async def test_one_earlier_message_is_counted_as_one() -> None:
    """After a failed answer one message is left, and the count is in the singular."""
    messages: list[ChatMessage] = [{"role": "user", "content": text} for text in ("One", "Two")]

    assert "**1 earlier message**." in answer(messages)


async def test_a_quote_cannot_break_out() -> None:
    """Any quoted text stays on one quoted line and is shortened."""
    text = answer(talk("# Title\n```\ncode\n- item\n" + "long " * 100))
    quote = next(line for line in text.splitlines() if line.startswith(">"))

    assert quote.startswith("> “# Title ''' code - item long")
    assert len(quote) <= QUOTED_CHARACTERS + len("> “…”")
    assert "\n#" not in text


async def test_a_long_answer_can_be_asked_for(llm: OpenAI) -> None:
    """Its phrase gives an answer with a list, a table and code, which still shows the memory."""
    text = await answer_to(llm, "Hi", "Hello", f"Please {LONG_ANSWER.upper()}!")

    assert all(mark in text for mark in ("\n1. ", "\n| --- |", "\n```python\n", "**2 earlier messages**"))
    assert len(text) > 1_000


async def test_streamed_words_make_up_the_whole_answer(llm: OpenAI) -> None:
    """The streamed words equal the whole answer, line breaks included."""
    text = await answer_to(llm, LONG_ANSWER)

    assert text == answer(talk(LONG_ANSWER))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("call me Ana", "Ana"),
        ("Hello! Please CALL ME Ana Rita from now on. Thanks", "Ana Rita"),
        ("ben: call me B please\n  really", "B"),
    ],
)
async def test_call_me(llm: OpenAI, text: str, name: str) -> None:
    """For "call me Ana" the model calls the tool. It confirms the name when it gets the result."""
    messages = talk(text)
    (done,) = [piece async for piece in llm.stream(messages, {"tools": TOOLS})]
    assert isinstance(done, Done)
    (made,) = done.tool_calls
    messages += [
        {"role": "assistant", "content": "", "tool_calls": [{"id": made.id}]},
        {"role": "tool", "content": "{}", "tool_call_id": made.id},
    ]

    assert (made.name, json.loads(made.arguments)) == (SET_PREFERENCES, {"name": name})
    assert answer(messages).startswith(f"From now on I call you {name}.\n\n")
    assert "This is the first message" in answer(messages)


@pytest.mark.parametrize(
    ("text", "tools"),
    [("call me Ana", None), ("call me Ana", [{"function": {"name": "x"}}]), ("recall me later", TOOLS)],
)
async def test_it_calls_only_offered_tools(llm: OpenAI, text: str, tools: object) -> None:
    """Without that tool, or without the request for it, the answer is text."""
    pieces = [piece async for piece in llm.stream(talk(text), {"tools": tools})]

    assert "".join(map(str, pieces[:-1])) == answer(talk(text))


async def test_it_shows_the_authors_preferences() -> None:
    """The answer shows the author's own notes of the newest message, apart from the message itself."""
    told = answer(prompt("Who am I?", about="It is noon.\n> Call me Rita.\n> About me:\n> I use Linux."))

    assert "You asked me to keep in mind:\n> “Call me Rita. About me: I use Linux.”" in told
    assert "You wrote:\n> “ben: Who am I?”\n\n" in told
    assert "keep in mind" not in answer(prompt("Who am I?"))


def prompt(text: str, *, about: str = "", window: HistoryWindow = WHOLE_HISTORY) -> Sequence[ChatMessage]:
    """Return the messages of a prompt, after a turn of Ana's; the author is another person."""
    past, names = Past((Turn((Utterance("U1", "my VPN"),), "Hello", 1),), window), {"U1": "ana", "U2": "ben"}
    budget = Budget(window_tokens=8_000, answer_tokens=100, history_tokens=8_000)
    parts = PromptParts(past, Turn((Utterance("U2", text),)), names, about=about)
    return compose("You are kind.", parts, budget).messages


async def test_preferences_are_no_request() -> None:
    """The model calls the tool for the message alone, not for the notes beside the message."""
    assert call(prompt("hello", about="> Call me Rita."), TOOLS) is None
    assert call(prompt("call me Ben", about="> Call me Rita."), TOOLS) is not None


async def test_notes_of_the_bot_are_no_message() -> None:
    """The answer shows the summary apart from the message, and shows it once."""
    told = answer(prompt("mine too"))
    assert "You wrote:\n> “ben: mine too”\n\n" in told
    assert "I was also told:\n> “[Until here only ana was writing.]”" in told

    assert "said to me before:\n> “ana: my VPN”" in answer(
        prompt("mine too", window=HistoryWindow(0, "It rains.", 0, several=True))
    )


async def test_it_summarizes_and_shows_the_summary() -> None:
    """Each answer names the beginning of the conversation, or says that some of it is missing."""
    summary = answer(
        [
            ChatMessage(role="system", content="You keep the memory of a conversation."),
            ChatMessage(
                role="user", content=f"{SUMMARY_SO_FAR}Ana: hello\n\n{TURNS_TO_SUMMARIZE}Ben: I am 7\n  years\nYou: hi"
            ),
        ]
    )
    shown = [prompt("mine too", window=HistoryWindow(after=4, summary=summary, reaches=reaches)) for reaches in (3, 4)]

    assert summary == "Ana: hello; Ben: I am 7"
    assert all(summary in answer(messages) for messages in shown)
    assert ["I was not shown" in answer(messages) for messages in shown] == [True, False]


async def test_the_check_at_start_passes(llm: OpenAI) -> None:
    """The demo model answers to any model's name."""
    await llm.check()


async def test_it_answers_without_streaming(base_url: str) -> None:
    """A client that does not stream gets the same answer whole, with usage, and can list the model."""
    async with aiohttp.ClientSession(base_url) as http:
        asked = {"model": MODEL, "messages": talk("Hi")}
        async with http.post("chat/completions", json=asked) as response:
            whole = await response.json()
        async with http.get("models") as response:
            listed = await response.json()

    assert whole["choices"][0]["message"]["content"] == answer(talk("Hi"))
    assert whole["usage"]["prompt_tokens"] > 0
    assert [model["id"] for model in listed["data"]] == [MODEL]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": [1]}', b'{"messages": [{"role": "user"}]}'])
async def test_nonsense_is_refused(base_url: str, body: bytes) -> None:
    """A request that is no chat completion gets a 400 with an error object."""
    async with aiohttp.ClientSession(base_url) as http, http.post("chat/completions", data=body) as response:
        assert response.status == 400
        assert "error" in await response.json()
