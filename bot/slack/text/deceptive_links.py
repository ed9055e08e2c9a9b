"""Detection of deceptive links, whose label looks like another address than their URL.

Rule: pure. If two parsers could read a URL differently, the link is deceptive. A label is read as a person sees it:
after NFKC, without markup and without characters that fonts draw as nothing.
"""

from __future__ import annotations

import html
import re
import unicodedata
from urllib.parse import urlsplit

from bot.domain.lookalikes import is_invisible

_DOTS = str.maketrans(
    dict.fromkeys(
        "\u00b7\u02d9\u0701\u0702\u06d4\u1427\u16eb\u2022\u2024\u2027\u2219\u22c5\u2e31\u2e33\u3002\u30fb"
        "\ua4f8\ua60e\ua78f\uff0e\uff61\U0001f784",
        ".",
    )
)
_IDNA_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))  # that separate labels in a URL, too
_SLASHES = str.maketrans(dict.fromkeys("\u2044\u2215\u29f8\u2571", "/"))
_COLONS = str.maketrans(dict.fromkeys("\u2236\ua789\u02d0\u0589", ":"))
_LOOK = _DOTS | _SLASHES | _COLONS
# Letters, digits, hyphens, and accents and vowel signs, which \w does not match.
_CHAR = r"[\w\-\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u064b-\u065f\u0900-\u109f\u1dc0-\u1dff]"
_NAME = rf"(?:{_CHAR}+\.)+(?:xn--[\w-]+|(?![\d_]){_CHAR}{{2,}})"
_HOST = r"\[[^\s\]]*\]|[^\s/?\#:()\[\]\"'”»,;]+"  # after the slashes: an IPv6 address, or any name
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
# An IPv4 address with hexadecimal or octal parts, or one of the own machine's with fewer parts.
_OTHER_IP = (
    r"(?:\d{1,3}\.){0,3}0x[0-9a-f]{1,8}(?:\.(?:0x)?[0-9a-f]{1,8}){1,3}|0\d{1,3}(?:\.\d{1,3}){3}|127(?:\.\d{1,3}){1,2}"
)
# A host of one label and its path look like two words ("and/or"), unless the path asks to sign in, or has a query.
_NO_HOST = r"(?:(?:log|sign)[-]?(?:in|out|up|off|on)|register|join|e-?mail|user(?:name)?|name|password|and|or)/"
_SIGN_IN = r"(?:log-?[io]n|sign-?in|sso|wp-admin)(?![\w-])"
_INNER = (
    rf"(?!{_NO_HOST})(?P<inner>[^\W\d_]{_CHAR}+)(?=(?:/[\w.~%-]+)*/(?:{_SIGN_IN}|[\w.~%-]*\?\w+=))"
    r"|(?P<intranet>intranet)(?=/(?!internet|extranet)\w)"
)
_ADDRESS = re.compile(
    rf"""
    (?:(?<![\w+.-])[a-z][a-z0-9+.-]{{0,30}}:|(?<![\w:/]))//(?:(?P<user>[^\s/?\#@]*)@)?(?P<host>{_HOST})
    | (?<![\w.@-])(?P<mailbox>[\w.+-]+@)?(?P<name>{_NAME})(?![\w-])
    | (?<![\w.-])(?P<ip>{_OCTET}(?:\.{_OCTET}){{3}}|{_OTHER_IP})(?![\w-]|\.\d)
    | (?<![\w:.])\[?(?P<six>(?=:?[0-9a-f]|::[0-9a-f])(?=[0-9a-f:]{{0,39}}::)[0-9a-f:]{{3,39}})(?![\w:])
    | (?<![\w.@-])(?P<punycode>xn--[a-z0-9-]+)(?![\w.-])
    | ^\s*(?P<hexadecimal>0x[0-9a-f]{{7,8}})(?=\s*$)
    | (?<![\w.@/:\#-])(?P<integer>0x[0-9a-f]{{7,8}}|\d{{8,10}})(?=/[a-z?][\w-]{{3}}|:\d{{2,5}}(?!\d))
    | (?<![\w.@/:\#-])(?:{_INNER})
    | (?<![\w.@-])(?P<local>localhost)(?![\w.-])
    | ^\s*(?P<port>(?!\d+:){_CHAR}+):\d{{2,5}}(?=/|\s*$)
    | (?<![\w.-])(?:tel|sms|mailto):(?P<number>[^\s?]+)
    | ^\s*(?P<scheme>[a-z][a-z0-9+.-]{{1,30}}:)(?![\d:/])[^\s:]+\s*$
    """,
    re.VERBOSE | re.IGNORECASE,
)
# A label such as "report.pdf" names a file: these are no top-level domains.
_FILE = re.compile(
    r"(?:bat|cfg|conf|css|csv|dll|doc|docx|env|exe|gif|htm|html|ini|ipynb|java|jpeg|jpg|js|json|"
    r"jsx|log|msi|pdf|php|png|pptx|pptm|sql|svg|toml|ts|tsx|txt|wav|xls|xlsx|xml|yaml|yml)",
    re.IGNORECASE,
)
_MAX_SHOWN_URL = 100
_MAX_HOST = 253  # characters that the network knows in a host
# The groups that hold a host.
_HOSTS = ("host", "name", "ip", "six", "punycode", "hexadecimal", "integer", "inner", "intranet", "local", "port")
_AUTHORITY = re.compile(r"mailto:[^?]*|(?:[a-z]+:)?//[^/?#]*|www\.[^/?#]*", re.IGNORECASE)
_MARKUP = frozenset("\\*_~`")


def is_deceptive(label: str, url: str) -> bool:
    """Return whether the label looks like an address that is neither the URL's nor a parent domain of its host."""
    actual = real_host(url)
    target = html.unescape(url)
    return any(not _leads_to(found, actual, target) for found in _ADDRESS.finditer(_as_displayed(label)))


def real_host(url: str) -> str:
    """Return the host that the URL leads to, in ASCII; "" where two parsers could disagree."""
    if "\\" in url:  # a browser reads a backslash as a slash, Markdown as an escape
        return ""
    try:
        parts = urlsplit(("//" if url[:4].casefold() == "www." else "") + html.unescape(url))
        host = parts.path.rpartition("@")[2] if parts.scheme == "mailto" else parts.hostname or ""
    except ValueError:
        return ""
    return _ascii(host)


def as_shown(url: str) -> str:
    """Return a URL as a person may read it: its start, or only the scheme and the host if these would be hidden."""
    host, authority = real_host(url), _AUTHORITY.match(url)
    if not host or (url.isascii() and authority is not None and authority.end() <= _MAX_SHOWN_URL):
        return url[:_MAX_SHOWN_URL]
    scheme = (
        "mailto:" if url[:7].casefold() == "mailto:" else "//" if url[:2] == "//" else f"{url.partition(':')[0]}://"
    )
    return f"{scheme}{host}"


def _leads_to(found: re.Match[str], actual: str, target: str) -> bool:
    """Return whether the address that was found in a label is the URL's."""
    if found["number"]:
        return found["number"].casefold() == target.partition(":")[2].partition("?")[0].casefold()
    if found["user"] and re.search(r"[.:]", found["user"]):  # "https://good.com@evil.com" hides the host
        return False
    if found["mailbox"] and target[:7].casefold() == "mailto:":
        mailbox = _ascii(found["mailbox"] + found["name"])
        return mailbox != "" and mailbox == _ascii(target[7:].partition("?")[0])
    if found["scheme"]:
        return target.casefold().startswith(found["scheme"].casefold())
    named = next(found[kind] for kind in _HOSTS if found[kind])
    if found["name"] and not found["mailbox"] and _FILE.fullmatch(named.rpartition(".")[2]):
        return True
    host = _comparable(_ascii(named))
    return (host != "" and _comparable(actual) == host) or ("." in host and _comparable(actual).endswith(f".{host}"))


def _as_displayed(label: str) -> str:
    visible = "".join(char for char in html.unescape(label) if char not in _MARKUP and not is_invisible(char))
    return unicodedata.normalize("NFKC", visible.translate(_LOOK)).translate(_LOOK)


def _ascii(host: str) -> str:
    """Return a host as the network knows it: "müller.de" is "xn--mller-kva.de"; "" if it is too long for a host."""
    if len(host) > _MAX_HOST:
        return ""
    plain = unicodedata.normalize("NFKC", host).casefold().translate(_IDNA_DOTS)
    if len(plain) > _MAX_HOST:  # before the conversion, which takes quadratic time
        return ""
    known = ".".join(_ascii_label(label) for label in plain.split(".") if label)
    return known if len(known) <= _MAX_HOST else ""


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label
    try:
        return label.encode("idna").decode("ascii")
    except UnicodeError:
        return "xn--" + label.encode("punycode").decode("ascii")


def _comparable(host: str) -> str:
    return host.strip("[]").replace("_", "").removeprefix("www.")  # "_" is markup, too
