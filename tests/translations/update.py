"""`make translations`: bring the catalogues up to date with the code, and print what is left to translate."""

from __future__ import annotations

import io

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from bot.domain.language import TRANSLATED
from bot.translations.catalogue import DOMAIN, path_of
from tests.translations.extraction import PROJECT, template

_PEOPLE_AND_DATES = ("PO-Revision", "POT-Creation", "Generated-By", "Last-Translator", "Language-Team", "Report-Msgid")
_LEFT_OUT = tuple(f'"{header}' for header in _PEOPLE_AND_DATES)


def updated(language: str) -> Catalog:
    """Return a language's catalogue with the lines of the code: new ones are empty, and removed ones are gone."""
    catalog = read(language) if path_of(language).exists() else Catalog(locale=language, domain=DOMAIN)
    catalog.project, catalog.fuzzy = PROJECT, False
    catalog.header_comment = f"# Attendant's lines in the language {language}. `make translations` updates this file."
    catalog.update(template(), no_fuzzy_matching=True, update_header_comment=False)
    catalog.obsolete.clear()
    return catalog


def read(language: str) -> Catalog:
    """Return a language's catalogue as it is."""
    with path_of(language).open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN)


def written(catalog: Catalog) -> str:
    """Return the catalogue as the text of a file. It has neither dates nor line numbers, so that diffs are small."""
    into = io.BytesIO()
    write_po(into, catalog, width=100, include_lineno=False, ignore_obsolete=True)
    text = into.getvalue().decode("utf-8")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(_LEFT_OUT))


def main() -> None:
    """Update every catalogue."""
    for language in TRANSLATED:
        catalog, file = updated(language), path_of(language)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(written(catalog), encoding="utf-8")
        missing = [message for message in catalog if message.id and not all(texts_of(message.string))]
        print(f"{language}: {len(catalog)} lines, {len(missing)} to translate")  # noqa: T201
        for message in missing:
            print(f"  {message.id!r} ({message.locations[0][0]})")  # noqa: T201


def texts_of(string: object) -> tuple[str, ...]:
    """Return a translation's plural forms; a line without a plural has one."""
    return tuple(map(str, string)) if isinstance(string, list | tuple) else (str(string or ""),)


if __name__ == "__main__":
    main()
