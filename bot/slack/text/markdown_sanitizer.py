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
        self._passed = ""  # the end of the original text before the buffer
        self._dropped = 0  # how many characters stood before that
        self._buffer = ""

    def feed(self, delta: str) -> str:
        """Take the next delta. Return the text that is safe to show, which may be empty."""
        return self._sanitize(self._passed + self._buffer + delta, is_end=False)

    def finish(self) -> str:
        """Return the text that is still held back, made safe."""
        return self._sanitize(self._passed + self._buffer, is_end=True)

    def _sanitize(self, text: str, *, is_end: bool) -> str:
        at, output = len(self._passed), []
        while (candidate := _CANDIDATE.search(text, at)) is not None:
            output.append(text[at : candidate.start()])
            at = candidate.start()
            token = _TOKEN.match(text, at)
            if token is not None and (replacement := _replacement(token, self._dropped)):
                output.append(replacement)
                at = token.end()
            elif token is None and not is_end and _TOKEN_PREFIX.fullmatch(text, at):
                break
            else:
                output.append(text[at] + JOINER if _SUSPICIOUS.match(text, at) else text[at])
                at += 1
        else:
            output.append(text[at:])
            at = len(text)
        dropped = max(at - _MAX_LABEL, 0)
        self._passed, self._buffer = text[dropped:at], text[at:]
        self._dropped += dropped
        return "".join(output)


def _replacement(token: re.Match[str], dropped: int) -> str:
    """Return the text that replaces a token; empty if the token is harmless.

    `dropped`: how many characters of the whole text stood before the one in which the token was found.
    """
    groups = token.groupdict()
    if groups["everybody"] or groups["bare"]:
        return f"@{JOINER}{groups['everybody'] or groups['bare']}"
    if groups["special"]:
        return JOINER + _plain(groups["special_label"] or groups["special"])
    if groups["sign"]:
        return groups["sign"] + JOINER + _plain(groups["name"] or groups["id"]).lstrip(groups["sign"] + JOINER)
    if groups["target"]:
        return _markdown_link(groups["target"], groups["scheme"], groups["label"])
    return _separated(token, dropped)


def _separated(token: re.Match[str], dropped: int) -> str:
    """Return a reference or a bracket, separated from the text after it; empty if it is harmless."""
    groups = token.groupdict()
    if groups["reference"]:
        may_be_in_token = not token[0].endswith(";") or html.unescape(token[0]) in _TOKEN_CHARACTERS
        return f"&{JOINER}{groups['reference']}" if may_be_in_token else ""
    if groups["destination"]:
        label = _label_before(token.string, token.start())
        is_cut = label is None and dropped + token.start() > _MAX_LABEL
        shown_url = _shown_url(_end_of_label(token) if label is None else label, groups["destination"], is_cut=is_cut)
        return f"{shown_url}]" if shown_url else ""
    return token[0] + JOINER


def _markdown_link(target: str, scheme: str, label: str) -> str:
    if not re.fullmatch(_SAFE_SCHEMES, scheme, re.IGNORECASE) or re.search(r"\s", target):
        return JOINER + _plain(label)
    url = _UNSAFE_IN_URL.sub(lambda match: f"%{ord(match[0]):x}", target)
    text = _plain(label) or _plain(target)
    return f"[{text}{_shown_url(text, url)}]({url})"


def _label_before(text: str, end: int) -> str | None:
    """Return the label of the link whose closing bracket is at `end`; None if its beginning is not near."""
    start, depth = max(end - _MAX_LABEL, 0), 1
    for bracket in reversed(list(_BRACKET.finditer(text, start, end))):
        depth += 1 if bracket[0] == "]" else -1
        if depth == 0:
            return text[bracket.end() : end]
    return None


def _end_of_label(token: re.Match[str]) -> str:
    return token.string[max(token.start() - _MAX_LABEL, 0) : token.start()]


def _shown_url(label: str, url: str, *, is_cut: bool = False) -> str:
    """Return the URL in parentheses, to follow a deceptive label; empty if the label is honest or shows the URL.

    `is_cut`: only the end of the label is known.
    """
    shown, plain = _plain(as_shown(url)), label.replace(JOINER, "")
    is_shown = f"({shown})".replace(JOINER, "") in plain or plain.strip() == url
    return f"{JOINER} ({shown})" if (is_cut or is_deceptive(label, url)) and not is_shown else ""


def _plain(label: str) -> str:
    """Return a label without markup, and without a bare mention such as @here."""
    return re.sub(r"[\[\]\\`&]", "", label).replace("@", "@" + JOINER)
