"""Secrets in files: `NAME_FILE` holds the path of a file whose text is the value of the secret setting `NAME`.

Docker, Kubernetes and systemd hand secrets over so. Rule: an error repeats neither the path nor the text, because a
secret may have been put where the path belongs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

from pydantic import SecretStr

from bot.errors import ConfigError

SUFFIX = "_FILE"
_MOST_CHARACTERS = 100_000
_REMEDY = "Name a file that holds nothing but the value, and that the bot's user may read."


def is_secret(annotation: object) -> bool:
    """Whether a field with this annotation holds a secret, for instance `SecretStr | None`."""
    return annotation is SecretStr or any(map(is_secret, get_args(annotation)))


def read(variables: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """Return the values of those secret settings whose file is named, by the setting's variable.

    Raises ConfigError when a variable is set in both ways, and for a file that does not hold one line of text.
    """
    named = {name: path for name in secrets if (path := variables.get(f"{name}{SUFFIX}", "").strip())}
    for name in named:
        if variables.get(name, "").strip():
            raise ConfigError(f"{name}{SUFFIX}", f"is set beside {name}", "Unset one of them.")
    return {name: _text(f"{name}{SUFFIX}", path) for name, path in named.items()}


def _text(variable: str, path: str) -> str:
    try:
        with Path(path).expanduser().open(encoding="utf-8-sig") as file:
            text = file.read(_MOST_CHARACTERS + 1).strip()
    except (OSError, ValueError, RuntimeError) as error:  # no UTF-8, a zero byte in the path, no home folder
        problem = f"names a file that cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
    else:
        if text and len(text.splitlines()) == 1 and len(text) <= _MOST_CHARACTERS:
            return text
        problem = "names a file that does not hold one line" if text else "names an empty file"
    # Raised outside of the handler: the error holds the path.
    raise ConfigError(variable, problem, _REMEDY)
