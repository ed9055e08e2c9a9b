"""Lookalikes: text as a reader sees it, whatever characters it is made of.

Rule: pure. `folded` reduces a text to the small Latin letters and digits that it resembles: "ꜱʏꜱᴛᴇᴍ" and "sẏstеm" read
"system". The table holds the letters that no decomposition and no name of Unicode's reduces, by the Latin letter that
they resemble. It is an extract of Unicode's confusables (https://www.unicode.org/reports/tr39). Scripts that
are added to Unicode are seldom lookalikes of Latin, so the table does not age, and no library has to carry it.
"""

# ruff: noqa: RUF001, RUF002

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Characters that pass for a square bracket, or for the colon after a name. Round and curly ones do not.
OPENING_BRACKETS = "[［⁅⟦⦋⦍⦏【〖〔〘〚❲『「﹇⎡⎣༺༼᚛⌈⌊〈❨❪❬❰❴⟅⟨⟪⟬⟮⦃⦅⦇⦉⦑⦓⦕⦗⧘⧚⧼⸢⸤⸦⸨⹕⹗⹙⹛〈《﴿︗︹︻︽︿﹁﹃﹝｟｢"
CLOSING_BRACKETS = "]］⁆⟧⦌⦎⦐】〗〕〙〛❳』」﹈⎤⎦༻༽᚜⌉⌋〉❩❫❭❱❵⟆⟩⟫⟭⟯⦄⦆⦈⦊⦒⦔⦖⦘⧙⧛⧽⸣⸥⸧⸩⹖⹘⹚⹜〉》﴾︘︺︼︾﹀﹂﹄﹞｠｣"
COLONS = ":𐞁：︓﹕∶꞉˸։׃ː፡"

_LOOKALIKES = {
    "a": "ɑΑαАаᎪᗅꓮꭺ𐊠𖽀",
    "b": "ƄΒВЬвᏏᏴᏼᑲᖯᗷꓐꞴ𐊂𐊡𐌁",
    "c": "СсᏟⲤⲥꓚꮯ𐊢𐌂𐐕𐐽𐔜𑣩𑣲",
    "d": "ԁᎠᏧᑯᗞᗪꓒꓓꭰ",
    "e": "ΕЕеҽᎬⴹꓰꭼ𐊆𑢦𑢮",
    "f": "Ϝքᖴẝꓝꬵ𐊇𐊥𐔥𑢢𑣂",
    "g": "ƍɡԌցᏀᏳꓖ",
    "h": "ΗНнһհᎻᏂᕼⲎꓧꮋ𐋏",
    "i": "ıɩιіӏᎥꙇꭵ𑣃",
    "j": "ͿϳЈјᎫᒍꓙꭻ",
    "k": "ĸΚκКкᏦᛕⲔⲕꓗꮶ𐔘",
    "l": "ƖǀΙІӀ۱ᏞᒪᛁⲒⳐⵏꓡꓲ𐊊𐌉𐌠𐐛𐔦𑢣𑢲𖼖𖼨",
    "m": "ʍΜϺМмᎷᗰᛖⲘꓟꮇ𐊰𐌑",
    "n": "ΝոռⲚꓠ𐔓",
    "o": "ΟοσОоՕօ۵०০੦૦ଠ୦௦౦೦ഠ൦๐໐ဝ၀ჿዐᴑⲞⲟⵔ〇ꓳ𐊒𐊫𐐄𐐬𐓂𐓪𐔖𑓐𑢵𑣈𑣗𑣠",
    "p": "ΡρРрᏢᑭᴩⲢⲣꓑꮲ𐊕",
    "q": "ԛգզⵕ",
    "r": "ƦгᎡᏒᖇᴦⲅꓣꭇꭈꮁ𐒴𖼵",
    "s": "ƽЅѕՏᏕᏚꓢꮪ𐊖𐐠𐑈𑣁𖼺",
    "t": "ΤτТтᎢⲦꓔꭲ𐊗𐊱𐌕𑢼𖼊",
    "u": "ʋυՍսሀᑌꓴꞟ𐓎𐓶𑢸𑣘𖽂",
    "v": "νѴѵ۷Ꮩᐯⴸꓦꛟꮩ𐔝𑜆𑢠𑣀𖼈",
    "w": "ɯѡԜԝաᎳᏔꓪꮃ𑜊𑜎𑜏𑣦𑣯ω",
    "x": "ΧХхᕁᕽᚷⲬⵝꓫꞳ𐊐𐊴𐌗𐌢𐔧𑣬χ",
    "y": "ɣΥγУуҮүყᎩᎽᶌⲨꓬ𐊲𑢤𑣜𖽃",
    "z": "ΖᏃꓜꮓ𐋵𑢩𑣄𑣥",
}
_LATIN = {ord(lookalike): letter for letter, lookalikes in _LOOKALIKES.items() for lookalike in lookalikes}
_NAMED = re.compile(
    r".*\b(?:LATIN|REGIONAL INDICATOR) .*LETTER (?:SMALL CAPITAL |DOTLESS )?(?P<letter>[A-Z])(?: WITH .*)?"
)
_ALIKE = str.maketrans("l1|0", "iiio")  # one letter for characters that many fonts draw alike
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})  # categories: control, format, unassigned, private, surrogate
_MARKS = frozenset({"Mn", "Me"})  # categories: accents, and shapes around a character
_MOST_KNOWN = 20_000
# Most of Unicode. No such sign resembles a Latin letter.
_IDEOGRAPHS = (range(0x3400, 0xA000), range(0xAC00, 0xD7A4), range(0x20000, 0x2A6E0), range(0x30000, 0x3134B))
_ABOVE_ALL = 0x32400  # from here on there are only invisible characters
_MOST_LETTERS = 4  # in one character, such as a unit. Longer ones, such as an Arabic phrase, have no Latin letters
# Letters, signs and selectors that fonts draw as nothing, besides those of the categories above.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0").union(
    map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
)


def folded(text: str) -> str:
    """Return the text in the small Latin letters and digits that it resembles. Signs and spaces stay.

    It takes linear time: each character is looked up, and none becomes more than four.
    """
    return text.translate(_FOLDING).replace("rn", "m")


@lru_cache(_MOST_KNOWN)
def is_invisible(char: str) -> bool:
    """Return whether fonts draw nothing for this character, not even a space."""
    return char in _BLANK or unicodedata.category(char) in _INVISIBLE


class _Folding(dict[int, str]):
    """What each character resembles, by its code point. It fills as characters occur."""

    def __missing__(self, code: int) -> str:
        """Find out about a character. Those that take longer are always kept: there are some fifty thousand."""
        if code >= _ABOVE_ALL:
            return ""
        at_once = _resembled_at_once(chr(code))
        resembled = _decomposed(chr(code)) if at_once is None else at_once
        if at_once is None or len(self) < _MOST_KNOWN:  # a text with all of Unicode must not fill the memory
            self[code] = resembled
        return resembled


def _resembled_at_once(char: str) -> str | None:
    """Return what most characters of Unicode resemble: nothing, or themselves. None for the others."""
    if any(ord(char) in signs for signs in _IDEOGRAPHS):
        return char
    return "" if is_invisible(char) and not (char.isascii() or char.isspace()) else None


def _decomposed(char: str) -> str:
    parts = unicodedata.normalize("NFKD", char)
    resembled = "".join(map(_resembled, parts)) if len(parts) <= _MOST_LETTERS else char
    return resembled.lower().translate(_ALIKE)


def _resembled(char: str) -> str:
    if char.isascii() or char.isspace():
        return char
    if is_invisible(char) or unicodedata.category(char) in _MARKS:
        return ""
    named = _NAMED.fullmatch(unicodedata.name(char, ""))
    if letter := _LATIN.get(ord(char)) or (named and named["letter"]):
        return letter
    small = char.casefold().lower()  # the casefold of Cherokee has capital letters
    return small if small == char else "".join(map(_resembled, small))


_FOLDING = _Folding()
