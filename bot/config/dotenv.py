"""The `.env` file: `NAME=value` lines. Blank lines and # comments are skipped, quotes and `export` are allowed.

Rule: an error never repeats a line, because the line may hold a token. docs/decisions/0015-settings.md says why this
is not python-dotenv.
"""

from __future__ import annotations

import re
from pathlib import Path

from bot.errors import ConfigError

_ENV_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=(?P<value>.*)")
_QUOTED = re.compile(r"""\s*(?P<quote>['"])(?P<text>.*?)(?P=quote)\s*(?:\#.*)?""")


def read(file: Path) -> dict[str, str]:
    """Return the variables that the file sets; none when there is no file.

    Raises ConfigError for a file that is not UTF-8 text and for a line that is not an assignment.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "cannot be read as UTF-8 text", "Check its permissions and encoding.") from error
    variables: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, value = _assignment(line.strip(), f"{file}, line {number},")
            variables[name] = value
    return {name: value for name, value in variables.items() if value}


def _assignment(line: str, position: str) -> tuple[str, str]:
    parts = _ENV_LINE.fullmatch(line)
    if parts is None:
        raise ConfigError(position, "is not NAME=value", "Mend or remove that line.")
    value = parts["value"]
    if value.lstrip()[:1] in {"'", '"'}:
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise ConfigError(position, "has a quote that does not close", "Close it.")
        return parts["name"], quoted["text"]
    return parts["name"], re.split(r"\s+#", value, maxsplit=1)[0].strip()
