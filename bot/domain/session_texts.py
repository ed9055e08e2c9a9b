"""Sentences about open sessions: their age, their memory and their expiry, in the form of bot/domain/texts.py."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from bot.domain import texts
from bot.domain.durations import duration
from bot.domain.language import percent, plural, translated
from bot.domain.sessions import Memory


def more_conversations(count: int) -> str:
    """Return the line below a list of conversations that leaves out `count` of them."""
    return plural(
        "And {count} more that I can't list here. “{button}” includes it.",
        "And {count} more that I can't list here. “{button}” includes them.",
        count,
        button=translated(texts.FORGET_ALL),
    )


def last_active(ago: timedelta) -> str:
    """Return the line under a conversation in a list to choose from. `ago`: since its last message."""
    words = duration(ago, units=1)
    return translated("Last active {time} ago").format(time=words) if words else translated("Last active just now")


def status(count: int, lines: Sequence[str], idle_after: timedelta) -> str:
    """Return the reply to `/attendant status`: the person has `count` open sessions in the channel.

    `lines` describe some of them (`status_line`).
    """
    if count == 0:
        return translated("You have no open conversations with me here.")
    first = plural(
        "You have one open conversation with me here. I forget each one after {time} without a message.",
        "You have {count} open conversations with me here. I forget each one after {time} without a message.",
        count,
        time=_or_soon(idle_after),
    )
    left = count - len(lines)
    more = [plural("And {count} more.", "And {count} more.", left)] if left > 0 else []
    return "\n".join([first, *(f"• {line}" for line in lines), *more])


def status_line(link: str, age: timedelta, turns: int, expires_in: timedelta) -> str:
    """Describe one open session in `status`. `link` leads to its thread."""
    line = translated("{link}: {started}, {answers}, forgotten in {time}")
    return line.format(link=link, started=_started(age), answers=_answers(turns), time=_or_soon(expires_in))


def memory(remembered: Memory | None) -> str:
    """Return the reply to `!status` in a thread. None: the thread has no open session."""
    if remembered is None:
        return translated(
            "I don't remember anything from this thread. "
            "To ask about another conversation, write `!status` in its thread."
        )
    return translated(
        "I remember this conversation: {started}, {answers}, {share} of what I can keep in mind at once{summarized}. "
        "I'll forget it in {time} unless somebody writes here, or right away on `!reset`."
    ).format(
        started=_started(remembered.age),
        answers=_answers(remembered.turns),
        share=percent(remembered.filled),
        summarized=translated(", with the oldest part summarized") if remembered.summarized else "",
        time=_or_soon(remembered.expires_in),
    )


def expires_soon(left: timedelta) -> str:
    """Return the warning in a thread whose session is about to expire."""
    line = translated("_I'll forget this conversation in {time} unless somebody writes here._")
    return line.format(time=_or_soon(left))


def _or_soon(time: timedelta) -> str:
    return duration(time) or translated("less than a minute")


def _started(age: timedelta) -> str:
    words = duration(age)
    return translated("started {time} ago").format(time=words) if words else translated("started just now")


def _answers(turns: int) -> str:
    return plural("one answer", "{count} answers", turns)
