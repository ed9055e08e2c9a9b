"""Every sentence the bot says that the model did not write.

Rule: plain, short, and never a stack trace; each says what happened and what the person can do.
"""

from __future__ import annotations

from datetime import timedelta

from bot.errors import Trouble
from bot.sessions import Interrupted, ResetOutcome, StopOutcome

WORKING = "is thinking…"  # Slack shows the app's name before it

STARTED_FRESH = "_It has been a while, so I have started over: I no longer have what we said here before._"
WAITING = "has a lot to do right now; yours is next in line…"
ANSWERED_ELSEWHERE = "_(My answer is in another message of this thread.)_"
TRUNCATED = "_(My answer reached its length limit. Write “go on” for the rest.)_"
FAILED_TURN = "(No answer was given: a technical problem.)"  # what the model is shown of a failed turn

_TROUBLE = {
    Trouble.REFUSED_KEY: "I can't answer right now: my access to the language model was refused. "
    "Whoever runs me has to look at my settings.",
    Trouble.NO_QUOTA: "I can't answer right now: my budget with the language model is used up. "
    "Whoever runs me has to look at it.",
    Trouble.RATE_LIMITED: "I'm getting too many questions at the moment. Please ask again in a minute.",
    Trouble.UNAVAILABLE: "I can't reach the language model right now. Please ask again in a few minutes.",
    Trouble.TIMEOUT: "The language model took too long to answer. Please ask again.",
    Trouble.CUT: "My answer was cut off by a technical problem. Please ask again.",
    Trouble.EMPTY: "I could not come up with an answer. Please ask again, perhaps in other words.",
    Trouble.REFUSED: "I can't help with this request.",
    Trouble.WINDOW_EXCEEDED: "That is more text than I can take in at once. Please send a shorter message, "
    "or write `!reset` to start over.",
    Trouble.BAD_REQUEST: "I can't answer right now: the language model did not accept my request. "
    "Whoever runs me has to look at my settings.",
}

_RESET = {
    ResetOutcome.DONE: "Done: I have forgotten this conversation. Your next message here starts a new one.",
    ResetOutcome.NOTHING: "There is nothing to reset here: I remember nothing of this thread. "
    "Other conversations are reset in their own threads.",
    ResetOutcome.NOT_YOURS: "Only people who took part in this conversation can reset it.",
}

SOMETHING_BROKE = "Something went wrong on my side, and I could not do that. Please try again in a minute."
BUSY = "I have too much to do right now. Please try again in a minute."
SLASH_NOTHING = "There is nothing to reset here: you have no conversation with me in this channel."
CHOOSE_SESSION = "Which conversation shall I forget?"
ALREADY_RESET = "That conversation was already reset."
FORGET = "Forget"
FORGET_ALL = "Forget all of them"
NO_WORDS = "(a message without text)"
UNKNOWN_COMMAND = "I don't know that one. This is what I can do:"
UNKNOWN_CHOICE = "Write `all`, or a link to a message in the conversation that I shall forget."
THREAD_NOT_FOUND = "I have no conversation with you at that link."


_INTERRUPTED = {
    Interrupted.STOPPED: "_(Stopped.)_",
    Interrupted.RESET: "_(I stopped here: this conversation was reset.)_",
    Interrupted.DELETED: "_(I stopped here: the question was deleted.)_",
    Interrupted.UNINSTALLED: "_(I stopped here.)_",
}

_STOP = {
    StopOutcome.STOPPED: "Stopped.",
    StopOutcome.NOT_BEGUN: "Stopped: I had not begun to answer yet.",
    StopOutcome.NOTHING_RUNS: "There is nothing to stop here: I am not answering anything in this thread.",
}


def interrupted(why: Interrupted) -> str:
    """The last line of an answer that ends before its time."""
    return _INTERRUPTED[why]


def fixed(outcome: ResetOutcome | StopOutcome) -> str:
    """The line that a command in a thread is owed."""
    return _RESET[outcome] if isinstance(outcome, ResetOutcome) else _STOP[outcome]


def trouble(kind: Trouble) -> str:
    """What a person reads when the model gave no whole answer."""
    return _TROUBLE[kind]


def reset(outcome: ResetOutcome) -> str:
    """What a person reads after asking for a reset in the thread itself."""
    return _RESET[outcome]


def reset_count(count: int) -> str:
    """What a person reads after resetting by slash command, for `count` of at least one session."""
    if count == 1:
        return "Done: I have forgotten our conversation here. Your next message starts a new one."
    return f"Done: I have forgotten our {count} conversations here."


def more_conversations(count: int) -> str:
    """The line below a list of conversations that does not hold `count` of them."""
    return f"And {count} more that are not listed: “{FORGET_ALL}” is for those, too."


def last_active(ago: timedelta) -> str:
    """How long ago somebody last wrote in a conversation, in the list to choose from."""
    minutes = int(ago.total_seconds()) // 60
    for unit, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        if (number := minutes // size) > 0:
            return f"Last active {number} {unit}{'' if number == 1 else 's'} ago"
    return "Last active just now"


def status(count: int, idle_hours: float) -> str:
    """What `/attendant status` says about the caller's `count` open sessions in that channel."""
    limit = f"{idle_hours:g} hours" if idle_hours != 1 else "an hour"
    if count == 0:
        return "You have no open conversation with me here."
    have = "one open conversation" if count == 1 else f"{count} open conversations"
    return f"You have {have} with me here. Each is forgotten after {limit} without a message."


def help_text(bot: str, command: str, reset_command: str) -> str:
    """What `/attendant help` says, in Slack's mrkdwn."""
    return (
        f"I am {bot}, the attendant of this workspace.\n"
        f"• *Ask me*: mention me in a channel, or write to me directly. I answer in the thread, and replies there "
        "carry the conversation on without a mention.\n"
        f"• *Start over*: write `!reset` in the thread, or choose _Start over_ in a message's menu. "
        f"`{reset_command}` (or `{command} reset`) resets your conversations in a channel; "
        f"add `all` or a thread's link to pick.\n"
        f"• *What is open*: `{command} status`."
    )
