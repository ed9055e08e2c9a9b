"""The language that a person reads: by their preference, which is free text, then by their locale.

Rule: pure. A preference that names no language of the catalogues leaves the choice to the locale.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from bot.domain.language import ENGLISH, LANGUAGES

# How the languages are called in these languages, without accents, and in a few more that many people write.
_WORDS = {
    "en": "english englisch anglais anglaise ingles inglesa inglese engels",
    "de": "german deutsch deutsche deutscher deutsches allemand allemande aleman alemana alemao alema tedesco duits",
    "fr": "french francais francaise franzosisch frances francesa francese frans",
    "es": "spanish spanisch espagnol espagnole espanol espanola espanhol espanhola castellano spagnolo spaans",
    "pt": "portuguese portugiesisch portugais portugaise portugues portuguesa portoghese portugees brasileiro",
    "ja": "japanese japanisch japonais japonaise japones japonesa giapponese japans nihongo",
}
# Japanese, Chinese and Korean write them within other words.
_PARTS = {
    "en": ("英語", "英语", "영어"),
    "de": ("ドイツ語", "独語", "德语", "德文", "독일어"),
    "fr": ("フランス語", "仏語", "法语", "法文", "프랑스어"),
    "es": ("スペイン語", "西班牙语", "스페인어"),
    "pt": ("ポルトガル語", "葡萄牙语", "포르투갈어"),
    "ja": ("日本語", "日语", "日文", "일본어"),
}
_BY_WORD = {word: language for language, words in _WORDS.items() for word in words.split()}
_BY_PART = {part: language for language, parts in _PARTS.items() for part in parts}
_NAMES = re.compile(rf"\b(?:{'|'.join(_BY_WORD)})\b|{'|'.join(_BY_PART)}")
_TAG = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]{2,8})*")  # IETF's language tags, and Unix' locales
_THREE_LETTERS = {
    "eng": "en",
    "deu": "de",
    "ger": "de",
    "fra": "fr",
    "fre": "fr",
    "spa": "es",
    "por": "pt",
    "jpn": "ja",
}


def language_of(wish: str, locale: str) -> str:
    """Return the language to speak to a person. Both may be empty."""
    return named(wish) or of_tag(locale) or ENGLISH


@functools.lru_cache(maxsize=1_024)
def named(wish: str) -> str | None:
    """Return the first language that a preference names, such as "auf Deutsch bitte" or "pt-BR"; None without one."""
    if (language := of_tag(wish)) is not None:
        return language
    found = _NAMES.search(_plain(wish))
    return None if found is None else _BY_WORD.get(found[0]) or _BY_PART[found[0]]


def of_tag(tag: str) -> str | None:
    """Return the language of a tag such as `de-DE`; None if it is no tag, or of a language without a catalogue."""
    found = _TAG.fullmatch(tag.strip().casefold())
    language = _THREE_LETTERS.get(found[1], found[1]) if found else None
    return language if language in LANGUAGES else None


def _plain(text: str) -> str:
    """Return a text in lower case, without accents on its letters."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    latin = "".join(character for character in decomposed if not "\u0300" <= character <= "\u036f")
    return unicodedata.normalize("NFKC", latin)
