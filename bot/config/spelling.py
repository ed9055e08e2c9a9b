"""Variables whose names are almost those of settings. The bot would ignore a misspelt one in silence.

Rule: a `.env` file and the environment may hold names of other programs, so only a resemblance counts.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

# difflib's ratio, 1.0 for equal names. One wrong letter in a name of ten is above the first.
_MISSPELT, _SIMILAR = 0.9, 0.75


def misspelt(names: Iterable[str], settings: Collection[str]) -> dict[str, str]:
    """Return the names that are a letter or two from a setting's, or in lower case, each with that setting."""
    return _nearest(names, settings, _MISSPELT)


def similar(names: Iterable[str], settings: Collection[str]) -> dict[str, str]:
    """Return the names that are less alike as well, such as a setting's without its unit, each with that setting."""
    unknown = [name for name in names if name not in settings]
    longer = {name: _shortest([each for each in settings if each.startswith(f"{name.upper()}_")]) for name in unknown}
    return _nearest(unknown, settings, _SIMILAR) | {name: found for name, found in longer.items() if found}


def _shortest(settings: list[str]) -> str:
    """Return the setting with which the names of the others begin, as DATABASE_URL_FILE with DATABASE_URL's; or ""."""
    shortest = min(settings, key=len, default="")
    return shortest if all(each.startswith(shortest) for each in settings) else ""


def _nearest(names: Iterable[str], settings: Collection[str], likeness: float) -> dict[str, str]:
    unknown = [name for name in names if name not in settings]
    matches = ((name, difflib.get_close_matches(name.upper(), settings, n=1, cutoff=likeness)) for name in unknown)
    return {name: found[0] for name, found in matches if found}
