"""Probes of what stands beside a text: statuses, reactions, feedback buttons, files, forwarded messages."""

from __future__ import annotations

from typing import Any

from bot.domain.probe_texts import STATUS
from bot.slack.behaviour import ALLOWED
from bot.slack.errors import RefusedError
from bot.slack.message_content import forwarded_messages
from bot.slack.message_fields import is_by_this_bot
from bot.slack.permalinks import permalink, thread_at
from bot.slack.probes.finding import Finding, Judge, Probe, Standing, concluded, words_for
from bot.slack.probes.scratch_thread import ScratchThread, outcome
from bot.slack.probes.standing_text import attached_parts, numbered

_SESSIONS, _THREADS = "agents.sessions.setStatus", "assistant.threads.setStatus"
_SECTION = {"type": "section", "text": {"type": "plain_text", "text": "Feedback"}}
FEEDBACK = {  # https://docs.slack.dev/reference/block-kit/blocks/context-actions-block
    "type": "context_actions",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "probe_feedback",
            "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "good"},
            "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "bad"},
        }
    ],
}


def status_probe(kind: str) -> Probe:
    """Return the probe of both statuses. `kind` is the kind of conversation."""

    async def write(thread: ScratchThread) -> Judge:
        place = {"channel_id": thread.channel, "thread_ts": thread.root}
        sessions = await outcome(thread.call(_SESSIONS, **place, status="processing"))
        if sessions == ALLOWED:
            await outcome(thread.call(_SESSIONS, **place, status="active"))
        threads = await outcome(thread.call(_THREADS, **place, status=STATUS, loading_messages=[STATUS]))
        if threads == ALLOWED:
            await outcome(thread.call(_THREADS, **place, status=""))
        status = _SESSIONS if sessions == ALLOWED else _THREADS if threads == ALLOWED else "none"
        did = f"by {_SESSIONS}: {words_for(sessions)}; by {_THREADS}: {words_for(threads)}"
        return concluded("a status", did, statuses={kind: status})

    return Probe("a status", write)


async def _reaction(thread: ScratchThread) -> Judge:
    place = {"channel": thread.channel, "timestamp": thread.root, "name": "eyes"}
    code = await outcome(thread.call("reactions.add", **place))
    if code == ALLOWED:
        await outcome(thread.call("reactions.remove", **place))
    return concluded("a reaction", words_for(code), reactions=code)


async def _feedback(thread: ScratchThread) -> Judge:
    code = await outcome(thread.post(text="Feedback", blocks=[_SECTION, FEEDBACK]))
    return concluded("feedback buttons in a post", words_for(code), feedback_buttons=code)


async def _feedback_at_stop(thread: ScratchThread) -> Judge:
    tried = "feedback buttons at the end of a stream"
    ts = await thread.start_stream(numbered("word", 100))
    code = await outcome(thread.stop(ts, blocks=[FEEDBACK]))
    return concluded(tried, words_for(code))


async def _upload(thread: ScratchThread) -> Judge:
    tried = "an upload"
    try:
        await thread.upload("probe.txt", "A file that is deleted in a minute.")
    except RefusedError as refusal:
        return concluded(tried, words_for(refusal.code), uploads=refusal.code)

    def judge(standing: Standing) -> Finding:
        stands = any(message.get("files") for message in standing.values())
        where = "the file stands in the thread" if stands else "no message shows the file yet"
        return Finding(tried, f"Slack takes it, and {where}", {"uploads": ALLOWED})

    return judge


async def _link(thread: ScratchThread) -> Judge:
    tried = "a link to a message"
    own = thread_at(thread.bot.team_id, thread.channel, thread.root)
    posted = await thread.post(text=permalink(own, thread.bot.team_url), unfurl_links=True)

    def judge(standing: Standing) -> Finding:
        parts = attached_parts(standing.get(str(posted["ts"]), {}))
        return Finding(tried, f"Slack attaches that message, as {_names(parts)}" if parts else "Slack attaches nothing")

    return judge


async def _forward(thread: ScratchThread) -> Judge:
    def judge(standing: Standing) -> Finding:
        theirs = [message for message in standing.values() if not is_by_this_bot(message, thread.bot)]
        return Finding("a forwarded message", _forward_words(theirs, thread))

    return judge


def _forward_words(messages: list[dict[str, Any]], thread: ScratchThread) -> str:
    parts = [names for message in messages for names in attached_parts(message)]
    if not parts:
        return "not tried, because nobody forwarded a message into the thread"
    read = [each for message in messages for each in forwarded_messages(message, thread.bot)]
    characters = sum(len(each.text) for each in read)
    return f"its content stands in {_names(parts)}; the bot reads {characters:,} characters of it"


def _names(parts: list[list[str]]) -> str:
    return ", ".join(dict.fromkeys(name for names in parts for name in names))


SURFACE_PROBES = (
    Probe("feedback buttons in a post", _feedback),
    Probe("an upload", _upload),
    Probe("a link to a message", _link),
    Probe("a reaction", _reaction),
    Probe("a forwarded message", _forward),
)
FEEDBACK_AT_STOP = Probe("feedback buttons at the end of a stream", _feedback_at_stop)
