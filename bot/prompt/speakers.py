"""Speakers: how people appear in the prompt. Each person has a unique name,
and no person can write a line that looks like another person's.

Rule: pure. The model never reads a platform's id. No name reads like one of the model's roles or a note of the bot.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import dropwhile, islice

from bot.domain.events import Attachment, Forwarded
from bot.domain.lookalikes import COLONS, OPENING_BRACKETS, folded, is_invisible
from bot.prompt.attached_files import described
from bot.prompt.marks import FORWARDED_BEGINS, FORWARDED_ENDS, INDENT, OPENINGS, ROUND, set_in, without_marks

UNKNOWN = "Somebody"
NO_WORDS = "(a message without text)"
LONGEST_NAME = 80  # characters

_MENTION = re.compile(r"<@([^<>|\s]+)(?:\|[^<>]*)?>")  # no < inside, so that matching takes linear time
# Folded, as a reader sees them. A name that reads like one of the roles is marked.
_ROLES = frozenset(
    map(folded, ("assistant", "attendant", "developer", "function", "somebody", "system", "tool", "user", "you"))
)
_SYSTEM = folded("system")  # marked in any name: nobody but the operator speaks for it
_BOTS = frozenset(map(folded, ("app", "bot", "bots")))  # marked at a name's end: "Jenkins (a bot)" is a bot's
_FILLERS = _BOTS | set(
    map(folded, ("a", "ai", "an", "from", "instruction", "instructions", "message", "messages", "note", "of", "the"))
)  # words that do not make another name of a role
_FILLERS |= set(map(folded, ("another", "guest", "organisation")))  # Slack's edge marks such people
_IN_NAMES = ROUND | str.maketrans({"{": "(", "}": ")", "<": "(", ">": ")"} | dict.fromkeys(COLONS, " "))
_QUOTED = ROUND | dict.fromkeys(map(ord, '“”"„«»'), " ")
_WORD = re.compile(r"[^\W_]+")
_NUMBER_AT_END = re.compile(r"[\W\d_]+\Z")
_LONGEST_START = LONGEST_NAME + 22  # of a line that could be another person's: a marked name, a colon and a space
_NAME_LINE = re.compile(rf"[^{COLONS}]{{1,{LONGEST_NAME + 20}}}[{COLONS}](?![/\d])")


def mentioned(text: str) -> list[str]:
    """Return the ids of the people whom a text mentions, in order."""
    return _MENTION.findall(text)


def name_mentions(text: str, names: Mapping[str, str]) -> str:
    """Replace each mention in a text with the person's name."""
    return _MENTION.sub(lambda match: "@" + names.get(match[1], UNKNOWN.lower()), text)


def message_text(
    text: str,
    attachments: Sequence[Attachment],
    names: Mapping[str, str],
    *,
    forwarded: Sequence[Forwarded] = (),
    named: bool = False,
) -> str:
    """Return a message as the model reads it: mentions as names, then its files, then forwarded words set apart.

    `named`: its author's name is to stand before it.
    """
    words = without_marks(name_mentions(text, names).strip(), first=int(named))
    parts = [words] if words else []
    return "\n".join([*parts, *_files(attachments, names), *_passed_on(forwarded, names)]) or NO_WORDS


def attributed(name: str, text: str) -> str:
    """Return a text that begins with its author's name.

    All other lines are indented, so that no author can begin a line with another person's name.
    """
    return f"{name}: " + f"\n{INDENT}".join(text.splitlines())


def unattributed(
    text: str, attachments: Sequence[Attachment], names: Mapping[str, str], forwarded: Sequence[Forwarded] = ()
) -> str:
    """Return the message of the only author so far, without a name.

    Its lines are indented, so that they are nobody else's when others write later. The first one is not, unless it
    could be taken for a mark or for another person's message.
    """
    first, *others = without_marks(name_mentions(text, names).strip()).splitlines() or [""]
    seen = dropwhile(str.isspace, (char for char in first if not is_invisible(char)))
    start = "".join(islice(seen, _LONGEST_START))
    is_mistakable = start.startswith(tuple(OPENING_BRACKETS)) or _NAME_LINE.match(start)
    begins = set_in(first) if is_mistakable else first
    parts = [begins, *map(set_in, others)] if first else []
    return "\n".join([*parts, *_files(attachments, names), *_passed_on(forwarded, names)]) or NO_WORDS


def forwarded_people(forwarded: Iterable[Forwarded]) -> list[str]:
    """Return the ids of the people who wrote these messages, or whom these mention, in order."""
    return [person for each in forwarded for person in (each.author_id, *mentioned(each.text)) if person]


def unique_names(
    people: Iterable[str],
    profile_names: Mapping[str, str],
    given: Mapping[str, str],
    *,
    bots: Collection[str] = (),
    own_name: str = "",
) -> dict[str, str]:
    """Return `given` with a unique name for each of these people: of two Anas, the second is "Ana (2)".

    `profile_names` are the names in people's profiles, where these are known. Names in `given` do not change. `bots`
    are the ids of other bots, whose names say so. `own_name` is this bot's, which nobody else may have.
    """
    names = dict(given)
    keys = {key for name in names.values() for key in _keys(name)}
    roles = _ROLES | {"".join(_WORD.findall(reading)) for reading in _readings(own_name)} - {""}
    counts = dict[str, int]()  # people by name, so that a crowd of one name does not take quadratic time
    for person in people:
        if person not in names:
            name = _safe(profile_names.get(person, ""), roles, is_bot=person in bots) or UNKNOWN
            counts[name], names[person] = _numbered(name, keys, counts.get(name, 0))
            keys |= _keys(names[person])
    return names


def _passed_on(forwarded: Sequence[Forwarded], names: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of forwarded messages.

    Their words stand indented between marks, so that nobody speaks as another. The name that the platform gives is only
    quoted, because another person of the conversation may have the same.
    """
    for each in forwarded:
        author, called = names.get(each.author_id, ""), _on_one_line(each.author_name)[:LONGEST_NAME]
        source = f" ({_on_one_line(each.source)})" if each.source else ""
        yield FORWARDED_BEGINS.format((author or (f"somebody called “{called}”" if called else "somebody")) + source)
        yield set_in(message_text(each.text, each.attachments, names))
        yield FORWARDED_ENDS


def _on_one_line(text: str) -> str:
    """Return the text on one line, without brackets and quotes, which could close the mark around it."""
    return " ".join("".join(char for char in text.translate(_QUOTED) if not is_invisible(char)).split())


def _files(attachments: Sequence[Attachment], names: Mapping[str, str]) -> list[str]:
    return [described(file, _name_and_type(file, names)) for file in attachments]


def _name_and_type(file: Attachment, names: Mapping[str, str]) -> str:
    """Return a file's name and type on one line, without brackets, which could close the note around it."""
    return " ".join(name_mentions(f"{file.name} ({file.mimetype})", names).translate(ROUND).split())


def _safe(name: str, roles: Collection[str], *, is_bot: bool) -> str:
    """Return the name on one line, without brackets and colons. A name that misleads is marked."""
    visible = "".join(" " if char.isspace() else char for char in name if char.isspace() or not is_invisible(char))
    start = " ".join(visible.split())[: 4 * LONGEST_NAME]  # bounded, because one character may become eighteen
    safe = " ".join(unicodedata.normalize("NFKC", start).translate(_IN_NAMES).split())[:LONGEST_NAME].rstrip()
    return f"{safe} (a person)" if not is_bot and _is_misleading(safe, roles) else safe


def _is_misleading(name: str, roles: Collection[str]) -> bool:
    """Return whether a person's name reads like a role, another bot, this one, or a line of ours."""
    for reading in _readings(name) | _readings(_NUMBER_AT_END.sub("", name)):
        words = _WORD.findall(reading)
        core = "".join(word for word in words if word not in _FILLERS)
        says_bot = bool(words) and words[-1] in _BOTS
        if core in roles or "".join(words) in roles or says_bot or _SYSTEM in words:
            return True
        if " ".join(words).startswith(tuple(OPENINGS)):
            return True
    return False


def _numbered(name: str, keys: set[str], count: int) -> tuple[int, str]:
    """Return the first free one of "Ana", "Ana (2)", … after the first `count` of them, and its number."""
    while True:
        count += 1
        numbered = f"{name} ({count})" if count > 1 else name
        if not _keys(numbered) & keys:
            return count, numbered


def _keys(name: str) -> set[str]:
    """Return keys that names which look alike share: their letters and digits, as Latin ones."""
    return {"".join(_WORD.findall(reading)) or reading for reading in _readings(name)}


def _readings(name: str) -> set[str]:
    """Return what a name resembles as it is written, in small letters and in capitals."""
    return {folded(name), folded(name.casefold()), folded(name.upper())}
