"""Speakers: how people appear in the prompt. Each person has a unique name,
and no person can write a line that looks like another person's.

Rule: pure. The model never reads a platform's id. No name reads like one of the model's roles or a note of the bot.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from bot.domain.events import Attachment

UNKNOWN = "Somebody"
LONGEST_NAME = 80  # characters

_MENTION = re.compile(r"<@([^<>|\s]+)(?:\|[^<>]*)?>")  # no < inside, so that matching takes linear time
_ROLES = frozenset({"assistant", "attendant", "developer", "function", "somebody", "system", "tool", "user", "you"})
_IN_NAMES = str.maketrans({":": " ", "[": "(", "]": ")", "{": "(", "}": ")", "<": "(", ">": ")"})
_IN_NOTES = str.maketrans("[]", "()")
# Greek and Cyrillic letters that look like Latin ones: as small letters, and as capitals. All are written small here.
_LOWERCASE = str.maketrans("аеорсухіѕјһԁԛԝӏαινορυκγχω", "aeopcyxisjhdqwlaivopukyxw")
_UPPERCASE = str.maketrans("авеікмнорстухѕјһԛԝӏαβεζηικμνορτυχ", "abeikmhopctyxsjhqwiabezhikmnoptyx")
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})  # categories: control, format, unassigned, private, surrogate


def mentioned(text: str) -> list[str]:
    """Return the ids of the people whom a text mentions, in order."""
    return _MENTION.findall(text)


def name_mentions(text: str, names: Mapping[str, str]) -> str:
    """Replace each mention in a text with the person's name."""
    return _MENTION.sub(lambda match: "@" + names.get(match[1], UNKNOWN.lower()), text)


def message_text(text: str, attachments: Sequence[Attachment], names: Mapping[str, str]) -> str:
    """Return a message as the model reads it: mentions as names, files by their metadata."""
    words = name_mentions(text, names).strip()
    parts = [words] if words else []
    parts += [f"[attached, and not visible to you: {_described(file, names)}]" for file in attachments]
    return "\n".join(parts) or "(a message without text)"


def attributed(name: str, text: str) -> str:
    """Return a text that begins with its author's name.

    All other lines are indented, so that no author can begin a line with another person's name.
    """
    return f"{name}: " + "\n  ".join(text.splitlines())


def unique_names(people: Iterable[str], profile_names: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return `given` with a unique name for each of these people: of two Anas, the second is "Ana (2)".

    `profile_names` are the names in people's profiles, where these are known. Names in `given` do not change.
    """
    names = dict(given)
    keys = {key for name in names.values() for key in _keys(name)}
    counts = dict[str, int]()  # people by name, so that a crowd of one name does not take quadratic time
    for person in people:
        if person not in names:
            name = _safe(profile_names.get(person, "")) or UNKNOWN
            counts[name], names[person] = _numbered(name, keys, counts.get(name, 0))
            keys |= _keys(names[person])
    return names


def _described(file: Attachment, names: Mapping[str, str]) -> str:
    """Describe a file on one line, without brackets, which could close the note around it."""
    return " ".join(name_mentions(f"{file.name} ({file.mimetype})", names).translate(_IN_NOTES).split())


def _safe(name: str) -> str:
    """Return the name on one line, without brackets and colons. A name that reads like a role is marked."""
    visible = "".join(" " if char.isspace() else char for char in name if char.isspace() or not _is_invisible(char))
    safe = " ".join(unicodedata.normalize("NFKC", visible).translate(_IN_NAMES).split())[:LONGEST_NAME].rstrip()
    return f"{safe} (a person)" if _keys(safe) & _ROLES else safe


def _numbered(name: str, keys: set[str], count: int) -> tuple[int, str]:
    """Return the first free one of "Ana", "Ana (2)", … after the first `count` of them, and its number."""
    while True:
        count += 1
        numbered = f"{name} ({count})" if count > 1 else name
        if not _keys(numbered) & keys:
            return count, numbered


def _keys(name: str) -> set[str]:
    """Return keys that names which look alike share: their letters and digits, as Latin ones."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    key = "".join(char for char in folded if char.isalnum()) or folded
    return {key.translate(_LOWERCASE), key.translate(_UPPERCASE)}


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) in _INVISIBLE
