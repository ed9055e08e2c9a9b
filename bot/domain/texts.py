"""Texts: every sentence of the bot that the model did not write.

Rule: friendly, plain and short, without error codes. Each sentence gives the cause and the next step. The functions
translate (bot/domain/language.py). A constant is translated where it is shown, `translated(texts.BUSY)`.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.domain.durations import MINUTE, duration, whole_minutes
from bot.domain.language import number, plural, translated
from bot.domain.sessions import Interrupted, ResetOutcome, StopOutcome
from bot.errors import Trouble

# Slack shows these two after the app's name. bot/domain/activities.py has more of them.
WORKING = "is thinking…"
WAITING = "is busy right now; your question is in the queue…"

STARTED_FRESH = "_It's been a while, so I've started over: I no longer remember what we said here before._"
ANSWERED_ELSEWHERE = "_(My answer is in another message in this thread.)_"
TRUNCATED = "_(My answer reached its length limit. Write “go on” for the rest.)_"
SHORTENED = "_(Your message was too long for me to read in full: I haven't seen the middle of it.)_"

# The model reads these three in place of an answer, in English.
FAILED_TURN = "(No answer was given because of a technical problem.)"
ANSWER_ERASED = "[This answer was erased.]"
ANSWER_STOPPED = "_(Stopped.)_"

_WAITS = {Trouble.RATE_LIMITED: "a minute", Trouble.UNAVAILABLE: "a few minutes"}
_TROUBLE = {
    Trouble.REFUSED_KEY: "I can't answer right now: the language model denied me access. "
    "Please ask the person who runs me to check my settings.",
    Trouble.NO_QUOTA: "I can't answer right now: my budget for the language model is used up. "
    "Please let the person who runs me know.",
    Trouble.RATE_LIMITED: "I'm getting too many questions at the moment. Please ask again in {wait}.",
    Trouble.UNAVAILABLE: "I can't reach the language model right now. Please ask again in {wait}.",
    Trouble.TIMEOUT: "The language model took too long to answer. Please ask again.",
    Trouble.CUT: "My answer was cut off by a technical problem. Please ask again.",
    Trouble.EMPTY: "I couldn't come up with an answer. Please ask again, maybe in other words.",
    Trouble.REFUSED: "Sorry, I can't help with this request.",
    Trouble.WINDOW_EXCEEDED: "That's more text than I can take in at once. Please send a shorter message, "
    "or write `!reset` to start over.",
    Trouble.BAD_REQUEST: "I can't answer right now: the language model rejected my request. "
    "Please ask the person who runs me to check my settings.",
    Trouble.NOT_FOUND: "I can't answer right now: the language model that I'm set up to use doesn't exist. "
    "Please ask the person who runs me to check my settings.",
}

_RESET = {
    ResetOutcome.DONE: "Done! I've forgotten this conversation. Your next message here starts a new one.",
    ResetOutcome.NOTHING: "There's nothing to reset here: I don't remember anything from this thread. "
    "To reset another conversation, write `!reset` in its thread.",
    ResetOutcome.NOT_YOURS: "Only people who took part in this conversation can reset it.",
}

SOMETHING_BROKE = "Sorry, something went wrong on my side and I couldn't do that. Please try again in a minute."
BUSY = "I have too much to do right now. Please try again in a minute."
STOPPING = "I'm being shut down and can't finish this answer. Please ask again in a moment."
SLASH_NOTHING = "There's nothing to reset here: you have no conversation with me in this channel."
CHOOSE_SESSION = "Which conversation should I forget?"
ALREADY_RESET = "That conversation has already been reset."
FORGET = "Forget"
FORGET_ALL = "Forget all"
THREAD = "This one"
NO_WORDS = "(a message without text)"
UNKNOWN_COMMAND = "I don't know that command. Here's what I can do:"
UNKNOWN_CHOICE = "Write `all`, or paste a link to a message in the conversation that I should forget."
THREAD_NOT_FOUND = "You have no conversation with me at that link."
FORGET_ME = "Forget me"
CONFIRM_FORGET_ME = (
    "Should I forget you? This erases everything you wrote to me in this workspace, and my answers to it, from my "
    "memory. It can't be undone. Your messages in Slack stay there until you delete them."
)
NOTHING_TO_FORGET = "Done! I don't remember anything about you."
EXPORT_COMES = "I'm putting together what I remember about you. I'll send it to you as a direct message."
EXPORT = (
    "Here's a file with what I remember about you. Messages from conversations that have ended are listed without "
    "their text, because I've forgotten it."
)
EXPORT_FILE = "attendant-export.json"
EXPORT_ABOUT = (
    "What the bot stores about you. “messages” holds what you wrote to it, with the answers. An answer is left out if "
    "other people had asked as well, because it may contain what they said. “background” holds what you wrote in "
    "threads before the bot was called into them. If “complete” is false, there was more, and this is the newest part."
)
EXPORT_FAILED = "Sorry, I couldn't send you the file. The person who runs me can find the reason in my log."

HOW_TO_USE_ME = "How to use me"
YOUR_PREFERENCES = "What I keep in mind for you"
NO_PREFERENCES = (
    "Nothing yet. Tell me how you'd like to be addressed and answered: set it here, or just say so "
    "when it's just the two of us, for example “call me Ana”."
)
PREFERENCES_ARE_YOURS = (
    "This shapes my answers to you, and to nobody else, in every conversation here. I take your time zone and language "
    "setting from your Slack profile."
)
EDIT_PREFERENCES = "Edit"
PREFERENCES_TITLE = "Your preferences"  # Slack allows 24 characters
SAVE, CANCEL = "Save", "Cancel"
NEITHER_TONE = "No preference"
UNKNOWN_TONE = "Choose brief, detailed or neither."
UNKNOWN_PREFERENCE = "I can't keep this in mind."

PREFERENCE_LABELS = {
    "name": "What should I call you?",
    "language": "Which language should I answer in?",
    "tone": "How long should my answers be?",
    "about": "What should I know about you?",
}
PREFERENCES_SHOWN = {
    "name": "What I call you",
    "language": "The language I answer in",
    "tone": "How long my answers are",
    "about": "What I know about you",
}
PREFERENCE_HINTS = {
    "name": "The name you like to go by.",
    "language": "Leave this empty for the language you write in.",
    "about": "Up to 1,000 characters: your work, your devices, what you're used to. No passwords, please.",
}
TONES = {"brief": "Brief answers", "detailed": "Detailed answers"}

_PREFERENCE_SET = {
    "name": "I'll call you {}",
    "language": "I'll answer you in {}",
    "about": "I know this about you: “{}”",
}
_TONE_SET = {"brief": "my answers to you will be brief", "detailed": "my answers to you will be detailed"}
_PREFERENCE_REMOVED = {
    "name": "I won't call you by a particular name",
    "language": "I'll answer you in the language you write in",
    "tone": "my answers to you will be as long as they need to be",
    "about": "I've forgotten what you told me about yourself",
}
UNDO = "Undo"
UNDONE = "Done! I've put it back to what it was."
UNDO_TOO_LATE = "I left that as it is: it has changed since, or it was too long ago. You can edit it in my Home tab."
UNDO_NOT_YOURS = "Only the person whose preferences these are can undo this."

_INTERRUPTED = {
    Interrupted.EDITED: "",  # the answer restarts, so there is nothing to say
    Interrupted.STOPPED: ANSWER_STOPPED,
    Interrupted.RESET: "_(I stopped here because this conversation was reset.)_",
    Interrupted.DELETED: "_(I stopped here because the question was deleted.)_",
    Interrupted.ERASED: "_(I stopped here because I was asked to forget this.)_",
    Interrupted.UNINSTALLED: "_(I stopped here.)_",
}

_STOP = {
    StopOutcome.STOPPED: "Stopped.",
    StopOutcome.NOT_BEGUN: "Stopped! I hadn't started to answer yet.",
    StopOutcome.NOTHING_RUNS: "There's nothing to stop here: I'm not answering anything in this thread.",
    StopOutcome.NOT_YOURS: "Only people who took part in this conversation can stop an answer.",
}


def interrupted(why: Interrupted) -> str:
    """Return the last line of an answer that was interrupted."""
    return translated(_INTERRUPTED[why])


def fixed_reply(outcome: ResetOutcome | StopOutcome) -> str:
    """Return the reply to a `!reset` or a `!stop` in a thread."""
    return translated(_RESET[outcome] if isinstance(outcome, ResetOutcome) else _STOP[outcome])


def trouble(kind: Trouble, retry_after_s: float | None = None) -> str:
    """Return the sentence that stands in for an answer that the model did not finish.

    `retry_after_s`: the pause that the model's backend asked for, if it named one.
    """
    pause = whole_minutes(retry_after_s or 0.0)
    wait = duration(pause) if pause > MINUTE else translated(_WAITS.get(kind, ""))
    return translated(_TROUBLE[kind]).format(wait=wait)


def reset(outcome: ResetOutcome) -> str:
    """Return the reply to a reset of one thread."""
    return translated(_RESET[outcome])


def reset_count(count: int) -> str:
    """Return the reply to a slash command that reset `count` sessions, one at least."""
    return plural(
        "Done! I've forgotten our conversation here. Your next message starts a new one.",
        "Done! I've forgotten our {count} conversations here.",
        count,
    )


def forgotten(count: int) -> str:
    """Return the reply to `forget me`, which erased `count` messages and the answers to them."""
    if count == 0:
        return translated(NOTHING_TO_FORGET)
    return plural(
        "Done! I've forgotten you, along with your one message and my answers to you.",
        "Done! I've forgotten you, along with your {count} messages and my answers to you.",
        count,
    )


GREETING = "Hello, I'm *{}*, an AI. Ask me anything here, or mention me in a channel. `{} help` says more."

_HELP = (
    "Hi, I'm {bot}, the attendant of this workspace.",
    (
        "• *Ask me*: mention me in a channel, or send me a direct message. I answer in the thread, and you "
        "can reply there without mentioning me again. If people started the thread without me, I read what "
        "they wrote before."
    ),
    (
        "• *Stop me*: write `!stop` in the thread. If you edit a message, I go by the new text; if you delete"
        " one, I forget it."
    ),
    (
        "• *Have me listen only*: write `!quiet` in the thread. I answer there again once somebody mentions me or "
        "writes `!back`. A message that begins by mentioning somebody else is none of my business."
    ),
    (
        "• *Start over*: write `!reset` in the thread, or choose _Start over_ in a message's menu. "
        "`{reset_command}` (or `{command} reset`) resets your conversations in a channel; add `all` or a link"
        " to a thread to pick."
    ),
    ("• *See what I remember*: write `!status` in the thread; `{command} status` lists your open conversations."),
    (
        "• *Tell me how you like your answers*: use `{command} preferences` or my Home tab, or just tell me "
        "when it's just the two of us, for example “call me Ana”."
    ),
    (
        "• *Get or erase your data*: `{command} export` sends you what I remember about you, `{command} "
        "forget me` erases it."
    ),
)


def help_text(bot: str, command: str, reset_command: str) -> str:
    """Return the reply to `/attendant help`, in Slack's mrkdwn."""
    lines = map(translated, _HELP)
    return "\n".join(line.format(bot=bot, command=command, reset_command=reset_command) for line in lines)


def too_long(length: int, most: int) -> str:
    """Return why a preference of `length` characters was refused."""
    line = translated("That's {length} characters; I can keep {most}.")
    return line.format(length=number(length), most=number(most))


def noted(wishes: Mapping[str, str]) -> str:
    """Return the line below an answer in which the model changed a person's preferences; empty ones were removed."""
    lines = translated("; ").join(" ".join(line.split()) for line in _kept_lines(wishes))
    return translated("(Noted, from now on: {wishes}.)").format(wishes=lines)


def kept(wishes: Mapping[str, str]) -> str:
    """Return the message that shows a person what the model kept of their wishes; empty ones were removed."""
    return "\n".join([translated("Noted, from now on:"), *(f"• {line}" for line in _kept_lines(wishes))])


def _kept_lines(wishes: Mapping[str, str]) -> list[str]:
    return [
        translated(_TONE_SET[wish] if field == "tone" else _PREFERENCE_SET[field]).format(wish)
        if wish
        else translated(_PREFERENCE_REMOVED[field])
        for field, wish in wishes.items()
    ]
