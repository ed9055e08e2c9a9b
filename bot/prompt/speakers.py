"""People as the model reads of them: each by one name that nobody else has, in lines that nobody can forge.

Rule: pure. A platform's id never reaches the model, and no name reads like a role of the model's or a remark of ours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from bot.domain.events import Attachment

UNKNOWN = "Somebody"
LONGEST_NAME = 80  # characters

_MENTION = re.compile(r"<@([^<>|\s]+)(?:\|[^<>]*)?>")  # no < inside: reading stays linear in the text's length
_ROLES = frozenset({"assistant", "attendant", "developer", "function", "somebody", "system", "tool", "user", "you"})
_PLAIN = str.maketrans({":": " ", "[": "(", "]": ")", "{": "(", "}": ")", "<": "(", ">": ")"})
_IN_REMARKS = str.maketrans("[]", "()")
# Letters that look like Latin ones, when they are small and when they are capital; all written small.
_SMALL = str.maketrans("аеорсухіѕјһԁԛԝӏαινορυκγχω", "aeopcyxisjhdqwlaivopukyxw")
_CAPITAL = str.maketrans("авеікмнорстухѕјһԛԝӏαβεζηικμνορτυχ", "abeikmhopctyxsjhqwiabezhikmnoptyx")
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})  # kinds of characters: controls, formats, what is not assigned


def mentioned(text: str) -> list[str]:
    """The ids of the people whom a text mentions, in its order."""
    return _MENTION.findall(text)


def plain(text: str, names: Mapping[str, str]) -> str:
    """The text with each mention as a name."""
    return _MENTION.sub(lambda found: "@" + names.get(found[1], UNKNOWN.lower()), text)


def body(text: str, attachments: Sequence[Attachment], names: Mapping[str, str]) -> str:
    """What a message says: mentions as names, files by their metadata."""
    said = plain(text, names).strip()
    parts = [said] if said else []
    parts += [f"[attached, and not visible to you: {_described(file, names)}]" for file in attachments]
    return "\n".join(parts) or "(a message without text)"


def line(name: str, text: str) -> str:
    """What somebody wrote, opening with their name.

    Later lines are set in, whatever character breaks them, so that nobody can open a line with somebody else's name.
    """
    return f"{name}: " + "\n  ".join(text.splitlines())


def distinct(people: Iterable[str], called: Mapping[str, str], taken: Mapping[str, str]) -> dict[str, str]:
    """A name for each of these people, who are told apart: of two Anas the second is "Ana (2)".

    `called` is what their profiles say, where that is known; `taken` are names given earlier, which stay as they are.
    """
    given = dict(taken)
    keys = {key for name in given.values() for key in _keys(name)}
    counts = dict[str, int]()  # how many have one name already: a crowd is not counted anew for each of it
    for person in people:
        if person not in given:
            name = _fair(called.get(person, "")) or UNKNOWN
            counts[name], given[person] = _free(name, keys, counts.get(name, 0))
            keys |= _keys(given[person])
    return given


def _described(file: Attachment, names: Mapping[str, str]) -> str:
    """The file on one line, without what ends our remark: its name is its owner's to choose."""
    return " ".join(plain(f"{file.name} ({file.mimetype})", names).translate(_IN_REMARKS).split())


def _fair(name: str) -> str:
    """The name on one line, without what opens or closes anything; marked as a person's where it reads like a role."""
    seen = "".join(" " if char.isspace() else char for char in name if char.isspace() or not _is_unseen(char))
    fair = " ".join(unicodedata.normalize("NFKC", seen).translate(_PLAIN).split())[:LONGEST_NAME].rstrip()
    return f"{fair} (a person)" if _keys(fair) & _ROLES else fair


def _free(name: str, keys: set[str], count: int) -> tuple[int, str]:
    """The name, or the first of its numbers that is free; `count` of them are known not to be."""
    while True:
        count += 1
        free = f"{name} ({count})" if count > 1 else name
        if not _keys(free) & keys:
            return count, free


def _keys(name: str) -> set[str]:
    """What names that read alike have in common: letters and digits alone, those of other scripts as Latin ones."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    key = "".join(char for char in folded if char.isalnum()) or folded
    return {key.translate(_SMALL), key.translate(_CAPITAL)}


def _is_unseen(char: str) -> bool:
    return unicodedata.category(char) in _UNSEEN
