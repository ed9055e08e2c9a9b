"""The `.env` file: `NAME=value` lines; blank lines and # comments are skipped, quotes and `export` are allowed.

Rule: a line is never repeated in an error, because it may hold a token.
"""

from __future__ import annotations

import re
from pathlib import Path

from bot.errors import ConfigError

_ENV_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=(?P<value>.*)")
_QUOTED = re.compile(r"""\s*(?P<quote>['"])(?P<text>.*?)(?P=quote)\s*(?:\#.*)?""")


def read(file: Path) -> dict[str, str]:
    """What the file's lines set; nothing when there is no file. Raises ConfigError for what is no such line."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "cannot be read as UTF-8 text", "Check its permissions and encoding.") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, value = _env_line(line.strip(), f"{file}, line {number},")
            found[name] = value
    return {name: value for name, value in found.items() if value}


def _env_line(line: str, where: str) -> tuple[str, str]:
    found = _ENV_LINE.fullmatch(line)
    if found is None:
        raise ConfigError(where, "is not NAME=value", "Mend or remove that line.")
    value = found["value"]
    if value.lstrip()[:1] in {"'", '"'}:
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise ConfigError(where, "has a quote that does not close", "Close it.")
        return found["name"], quoted["text"]
    return found["name"], re.split(r"\s+#", value, maxsplit=1)[0].strip()
