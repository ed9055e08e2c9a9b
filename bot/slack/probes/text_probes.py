"""Probes of posts, edits and deletions: their form, their length, their tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot.slack.behaviour import ALLOWED
from bot.slack.errors import RefusedError
from bot.slack.probes.finding import Finding, Judge, Probe, Standing, concluded, words_for
from bot.slack.probes.scratch_thread import ScratchThread, outcome
from bot.slack.probes.standing_text import TABLE, numbered, shows, standing_bytes, table_form
from bot.slack.text import read_back
from bot.slack.text.markdown_blocks import fallback_text, markdown_blocks

LONG_BYTES = 11_000
LATIN, CYRILLIC = "word", "слово"
TABLE_WORDS = {"rendered": "it shows a table", "raw": "it shows raw pipes", None: "nothing tells how it is shown"}

_SHORT = numbered(LATIN, 100)
_EDITED = numbered("edited", 100)


def as_block(markdown: str) -> dict[str, Any]:
    """Return the content of a message whose Markdown stands in a block."""
    return {"blocks": markdown_blocks(markdown), "text": fallback_text(markdown)}


def as_text(markdown: str) -> dict[str, Any]:
    """Return the content of a message whose Markdown stands in `markdown_text`."""
    return {"markdown_text": markdown}


async def _delete(thread: ScratchThread) -> Judge:
    ts = str((await thread.post(text=_SHORT))["ts"])
    code = await outcome(thread.delete(ts))
    return concluded("deleting a message", words_for(code, "Slack deletes it"), deletions=code)


async def _post_block(thread: ScratchThread) -> Judge:
    tried = "a post with a markdown block"
    try:
        posted = await thread.post(**as_block(f"{_SHORT}\n\n{TABLE}"))
    except RefusedError as refusal:
        return concluded(tried, words_for(refusal.code), markdown_blocks=refusal.code)

    def judge(standing: Standing) -> Finding:
        form = table_form(standing.get(str(posted["ts"])))
        return Finding(tried, f"Slack takes it; for a table {TABLE_WORDS[form]}", {"markdown_blocks": ALLOWED})

    return judge


async def _post_text(thread: ScratchThread) -> Judge:
    tried = "a table in a post with markdown_text"
    try:
        posted = await thread.post(**as_text(TABLE))
    except RefusedError as refusal:
        return concluded(tried, words_for(refusal.code))

    def judge(standing: Standing) -> Finding:
        form = table_form(standing.get(str(posted["ts"])))
        return Finding(tried, TABLE_WORDS[form], {"markdown_text_tables": form} if form else {})

    return judge


async def _response(thread: ScratchThread) -> Judge:
    tried = "the message in a response"
    posted = await thread.post(text=_SHORT)
    has_text = isinstance(posted.get("message"), dict) and read_back.holds(posted["message"], _SHORT)

    def judge(standing: Standing) -> Finding:
        if not shows(standing.get(str(posted["ts"])), _SHORT):
            return Finding(tried, "nothing tells, because the text of the post does not stand")
        value = "with_text" if has_text else "without_text"
        return Finding(tried, f"it comes {value.replace('_', ' ')}", {"responses": value})

    return judge


def _long_post(script: str, word: str) -> Probe:
    tried = f"{LONG_BYTES:,} bytes in {script}, posted"

    async def write(thread: ScratchThread) -> Judge:
        text = numbered(word, LONG_BYTES)
        try:
            posted = await thread.post(**as_block(text))
        except RefusedError as refusal:
            code = await outcome(thread.post(**as_text(text)))
            return concluded(tried, f"{words_for(refusal.code)}; with markdown_text {words_for(code)}")
        return lambda standing: Finding(tried, length_words(standing.get(str(posted["ts"])), text))

    return Probe(tried, write)


def length_words(message: dict[str, Any] | None, text: str) -> str:
    """Return plain words for how much of a text stands in a message."""
    stands, sent = standing_bytes(message, text), len(text.encode())
    return "all of it stands" if stands >= sent else f"{stands:,} bytes of it stand"


def _edit(name: str, content: Callable[[str], dict[str, Any]]) -> Probe:
    tried = f"an edit by {name}"

    async def write(thread: ScratchThread) -> Judge:
        ts = str((await thread.post(text=_SHORT))["ts"])
        code = await outcome(thread.update(ts, **content(f"{_EDITED}\n\n{TABLE}")))

        def judge(standing: Standing) -> Finding:
            facts = {"edits": code} if content is as_text else {}  # a block may be refused for itself
            return Finding(tried, _edit_words(code, standing.get(ts)), facts)

        return judge

    return Probe(tried, write)


def _edit_words(code: str, message: dict[str, Any] | None) -> str:
    if code != ALLOWED:
        return words_for(code)
    if not shows(message, _EDITED):
        return "Slack takes it, and the message does not show it"
    marked = "shows “(edited)”" if (message or {}).get("edited") else "shows no “(edited)”"
    return f"the message shows it and {marked}; for a table {TABLE_WORDS[table_form(message)]}"


TEXT_PROBES = (
    Probe("deleting a message", _delete),
    Probe("the message in a response", _response),
    Probe("a post with a markdown block", _post_block),
    Probe("a table in a post with markdown_text", _post_text),
    _long_post("Latin", LATIN),
    _long_post("Cyrillic", CYRILLIC),
    _edit("a markdown block", as_block),
    _edit("markdown_text", as_text),
)
