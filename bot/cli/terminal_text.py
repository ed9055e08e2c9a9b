"""Markdown for a terminal: emphasis and headings become bold. In a pipe the Markdown stays as it is.

Rule: text is shown as soon as its marks are complete, so a stream stays a stream. Code is shown as it is.
"""

from __future__ import annotations

import re

BOLD, NORMAL = "\x1b[1m", "\x1b[22m"  # ECMA-48, select graphic rendition

_SPAN = re.compile(
    r"`[^`]+`"
    r"|\*\*(?P<strong>(?! ).+?(?<! ))\*\*(?!\*)"
    r"|(?<![*\w])\*(?P<star>[^\s*](?:[^*]*[^\s*])?)\*(?![*\w])"  # Slack's bold
    r"|(?<!\w)_(?P<line>[^\s_](?:[^_]*[^\s_])?)_(?!\w)"
)
_HEADING = re.compile(r" {0,3}#{1,6} +(?P<heading>.*?)(?: +#+)? *")
_MARK = re.compile(r"[*_`]|^ {0,3}#")
_FENCE = re.compile(r" *(```|~~~)")
_CLOSES_NOTHING = re.compile(r"\*\s")  # a list's bullet, or a product


class TerminalText:
    """Turns the pieces of one Markdown text into what a terminal shows."""

    def __init__(self) -> None:
        self._line = ""  # the last line so far
        self._shown = 0  # characters of it
        self._in_code = False

    def feed(self, piece: str) -> str:
        """Take the next piece; return the text that can be shown now."""
        *lines, rest = (self._line + piece).split("\n")
        shown = ""
        for line in lines:
            shown += self._end_of(line) + "\n"
            self._shown = 0
        self._line = rest
        return shown + self._safe_part()

    def end(self) -> str:
        """Return the text that was held back."""
        return self._end_of(self._line)

    def _end_of(self, line: str) -> str:
        """Return the part of a whole line that is not shown yet."""
        start = self._shown
        if _FENCE.match(line):
            self._in_code = not self._in_code
            return line[start:]
        if self._in_code:
            return line[start:]
        if start == 0 and (heading := _HEADING.fullmatch(line)):
            return _bold(_SPAN.sub(_words, heading["heading"]))
        shown = ""
        for span in _SPAN.finditer(line, start):
            shown += line[start : span.start()] + _formatted(span)
            start = span.end()
        return shown + line[start:]

    def _safe_part(self) -> str:
        """Return the beginning of an incomplete line up to the first mark that may still be paired."""
        line, shown = self._line, ""
        if self._in_code and not line.lstrip().startswith(("`", "~")):
            shown, self._shown = line[self._shown :], len(line)
            return shown
        while mark := _MARK.search(line, self._shown):
            shown += line[self._shown : mark.start()]
            self._shown = mark.start()
            span = _SPAN.match(line, self._shown)
            if span is not None and span.end() < len(line):  # the next character shows that the span has ended
                shown += _formatted(span)
                self._shown = span.end()
            elif _CLOSES_NOTHING.match(line, self._shown):
                shown += line[self._shown]
                self._shown += 1
            else:
                return shown
        shown += line[self._shown :]
        self._shown = len(line)
        return shown


def _formatted(span: re.Match[str]) -> str:
    return span[0] if span[0][0] == "`" else _bold(_words(span))


def _bold(text: str) -> str:
    return f"{BOLD}{text}{NORMAL}"


def _words(span: re.Match[str]) -> str:
    """Return the text between the marks; code with its marks."""
    return span["strong"] or span["star"] or span["line"] or span[0]
