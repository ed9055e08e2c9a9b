"""Makes what a model wrote harmless in Slack, while it streams: it can ping nobody and hide no link's target.

Rule: pure. Neither how the text is divided into deltas, nor what is replaced in it, can bring a token about: what is
put in begins with a word joiner (U+2060, invisible), or with a character that opens no token and a word joiner.
Source of what Slack reads as a token: https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re

JOINER = "\N{WORD JOINER}"

_LABEL = r"[^<>\n]{0,300}"  # bounded, so that what is held back is bounded
_TARGET = r"[^<>|\n]{0,2000}"
_EVERYBODY = ("channel", "here", "everyone", "group")
_SPECIAL = ("subteam", "date")
_SAFE_SCHEMES = r"(?:https?|mailto|tel)"


def _beginning_of(*words: str) -> str:
    """A pattern for every beginning of these words, the whole and the empty one included."""
    beginnings = {word[:length] for word in words for length in range(len(word) + 1)}
    return f"(?:{'|'.join(sorted(beginnings, key=len, reverse=True))})"


_CANDIDATE = re.compile(r"[<&@\]]")
_TOKEN = re.compile(
    rf"""
    <!(?P<everybody>{"|".join(_EVERYBODY)})(?:\|{_LABEL})?>
    | <!(?P<special>{"|".join(_SPECIAL)})\^{_TARGET}(?:\|(?P<special_label>{_LABEL}))?>
    | <(?P<sign>[@\#])(?P<id>\w{{1,64}})(?:\|(?P<name>{_LABEL}))?>
    | <(?P<target>(?P<scheme>[a-z][a-z0-9+.-]{{0,30}}):{_TARGET})\|(?P<label>{_LABEL})>
    | (?<!\w)@(?P<bare>channel|here|everyone)
    | (?P<entity>&(?:lt|\#0{{0,4}}60|\#x0{{0,4}}3c);)(?=[!@\#\\])
    | (?P<bracket>\])(?=[(:]\s{{0,8}}<?(?!{_SAFE_SCHEMES}:)[^\s:/?\#&\\()<>]{{0,64}}(?:[&\\]|:[^\s:]))
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
    | &(?:l(?:t;?)? | \#0{{0,4}}(?:60?;?)? | \#x0{{0,4}}(?:3c?;?)?)?
    | \](?:[(:]\s{{0,8}}<?[^\s:/?\#&\\()<>]{{0,64}}:?)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
# A token that is too long or never ends, and what a Markdown converter may unescape into one or take for a link.
_SUSPECT = re.compile(
    rf"""
    <(?: \\[!@\#] | [@\#]\w | !(?:{"|".join(_EVERYBODY + _SPECIAL)})
      | (?:javascript|vbscript|data): | [a-z][a-z0-9+.-]{{0,30}}:{_TARGET}\| )
    """,
    re.VERBOSE | re.IGNORECASE,
)


class Harmless:
    """Passes one text through, delta by delta; holds back only what may be the unfinished start of a token."""

    def __init__(self) -> None:
        self._before = ""  # the last character passed on
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
            if (token := _TOKEN.match(text, at)) is not None:
                passed.append(_in_words(token))
                at = token.end()
            elif not final and _UNFINISHED.fullmatch(text, at):
                break
            else:
                passed.append(text[at] + JOINER if _SUSPECT.match(text, at) else text[at])
                at += 1
        else:
            passed.append(text[at:])
            at = len(text)
        self._before, self._held = text[max(at - 1, 0) : at], text[at:]
        return "".join(passed)


def harmless(text: str) -> str:
    """A whole text, made harmless."""
    passing = Harmless()
    return passing.feed(text) + passing.finish()


def _in_words(token: re.Match[str]) -> str:
    found = token.groupdict()
    if found["everybody"] or found["bare"]:
        return f"@{JOINER}{found['everybody'] or found['bare']}"
    if found["special"]:
        return JOINER + _plain(found["special_label"] or found["special"])
    if found["sign"]:
        return found["sign"] + JOINER + _plain(found["name"] or found["id"]).lstrip(found["sign"] + JOINER)
    if found["target"]:
        return _link(found["target"], found["scheme"], found["label"])
    return token[0] + JOINER  # an entity or a bracket, which the joiner parts from what follows


def _link(target: str, scheme: str, label: str) -> str:
    if not re.fullmatch(_SAFE_SCHEMES, scheme, re.IGNORECASE) or re.search(r"\s", target):
        return JOINER + _plain(label)
    address = target.replace("(", "%28").replace(")", "%29")
    return f"[{_plain(label) or _plain(target)}]({address})"


def _plain(label: str) -> str:
    """A label without what could be read as more than words."""
    return re.sub(r"[\[\]\\`&]", "", label).replace("@", "@" + JOINER)
