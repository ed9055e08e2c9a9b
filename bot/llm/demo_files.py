"""The files in a question, as the demo model tells of them.

Rule: pure. It knows the marks of a prompt, and nothing else of the bot.
"""

from __future__ import annotations

import re

from bot.prompt.marks import ATTACHED_IMAGE, FILE_BEGINS, FILE_ENDS

QUOTED_CHARACTERS = 200

_FILE = re.compile(
    re.escape(FILE_BEGINS).replace(r"\{\}", r"(?P<name>[^\[\]\n(]*) \([^\[\]\n]*")
    + rf"\s*(?P<text>.*?)\s*{re.escape(FILE_ENDS)}",
    re.DOTALL,
)
_IMAGE = re.compile(re.escape(ATTACHED_IMAGE).replace(r"\{\}", r"(?P<name>[^\[\]\n(]*) \([^\[\]\n]*"))


def files_in(question: str) -> list[str]:
    """Return a paragraph for each file that came with the question."""
    read = [f"Your file `{_bare(file['name'])}` begins:\n{quoted(file['text'])}" for file in _FILE.finditer(question)]
    seen = [_bare(image["name"]) for image in _IMAGE.finditer(question)]
    return [*read, *(f"I was shown your image `{name}`. A real model would look at it." for name in seen)]


def _bare(name: str) -> str:
    return name.replace("`", "'").strip()


def without_files(question: str) -> str:
    """Return a question without the texts of its files."""
    return _FILE.sub("", question)


def quoted(text: str) -> str:
    """Return the text as one quoted line, in which nothing opens a list, a heading or a block of code."""
    line = " ".join(text.split()).replace("`", "'")
    if len(line) > QUOTED_CHARACTERS:
        line = line[:QUOTED_CHARACTERS].rstrip() + "…"
    return f"> “{line}”"
