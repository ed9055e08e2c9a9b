"""Catalogues, read from the .po files of this folder when a language is first used.

The files are text, so a change shows in a review, and a clone needs no build step. Format:
https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html
"""

from __future__ import annotations

import functools
import gettext
import io
from pathlib import Path

FOLDER = Path(__file__).parent
DOMAIN = "attendant"


def path_of(language: str) -> Path:
    """Return the file with the lines of a language."""
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


@functools.cache
def catalogue(language: str) -> gettext.NullTranslations:
    """Return the lines of a language. A line that is missing there stays English."""
    # Imported here, because a bot whose people all read English needs none of it.
    from babel.messages import mofile, pofile  # noqa: PLC0415

    with path_of(language).open("rb") as file:
        lines = pofile.read_po(file, locale=language, domain=DOMAIN)
    compiled = io.BytesIO()
    mofile.write_mo(compiled, lines)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def number(count: int, language: str) -> str:
    """Return a number with the separators of a language."""
    from babel.numbers import format_decimal  # noqa: PLC0415

    return format_decimal(count, locale=language)


def percent(share: float, language: str) -> str:
    """Return a share, such as 0.12, as whole per cent."""
    from babel.numbers import format_percent  # noqa: PLC0415

    return format_percent(share, locale=language)
