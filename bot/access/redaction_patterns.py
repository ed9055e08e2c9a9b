"""The operator's own patterns of what is to be removed, from a file: `employee number = EMP-[0-9]{6}` in each line."""

from __future__ import annotations

import re
from pathlib import Path

from bot.errors import ConfigError

_VARIABLE = "REDACTION_PATTERNS_FILE"
_REMEDY = "Write a label, an equals sign and a regular expression in each line."
_LABEL = re.compile(r"[^\W_][\w -]{0,39}")


def load(file: Path) -> list[tuple[str, re.Pattern[str]]]:
    """Return the labels and the patterns. Empty lines, and those that begin with #, are left out.

    Raises ConfigError when the file cannot be read, or a line cannot be used.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(_VARIABLE, f"cannot be read: {reason}", f"Check the path {file}.") from error
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    return [_parsed(number, line) for number, line in numbered if line and not line.startswith("#")]


def _parsed(number: int, line: str) -> tuple[str, re.Pattern[str]]:
    label, _, text = (part.strip() for part in line.partition("="))
    if not _LABEL.fullmatch(label) or not text:
        raise ConfigError(_VARIABLE, f"has no label and pattern in line {number}", _REMEDY)
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(_VARIABLE, f"has no regular expression in line {number}: {error}", _REMEDY) from None
    if pattern.search("") is not None:
        raise ConfigError(_VARIABLE, f"has a pattern in line {number} that matches empty text", _REMEDY)
    return label, pattern
