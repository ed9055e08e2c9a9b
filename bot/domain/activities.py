"""The activities of an answer whose text does not grow, and the words of its status, which change as time passes."""

from __future__ import annotations

import enum
from datetime import timedelta

from bot.domain import texts
from bot.domain.durations import duration
from bot.domain.language import translated

LATER = timedelta(seconds=30)  # from then on the first words would make people wonder


class Activity(enum.Enum):
    """The activities of an answer whose text does not grow."""

    WAITING = "waiting"  # for the model
    THINKING = "thinking"  # the model streams reasoning
    ASKING_AGAIN = "asking again"  # a request failed
    WRITING = "writing"  # the rest of a long answer, which is not shown yet


# Slack shows these after the app's name.
WRITING_REST = "is writing the rest of a long answer…"
_LATER = {
    Activity.WAITING: "is still waiting for the language model…",
    Activity.THINKING: "is still thinking…",
    Activity.ASKING_AGAIN: "is asking the language model again…",
    Activity.WRITING: WRITING_REST,
}
_MUCH_LATER = {
    Activity.WAITING: "has been waiting for the language model for {}…",
    Activity.THINKING: "has been thinking for {}…",
    Activity.ASKING_AGAIN: "has been asking the language model for {}…",
    Activity.WRITING: WRITING_REST,
}


def working(activity: Activity, passed: timedelta) -> str:
    """Return the status of an answer without any text. `passed`: since its turn began."""
    if passed < LATER and activity not in {Activity.ASKING_AGAIN, Activity.WRITING}:
        return translated(texts.WORKING)
    waited = duration(passed)
    return translated(_MUCH_LATER[activity]).format(waited) if waited else translated(_LATER[activity])


def queued(passed: timedelta) -> str:
    """Return the status of a message in the queue. `passed`: since it came."""
    if not (waited := duration(passed)):
        return translated(texts.WAITING)
    return translated("is still busy; your question has been in the queue for {}…").format(waited)
