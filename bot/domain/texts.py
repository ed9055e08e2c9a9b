"""Every sentence the bot says that the model did not write.

Rule: plain, short, and never a stack trace; each says what happened and what the person can do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from bot.domain.sessions import Interrupted, Memory, ResetOutcome, StopOutcome
from bot.errors import Trouble

WORKING = "is thinking…"  # Slack shows the app's name before it

STARTED_FRESH = "_It has been a while, so I have started over: I no longer have what we said here before._"
WAITING = "has a lot to do right now; yours is next in line…"
ANSWERED_ELSEWHERE = "_(My answer is in another message of this thread.)_"
TRUNCATED = "_(My answer reached its length limit. Write “go on” for the rest.)_"
SHORTENED = "_(Your message is longer than what I can take in at once: I have not seen the middle of it.)_"
FAILED_TURN = "(No answer was given: a technical problem.)"  # what the model is shown of a failed turn
ANSWER_ERASED = "[This answer was erased.]"  # what the model is shown of it

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
    Trouble.NOT_FOUND: "I can't answer right now: the language model that I am set to ask is not there. "
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
STOPPING = "I am being stopped, and cannot finish this answer. Please ask again in a moment."
SLASH_NOTHING = "There is nothing to reset here: you have no conversation with me in this channel."
CHOOSE_SESSION = "Which conversation shall I forget?"
ALREADY_RESET = "That conversation was already reset."
FORGET = "Forget"
FORGET_ALL = "Forget all of them"
THREAD = "This one"
NO_WORDS = "(a message without text)"
UNKNOWN_COMMAND = "I don't know that one. This is what I can do:"
UNKNOWN_CHOICE = "Write `all`, or a link to a message in the conversation that I shall forget."
THREAD_NOT_FOUND = "I have no conversation with you at that link."
FORGET_ME = "Forget me"
CONFIRM_FORGET_ME = (
    "Shall I forget you? Whatever you wrote to me in this workspace, and my answers to it, are erased from "
    "my memory, and cannot be brought back. What stands in Slack stays there until you delete it."
)
NOTHING_TO_FORGET = "Done: I remember nothing of you."
EXPORT_COMES = "I am putting together what I remember of you. It comes as a direct message."
EXPORT = "This is what I remember of you, as a file. What is forgotten, in conversations that have ended, has no words."
EXPORT_FILE = "attendant-export.json"
EXPORT_ABOUT = (
    "What the bot keeps of you. In “messages” is what you wrote to it, each with the answer; the answer is left out "
    "where others had asked as well, because it may hold what they said. In “background” is what you wrote in threads "
    "before the bot was called into them. Where “complete” is false there was more, and this is the newest of it."
)
EXPORT_FAILED = "I could not send you the file. Whoever runs me finds the reason in my log."

HOW_TO_USE_ME = "How to use me"
YOUR_PREFERENCES = "What I keep in mind for you"
NO_PREFERENCES = (
    "Nothing yet. Tell me how to address and answer you: here, or by saying so, for instance “call me Ana”."
)
PREFERENCES_ARE_YOURS = (
    "It shapes my answers to you and to nobody else, in every conversation here. Your time zone and language setting "
    "I take from your Slack profile."
)
EDIT_PREFERENCES = "Edit"
PREFERENCES_TITLE = "Your preferences"  # Slack allows 24 characters
SAVE, CANCEL = "Save", "Cancel"
NEITHER_TONE = "As it fits"
UNKNOWN_TONE = "Choose brief, detailed or neither."
UNKNOWN_PREFERENCE = "I cannot keep this in mind."

PREFERENCE_LABELS = {
    "name": "What shall I call you?",
    "language": "Which language shall I answer in?",
    "tone": "How much shall I say?",
    "about": "What shall I know about you?",
}
PREFERENCES_SHOWN = {
    "name": "How I address you",
    "language": "The language I answer in",
    "tone": "How much I say",
    "about": "What I know about you",
}
PREFERENCE_HINTS = {
    "name": "A name, as you like to be addressed.",
    "language": "Empty: the language you write in.",
    "about": "Up to 1,000 characters: your work, your devices, what you are used to. No passwords, please.",
}
TONES = {"brief": "Brief answers", "detailed": "Detailed answers"}

_NOTED = {
    "name": "I call you {}",
    "language": "I answer you in {}",
    "tone": "my answers to you are {}",
    "about": "I know this about you: “{}”",
}
_NOTED_NO_MORE = {
    "name": "I have no name of your choice for you",
    "language": "I answer you in the language you write in",
    "tone": "my answers to you are as long as it takes",
    "about": "I have forgotten what to know about you",
}
_NOTED_CHARACTERS = 200  # of one wish


_INTERRUPTED = {
    Interrupted.EDITED: "",  # nobody is told: the answer begins again
    Interrupted.STOPPED: "_(Stopped.)_",
    Interrupted.RESET: "_(I stopped here: this conversation was reset.)_",
    Interrupted.DELETED: "_(I stopped here: the question was deleted.)_",
    Interrupted.ERASED: "_(I stopped here: I was asked to forget this.)_",
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


def forgotten(count: int) -> str:
    """What a person reads when `count` messages of theirs, and what was answered to them, are erased."""
    if count == 0:
        return NOTHING_TO_FORGET
    messages = "your one message" if count == 1 else f"your {count} messages"
    return f"Done: I have forgotten you, with {messages} and my answers to you."


def more_conversations(count: int) -> str:
    """The line below a list of conversations that does not hold `count` of them."""
    return f"And {count} more that are not listed: “{FORGET_ALL}” is for those, too."


def last_active(ago: timedelta) -> str:
    """How long ago somebody last wrote in a conversation, in the list to choose from."""
    return f"Last active {long} ago" if (long := _length(ago, units=1)) else "Last active just now"


def status(count: int, lines: Sequence[str], idle_after: timedelta) -> str:
    """What `/attendant status` says about the caller's `count` open sessions in that channel; `lines` are of some."""
    if count == 0:
        return "You have no open conversation with me here."
    have = "one open conversation" if count == 1 else f"{count} open conversations"
    first = f"You have {have} with me here. Each is forgotten after {_length(idle_after) or _SOON} without a message."
    more = [f"And {count - len(lines)} more."] if count > len(lines) else []
    return "\n".join([first, *(f"• {line}" for line in lines), *more])


def status_line(link: str, age: timedelta, turns: int, expires_in: timedelta) -> str:
    """One open session in that list; `link` leads to its thread."""
    return f"{link}: {_begun(age)}, {_turns(turns)}, forgotten in {_length(expires_in) or _SOON}"


def memory(remembered: Memory | None) -> str:
    """What the thread is told that asked what is remembered of it."""
    if remembered is None:
        return "I remember nothing of this thread. Each conversation is asked about in its own."
    in_short = ", the oldest of it in short" if remembered.in_short else ""
    return (
        f"I remember this conversation: {_begun(remembered.age)}, {_turns(remembered.turns)}, "
        f"{remembered.filled:.0%} of what I can keep in mind at once{in_short}. I forget it in "
        f"{_length(remembered.expires_in) or _SOON} unless somebody writes here, and at once on `!reset`."
    )


def expires_soon(left: timedelta) -> str:
    """The line in a thread whose session expires when nobody writes."""
    return f"_I will forget this conversation in {_length(left) or _SOON}, unless somebody writes here._"


_SOON = "less than a minute"


def _begun(age: timedelta) -> str:
    return f"begun {long} ago" if (long := _length(age)) else "begun just now"


def _turns(count: int) -> str:
    return "one turn" if count == 1 else f"{count} turns"


def _length(time: timedelta, units: int = 2) -> str:
    """A time in the largest units that it fills, "1 day 2 hours"; empty when it fills no minute."""
    minutes, told = max(0, int(time.total_seconds())) // 60, []
    for unit, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        number, minutes = divmod(minutes, size)
        if number > 0:
            told.append(f"{number} {unit}{'' if number == 1 else 's'}")
    return " ".join(told[:units])


def help_text(bot: str, command: str, reset_command: str) -> str:
    """What `/attendant help` says, in Slack's mrkdwn."""
    return (
        f"I am {bot}, the attendant of this workspace.\n"
        f"• *Ask me*: mention me in a channel, or write to me directly. I answer in the thread, and replies there "
        "carry the conversation on without a mention. In a thread that others began I read what was said before.\n"
        "• *Stop me*: write `!stop` in the thread. What you edit I take as it stands now; what you delete I forget.\n"
        f"• *Start over*: write `!reset` in the thread, or choose _Start over_ in a message's menu. "
        f"`{reset_command}` (or `{command} reset`) resets your conversations in a channel; "
        f"add `all` or a thread's link to pick.\n"
        f"• *What I remember*: write `!status` in the thread; `{command} status` tells which conversations are open.\n"
        f"• *What I keep in mind for you*: `{command} preferences`, or my Home tab, or just tell me, for instance "
        "“call me Ana”.\n"
        f"• *What I remember of you*: `{command} export` sends it to you, `{command} forget me` erases it."
    )


def too_long(length: int, most: int) -> str:
    """Why a preference of `length` characters is not kept."""
    return f"That is {length:,} characters; I can keep {most:,}."


def noted(wishes: Mapping[str, str]) -> str:
    """What a person reads when the model has changed their preferences; an empty wish was taken back."""
    lines = [
        _NOTED[field].format(" ".join(wish.split())[:_NOTED_CHARACTERS]) if wish else _NOTED_NO_MORE[field]
        for field, wish in wishes.items()
    ]
    return f"(Noted, from now on: {'; '.join(lines)}.)"
