"""Makes what a model wrote harmless in Slack, while it streams: it can ping nobody, not even once its character
references (`&#33;`) are resolved, and a link whose words name another place than it leads to shows where it leads.

Rule: pure. Neither how the text is divided into deltas, nor what is replaced in it, can bring a token about: what is
put in begins with a word joiner (U+2060, invisible), or with a character that opens no token and a word joiner.
Sources: https://docs.slack.dev/messaging/formatting-message-text on what Slack reads as a token, and
https://spec.commonmark.org/0.31.2 on links and references; links by definition (`[a]: https://…`) are made text.
"""

from __future__ import annotations

import html
import re
import string

from bot.slack.text.links import names_another

JOINER = "\N{WORD JOINER}"

_LABEL = r"[^<>\n]{0,300}"  # bounded, so that what is held back is bounded
_TARGET = r"[^<>|\n]{0,2000}"
_EVERYBODY = ("channel", "here", "everyone", "group")
_SPECIAL = ("subteam", "date")
_SAFE_SCHEMES = r"(?:https?|mailto|tel)"
_SPACE = r"\s{0,8}"
_DESTINATION = rf"(?:{_SAFE_SCHEMES}:|//)[^\s<>)\]]"
_LONGEST_DESTINATION = 2_000
_SIGNS = ("excl", "commat", "num", "bsol", "vert", "verbar", "verticalline", "colon", "hat", "lowbar", "underbar")
_SIGNIFICANT = frozenset("<!@#\\|:^_" + string.ascii_letters + string.digits)  # of what a token or a name is made
_LONGEST_WORDS = 300  # of a link; longer ones are judged by their end
_LONGEST_SHOWN = 100


def _beginning_of(*words: str) -> str:
    """A pattern for every beginning of these words, the whole and the empty one included."""
    beginnings = {word[:length] for word in words for length in range(len(word) + 1)}
    return f"(?:{'|'.join(sorted(beginnings, key=len, reverse=True))})"


_LT = r"(?:\#0{0,8}60|\#x0{0,8}3c)"
_CANDIDATE = re.compile(r"[<&@\]]")
_TOKEN = re.compile(
    rf"""
    <!(?P<everybody>{"|".join(_EVERYBODY)})(?:\|{_LABEL})?>
    | <!(?P<special>{"|".join(_SPECIAL)})\^{_TARGET}(?:\|(?P<special_label>{_LABEL}))?>
    | <(?P<sign>[@\#])(?P<id>\w{{1,64}})(?:\|(?P<name>{_LABEL}))?>
    | <(?P<target>(?P<scheme>[a-z][a-z0-9+.-]{{0,30}}):{_TARGET})\|(?P<label>{_LABEL})>
    | (?<!\w)@(?P<bare>channel|here|everyone)
    | (?P<opening>&(?:lt|{_LT})(?:;(?=[!@\#\\]) | (?=[!\#\\]) | @))
    | &(?!{_LT}(?![0-9a-f]))(?P<reference>
        \#[0-9]{{1,12}}(?:;|(?=[^0-9;])) | \#x[0-9a-f]{{1,12}}(?:;|(?=[^0-9a-f;])) | (?:{"|".join(_SIGNS)}); )
    | (?P<bracket>\])(?=[(:]{_SPACE}<?(?!{_SAFE_SCHEMES}:)[^\s:/?\#&\\()<>]{{0,64}}(?:[&\\]|:[^\s:])
        | :{_SPACE}<?(?:{_SAFE_SCHEMES}:|//))
    | \](?=\({_SPACE}<?(?P<destination>{_DESTINATION}{{1,{_LONGEST_DESTINATION}}})[\s>)\]])
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What may yet become a token when more text comes. It has to grow with _TOKEN; the property tests watch over that.
_UNFINISHED = re.compile(
    rf"""
    <\\?
    | <!{_beginning_of(*_EVERYBODY, *_SPECIAL)}
    | <!(?:{"|".join(_EVERYBODY)})\|{_LABEL}
    | <!(?:{"|".join(_SPECIAL)})\^{_TARGET}(?:\|{_LABEL})?
    | <[@\#]\w{{0,64}} | <[@\#]\w{{1,64}}\|{_LABEL}
    | <[a-z][a-z0-9+.-]{{0,30}}(?::{_TARGET}(?:\|{_LABEL})?)?
    | @{_beginning_of("channel", "here", "everyone")}
    | &(?:{_beginning_of("lt", *_SIGNS)};? | \#[0-9]{{0,12}};? | \#x[0-9a-f]{{0,12}};?)
    | \](?:[(:]{_SPACE}<?(?:[^\s:/?\#&\\()<>]{{0,64}}:? | /{{1,2}} | {_DESTINATION}{{0,{_LONGEST_DESTINATION}}}))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What an address may not hold as it is: the end of a link, a bare name, the start of a character reference.
_IN_ADDRESS = re.compile(r"[()]|(?<!\w)@(?=channel|here|everyone)|&(?=\#|lt|\w{1,31};)", re.IGNORECASE)
_BRACKET = re.compile(r"(?<!\\)[\[\]]")
# What is too long to be read as a whole or never ends, and what a Markdown converter may unescape into a token.
_SUSPECT = re.compile(
    rf"""
    <(?: \\[!@\#] | [@\#]\w | !(?:{"|".join(_EVERYBODY + _SPECIAL)})
      | (?:javascript|vbscript|data): | [a-z][a-z0-9+.-]{{0,30}}:{_TARGET}\| )
    | &\#x?[0-9a-f]{{12}}
    | \][(:]\s{{9}}
    | \]\({_SPACE}<?(?:{_DESTINATION}{{{_LONGEST_DESTINATION + 1}}} | {_DESTINATION}{{0,{_LONGEST_DESTINATION}}}<)
    """,
    re.VERBOSE | re.IGNORECASE,
)


class Harmless:
    """Passes one text through, delta by delta; holds back only what may be the unfinished start of a token."""

    def __init__(self) -> None:
        self._before = ""  # the last characters passed on, as they were
        self._held = ""

    def feed(self, delta: str) -> str:
        """The next piece of text that is safe to show; it may be empty."""
        return self._pass_on(self._before + self._held + delta, final=False)

    def finish(self) -> str:
        """What was still held back at the end of the text."""
        return self._pass_on(self._before + self._held, final=True)

    def _pass_on(self, text: str, *, final: bool) -> str:
        at, passed = len(self._before), []
        while (candidate := _CANDIDATE.search(text, at)) is not None:
            passed.append(text[at : candidate.start()])
            at = candidate.start()
            token = _TOKEN.match(text, at)
            if token is not None and (words := _in_words(token)):
                passed.append(words)
                at = token.end()
            elif token is None and not final and _UNFINISHED.fullmatch(text, at):
                break
            else:
                passed.append(text[at] + JOINER if _SUSPECT.match(text, at) else text[at])
                at += 1
        else:
            passed.append(text[at:])
            at = len(text)
        self._before, self._held = text[max(at - _LONGEST_WORDS, 0) : at], text[at:]
        return "".join(passed)


def harmless(text: str) -> str:
    """A whole text, made harmless."""
    passing = Harmless()
    return passing.feed(text) + passing.finish()


def _in_words(token: re.Match[str]) -> str:
    """What is said instead of a token; nothing when it is harmless."""
    found = token.groupdict()
    if found["everybody"] or found["bare"]:
        return f"@{JOINER}{found['everybody'] or found['bare']}"
    if found["special"]:
        return JOINER + _plain(found["special_label"] or found["special"])
    if found["sign"]:
        return found["sign"] + JOINER + _plain(found["name"] or found["id"]).lstrip(found["sign"] + JOINER)
    if found["target"]:
        return _link(found["target"], found["scheme"], found["label"])
    return _beside(token)


def _beside(token: re.Match[str]) -> str:
    """A single character with what parts or tells it from what follows; nothing when it is harmless."""
    found = token.groupdict()
    if found["reference"]:
        is_of_a_token = not token[0].endswith(";") or html.unescape(token[0]) in _SIGNIFICANT
        return f"&{JOINER}{found['reference']}" if is_of_a_token else ""
    if found["destination"]:
        where = _where(_words_before(token.string, token.start()), found["destination"])
        return f"{where}]" if where else ""
    return token[0] + JOINER  # parted from what follows, which it would make a token or a link


def _link(target: str, scheme: str, label: str) -> str:
    if not re.fullmatch(_SAFE_SCHEMES, scheme, re.IGNORECASE) or re.search(r"\s", target):
        return JOINER + _plain(label)
    address = _IN_ADDRESS.sub(lambda found: f"%{ord(found[0]):x}", target)
    words = _plain(label) or _plain(target)
    return f"[{words}{_where(words, address)}]({address})"


def _words_before(text: str, end: int) -> str:
    """The words of the link whose closing bracket stands at `end`."""
    start, depth = max(end - _LONGEST_WORDS, 0), 1
    for bracket in reversed(list(_BRACKET.finditer(text, start, end))):
        depth += 1 if bracket[0] == "]" else -1
        if depth == 0:
            return text[bracket.end() : end]
    return text[start:end]


def _where(words: str, address: str) -> str:
    """Where a link leads, to stand after its words, when they name another place and do not say it themselves."""
    shown = _plain(address[:_LONGEST_SHOWN])
    says_it = shown.replace(JOINER, "") in words.replace(JOINER, "")
    return f"{JOINER} ({shown})" if names_another(words, address) and not says_it else ""


def _plain(label: str) -> str:
    """A label without what could be read as more than words."""
    return re.sub(r"[\[\]\\`&]", "", label).replace("@", "@" + JOINER)
