"""Sentences about the files that people attach, in the form of bot/domain/texts.py."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.events import Attachment
from bot.domain.file_content import FileOutcome
from bot.domain.language import plural, translated

FILES_CUT = "_(What you attached was too much for me to take in at once: I haven't seen all of it.)_"
IMAGES_UNSEEN = "_(I can't look at images with the language model that I use, so I went by the words alone.)_"

_UNREAD = {
    FileOutcome.IMAGE_UNSEEN: "I can't look at images with the language model that I use",
    FileOutcome.OTHER_KIND: "I can't open this kind of file",
    FileOutcome.TOO_LARGE: "it's too large for me",
    FileOutcome.PROTECTED: "it's protected by a password",
    FileOutcome.NO_TEXT: "I found no text in it",
    FileOutcome.DAMAGED: "it seems to be damaged",
    FileOutcome.TOO_SLOW: "it took me too long",
    FileOutcome.TOO_MANY: "that's more files than I read at once",
    FileOutcome.NOT_SHARED: "Slack doesn't let me open it",
    FileOutcome.ELSEWHERE: "it's stored outside of Slack",
    FileOutcome.NO_PERMISSION: "I'm not allowed to open files here; the person who runs me can change that",
    FileOutcome.UNREACHABLE: "I couldn't download it just now; please send it again",
}
_LISTED_FILES = 3


def unread_files(files: Sequence[Attachment]) -> list[str]:
    """Return the lines below an answer about files that the bot has not read, or only in part; often there are none."""
    by_reason: dict[str, list[str]] = {}
    for file in files:
        if file.content is not None and file.content.outcome in _UNREAD:
            by_reason.setdefault(translated(_UNREAD[file.content.outcome]), []).append(file.name)
    reasons = [f"{_listed(names)} ({reason})" for reason, names in by_reason.items()]
    partly = [file.name for file in files if file.content is not None and not file.content.whole]
    unread = translated("_(I haven't read {files}.)_").format(files=translated(", ").join(reasons))
    begun = translated("_(I've read only the beginning of {files}.)_").format(files=_listed(partly) if partly else "")
    return [*[unread] * bool(reasons), *[begun] * bool(partly)]


def _listed(names: Sequence[str]) -> str:
    """Return the first of these files' names, each as code, in which no character means anything to Markdown."""
    shown = [f"`{' '.join(name.replace('`', ' ').split())[:60].strip() or 'file'}`" for name in names[:_LISTED_FILES]]
    left = len(names) - _LISTED_FILES
    *first, last = [*shown, *([plural("{count} more", "{count} more", left)] if left > 0 else [])]
    return translated("{files} and {last}").format(files=translated(", ").join(first), last=last) if first else last
