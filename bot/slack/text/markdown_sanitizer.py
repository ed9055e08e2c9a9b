"""Sanitizing of the model's Markdown for Slack, while the answer streams.

The sanitized text notifies nobody, not even after a client resolves character references (`&#33;`). A link whose label
names another host than its URL shows its URL.

Rule: pure. No division of the text into deltas, and no replacement, can create a token. Each replacement begins with a
word joiner (U+2060, invisible), or with a character that opens no token and a word joiner.
Sources: https://docs.slack.dev/messaging/formatting-message-text for Slack's tokens, and
https://spec.commonmark.org/0.31.2 for links and references. Link definitions (`[a]: https://…`) become text.
"""

from __future__ import annotations

import html
import re
import string

from bot.slack.text.deceptive_links import as_shown, is_deceptive

JOINER = "\N{WORD JOINER}"

_LABEL = r"[^<>\n]{0,300}"  # bounded, so that the buffer of an unfinished token is bounded
_TARGET = r"[^<>|\n]{0,2000}"
_EVERYBODY = ("channel", "here", "everyone", "group")
_SPECIAL = ("subteam", "date")
_SAFE_SCHEMES = r"(?:https?|mailto|tel)"
_SPACE = r"\s{0,8}"
_DESTINATION = rf"(?:{_SAFE_SCHEMES}:|//|www\.)[^\s<>)]"
_MAX_DESTINATION = 2_000
_ENTITIES = ("excl", "commat", "num", "bsol", "vert", "verbar", "verticalline", "colon", "hat", "lowbar", "underbar")
_TOKEN_CHARACTERS = frozenset("<!@#\\|:^_" + string.ascii_letters + string.digits)  # in a token or a name
_MAX_LABEL = 300  # a longer label may hide an address, so its URL is shown


def _prefix_of(*words: str) -> str:
    """Return a pattern for every prefix of these words, including the empty one and the whole word."""
    prefixes = {word[:length] for word in words for length in range(len(word) + 1)}
    return f"(?:{'|'.join(sorted(prefixes, key=len, reverse=True))})"


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
        \#[0-9]{{1,12}}(?:;|(?=[^0-9;])) | \#x[0-9a-f]{{1,12}}(?:;|(?=[^0-9a-f;])) | (?:{"|".join(_ENTITIES)}); )
    | (?P<bracket>\])(?=[(:]{_SPACE}<?(?!{_SAFE_SCHEMES}:)[^\s:/?\#&\\()<>]{{0,64}}(?:[&\\]|:[^\s:])
        | :{_SPACE}<?(?:{_SAFE_SCHEMES}:|//))
    | \](?=\({_SPACE}<?(?P<destination>{_DESTINATION}{{1,{_MAX_DESTINATION}}})[\s>)])
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Text that may become a token when more text comes. It must cover each prefix of _TOKEN; property tests check that.
_TOKEN_PREFIX = re.compile(
    rf"""
    <\\?
    | <!{_prefix_of(*_EVERYBODY, *_SPECIAL)}
    | <!(?:{"|".join(_EVERYBODY)})\|{_LABEL}
    | <!(?:{"|".join(_SPECIAL)})\^{_TARGET}(?:\|{_LABEL})?
    | <[@\#]\w{{0,64}} | <[@\#]\w{{1,64}}\|{_LABEL}
    | <[a-z][a-z0-9+.-]{{0,30}}(?::{_TARGET}(?:\|{_LABEL})?)?
    | @{_prefix_of("channel", "here", "everyone")}
    | &(?:{_prefix_of("lt", *_ENTITIES)};? | \#[0-9]{{0,12}};? | \#x[0-9a-f]{{0,12}};?)
    | \](?:[(:]{_SPACE}<?(?:[^\s:/?\#&\\()<>]{{0,64}}:? | /{{1,2}} | {_DESTINATION}{{0,{_MAX_DESTINATION}}}))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Text that a URL must escape: the end of a link, a bare name, the start of a character reference.
_UNSAFE_IN_URL = re.compile(r"[()]|(?<!\w)@(?=channel|here|everyone)|&(?=\#|lt|\w{1,31};)", re.IGNORECASE)
_BRACKET = re.compile(r"(?<!\\)[\[\]]")
# The start of a token that is too long or never ends, and text that a Markdown converter may unescape into a token.
_SUSPICIOUS = re.compile(
    rf"""
    <(?: \\[!@\#] | [@\#]\w | !(?:{"|".join(_EVERYBODY + _SPECIAL)})
      | (?:javascript|vbscript|data): | [a-z][a-z0-9+.-]{{0,30}}:{_TARGET}\| )
    | &\#x?[0-9a-f]{{12}}
    | \][(:]\s{{9}}
    | \]\({_SPACE}<?(?:{_DESTINATION}{{{_MAX_DESTINATION + 1}}} | {_DESTINATION}{{0,{_MAX_DESTINATION}}}<)
    """,
    re.VERBOSE | re.IGNORECASE,
)


class MarkdownSanitizer:
    """Sanitizes one text, delta by delta. It holds back only text that may be the start of a token."""

    def __init__(self) -> None:
        self._before = ""  # the character of the original text before the buffer: an @ inside a word is harmless
        self._buffer = ""
        self._shown = _Shown()

    def feed(self, delta: str) -> str:
        """Take the next delta. Return the text that is safe to show, which may be empty."""
        return self._sanitize(self._before + self._buffer + delta, is_end=False)

    def finish(self) -> str:
        """Return the text that is still held back, made safe."""
        return self._sanitize(self._before + self._buffer, is_end=True)

    def _sanitize(self, text: str, *, is_end: bool) -> str:
        at, shown = len(self._before), self._shown
        while (candidate := _CANDIDATE.search(text, at)) is not None:
            shown.add(text[at : candidate.start()])
            at = candidate.start()
            token = _TOKEN.match(text, at)
            if token is not None and (replacement := _replacement(token, shown)):
                shown.add(replacement)
                at = token.end()
            elif token is None and not is_end and _TOKEN_PREFIX.fullmatch(text, at):
                break
            else:
                shown.add(text[at] + JOINER if _SUSPICIOUS.match(text, at) else text[at])
                at += 1
        else:
            shown.add(text[at:])
            at = len(text)
        self._before, self._buffer = text[max(at - 1, 0) : at], text[at:]
        return shown.take()


class _Shown:
    """The sanitized text, which may be the label of a link."""

    def __init__(self) -> None:
        self.end = ""
        self.is_longer = False  # than its end that is kept
        self._new: list[str] = []

    def add(self, text: str) -> None:
        """Add the text that is shown next."""
        self._new.append(text)
        end = self.end + text
        self.is_longer = self.is_longer or len(end) > _MAX_LABEL
        self.end = end[-_MAX_LABEL:]

    def take(self) -> str:
        """Return the text that was added since the last call."""
        new, self._new = self._new, []
        return "".join(new)


def _replacement(token: re.Match[str], before: _Shown) -> str:
    """Return the text that replaces a token; empty if the token is harmless. `before`: what is shown before it."""
    groups = token.groupdict()
    if groups["everybody"] or groups["bare"]:
        return f"@{JOINER}{groups['everybody'] or groups['bare']}"
    if groups["special"]:
        return JOINER + _plain(groups["special_label"] or groups["special"])
    if groups["sign"]:
        return groups["sign"] + JOINER + _plain(groups["name"] or groups["id"]).lstrip(groups["sign"] + JOINER)
    if groups["target"]:
        return _markdown_link(groups["target"], groups["scheme"], groups["label"])
    return _separated(token, before)


def _separated(token: re.Match[str], before: _Shown) -> str:
    """Return a reference or a bracket, separated from the text after it; empty if it is harmless."""
    groups = token.groupdict()
    if groups["reference"]:
        may_be_in_token = not token[0].endswith(";") or html.unescape(token[0]) in _TOKEN_CHARACTERS
        return f"&{JOINER}{groups['reference']}" if may_be_in_token else ""
    if groups["destination"]:
        if "](" in groups["destination"]:  # a link inside it: renderers disagree on where the URL ends
            return f"]{JOINER}"
        label = _label_at_end(before.end)
        is_cut = label is None and before.is_longer
        shown_url = _shown_url(before.end if label is None else label, groups["destination"], is_cut=is_cut)
        return f"{shown_url}]" if shown_url else ""
    return token[0] + JOINER


def _markdown_link(target: str, scheme: str, label: str) -> str:
    if not re.fullmatch(_SAFE_SCHEMES, scheme, re.IGNORECASE) or re.search(r"\s", target):
        return JOINER + _plain(label)
    url = _UNSAFE_IN_URL.sub(lambda match: f"%{ord(match[0]):x}", target)
    text = _plain(label) or _plain(target)
    return f"[{text}{_shown_url(text, url)}]({url})"


def _label_at_end(text: str) -> str | None:
    """Return the label of a link that ends the text; None if its beginning is not in the text."""
    depth = 1
    for bracket in reversed(list(_BRACKET.finditer(text))):
        depth += 1 if bracket[0] == "]" else -1
        if depth == 0:
            return text[bracket.end() :]
    return None


def _shown_url(label: str, url: str, *, is_cut: bool = False) -> str:
    """Return the URL in parentheses, to follow a deceptive label; empty if the label is honest or shows the URL.

    `is_cut`: only the end of the label is known.
    """
    url, plain = url.replace(JOINER, ""), label.replace(JOINER, "")
    shown = _plain(as_shown(url))
    is_shown = f"({shown})".replace(JOINER, "") in plain or plain.strip() == url
    return f"{JOINER} ({shown})" if (is_cut or is_deceptive(label, url)) and not is_shown else ""


def _plain(label: str) -> str:
    """Return a label without markup, and without a bare mention such as @here."""
    return re.sub(r"[\[\]\\`&]", "", label).replace("@", "@" + JOINER)
