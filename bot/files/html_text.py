"""The visible text of an HTML page.

Rule: pure. Python's own parser accepts any input, and needs no library.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_CHUNK = 50_000  # characters
_HIDDEN = frozenset({"script", "style", "template", "noscript", "svg", "head"})
_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote br caption dd div dl dt figure footer form h1 h2 h3 h4 h5 h6 header hr li "
        "main nav ol p pre section table tr ul",
    )
)
_CELLS = frozenset({"td", "th"})
_SPACES, _LINES = re.compile(r"[^\S\n]+"), re.compile(r"\s*\n\s*")


def text_of(html: str, most: int) -> str:
    """Return the text that a reader of the page sees, a little more than `most` characters at most."""
    page = _Page()
    for start in range(0, len(html), _CHUNK):
        page.feed(html[start : start + _CHUNK])
        if page.length > most:
            break
    else:
        page.close()
    return _LINES.sub("\n", _SPACES.sub(" ", "".join(page.pieces))).strip()


class _Page(HTMLParser):
    """Collects the pieces of text."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.length = 0
        self._hidden = ""  # the outermost element that hides its text, if one is open
        self._depth = 0  # of elements of that name

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a line, a list item or a cell."""
        del attrs
        if self._hidden:
            self._depth += tag == self._hidden
        elif tag in _HIDDEN:
            self._hidden, self._depth = tag, 1
        elif tag in _BLOCKS:
            self._add("\n- " if tag == "li" else "\n")
        elif tag in _CELLS:
            self._add(" | ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a line at an element without content, which can hide nothing."""
        del attrs
        if tag in _BLOCKS:
            self._add("\n")

    def handle_endtag(self, tag: str) -> None:
        """End a line, or the hidden part. A page's body ends a head that was never closed."""
        if tag == self._hidden:
            self._depth -= 1
            self._hidden = self._hidden if self._depth else ""
        elif tag in _BLOCKS:
            self._add("\n")

    def handle_data(self, data: str) -> None:
        """Keep text that is visible."""
        self._add(data)

    def _add(self, text: str) -> None:
        if not self._hidden:
            self.pieces.append(text)
            self.length += len(text)
