"""Probes of streams: whether Slack starts, grows and ends them, how much they hold, and how they can be edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot.slack.behaviour import ALLOWED
from bot.slack.errors import RefusedError
from bot.slack.probes.finding import Finding, Judge, Probe, Standing, concluded, words_for
from bot.slack.probes.scratch_thread import ScratchThread, outcome
from bot.slack.probes.standing_text import TABLE, numbered, shows, standing_bytes, table_form
from bot.slack.probes.text_probes import (
    CYRILLIC,
    LATIN,
    LONG_BYTES,
    TABLE_WORDS,
    as_block,
    as_text,
    length_words,
)

_STEP_BYTES = 1_000
_ENDED = "message_not_in_streaming_state"  # Slack ended it by itself
_TOO_LONG = frozenset({"msg_too_long", "msg_blocks_too_long"})
_NO_RECIPIENT = "missing_recipient"  # the bot found no person in the channel: that is no refusal of streams
_SHORT = numbered(LATIN, 100)
_EDITED = numbered("edited", 100)


def first_stream(kind: str) -> Probe:
    """Return the probe of a short stream with a table. `kind` is the kind of conversation."""
    tried = "a stream, with a table"

    async def write(thread: ScratchThread) -> Judge:
        try:
            ts = await thread.start_stream(_SHORT)
        except RefusedError as refusal:
            facts = {} if refusal.code.startswith(_NO_RECIPIENT) else {"streams": {kind: refusal.code}}
            return concluded(tried, words_for(refusal.code), **facts)
        appends = await outcome(thread.append(ts, f"\n\n{TABLE}"))
        stops = await outcome(thread.stop(ts))

        def judge(standing: Standing) -> Finding:
            refused = [f"{name} {words_for(code)}" for name, code in (("its append:", appends), ("its end:", stops))]
            form = TABLE_WORDS[table_form(standing.get(ts))]
            is_fine = (appends, stops) == (ALLOWED, ALLOWED)
            did = f"Slack takes it; for a table {form}" if is_fine else f"Slack starts it; {'; '.join(refused)}"
            known_stop = {} if stops == _ENDED else {"stops": stops}
            return Finding(tried, did, {"streams": {kind: ALLOWED}, "appends": appends, **known_stop})

        return judge

    return Probe(tried, write)


def _long_stream(script: str, word: str) -> Probe:
    tried = f"{LONG_BYTES:,} bytes in {script}, streamed"

    async def write(thread: ScratchThread) -> Judge:
        text = numbered(word, LONG_BYTES)
        pieces = _pieces(text)
        ts, taken = await thread.start_stream(pieces[0]), pieces[0]
        code = ALLOWED
        for piece in pieces[1:]:
            if (code := await outcome(thread.append(ts, piece))) != ALLOWED:
                break
            taken += piece
        stop = await outcome(thread.stop(ts))
        code = stop if code == ALLOWED and stop in _TOO_LONG else code
        if code in _TOO_LONG:
            size = len(taken.encode())
            did = f"Slack refuses it beyond {size:,} bytes ({code})"
            return concluded(tried, did, long_stream="refused", stream_bytes=size)
        if code != ALLOWED:
            return concluded(tried, f"its append: {words_for(code)}")
        return lambda standing: _long_finding(tried, standing.get(ts), text)

    return Probe(tried, write)


def _pieces(text: str) -> list[str]:
    """Divide numbered words into pieces of almost _STEP_BYTES."""
    words = text.split(" ")
    count = _STEP_BYTES // len(f"{words[0]} ".encode())
    return [" ".join(words[at : at + count]) + " " for at in range(0, len(words), count)]


def _long_finding(tried: str, message: dict[str, Any] | None, text: str) -> Finding:
    if message is None:
        return Finding(tried, "the message does not stand")
    stands = standing_bytes(message, text)
    facts = {"long_stream": ALLOWED} if stands >= len(text.encode()) else {"long_stream": "cut", "stream_bytes": stands}
    return Finding(tried, length_words(message, text), facts)


def _edited_stream(name: str, content: Callable[[str], dict[str, Any]]) -> Probe:
    tried = f"an edit of a streamed message by {name}"

    async def write(thread: ScratchThread) -> Judge:
        ts = await thread.start_stream(_SHORT)
        stop = await outcome(thread.stop(ts))
        if stop not in (ALLOWED, _ENDED):
            return concluded(tried, f"not tried, because Slack does not end the stream ({stop})")
        code = await outcome(thread.update(ts, **content(_EDITED)))
        if code != ALLOWED:
            return concluded(tried, words_for(code))

        def judge(standing: Standing) -> Finding:
            value = "shown" if shows(standing.get(ts), _EDITED) else "emptied"
            did = "the message shows it" if value == "shown" else "Slack takes it, and the message does not show it"
            return Finding(tried, did, {"streamed_update": value} if content is as_text else {})

        return judge

    return Probe(tried, write)


MORE_STREAMS = (
    _edited_stream("markdown_text", as_text),
    _edited_stream("a markdown block", as_block),
    _long_stream("Latin", LATIN),
    _long_stream("Cyrillic", CYRILLIC),
)
