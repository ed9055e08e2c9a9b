"""bot.slack.text.deceptive_links: a label that imitates another address than the URL is followed by the real host."""

from __future__ import annotations

import html

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.slack.text.markdown_sanitizer import JOINER, MarkdownSanitizer

FILLERS = ["\u200b", "\u2060", "\u00ad", "\ufe0f", "\u034f", "\u3164", "\u2800", "\u115f", "\u202e", "**", "_", "`"]
DOTS = [".", "\uff0e", "\u2024", "\u3002", "\uff61", "\u2027", "&#46;", "&period;", "**.**", "\u200b."]
# Each named host, and whether it looks like an address without a scheme.
HOSTS = {"good.com": True, "mail.good.co.uk": True, "10.0.0.1": True, "localhost": True, "intranet": False}
HOSTS |= {"m\u00fcller.de": True, "\u043f\u043e\u0447\u0442\u0430.\u0440\u0444": True, "xn--mller-kva.de": True}
HOSTS |= {
    "0x7f000001": False,
    "2130706433": False,
    "[2001:db8::1]": False,
    "\u0909\u0926\u093e\u0939\u0930\u0923.\u092d\u093e\u0930\u0924": True,
}
SCHEMES = ["https://", "http://", "HTTPS://", "ftp://", "ssh://", "slack://", "//", "vscode+x://"]
# Each target, and its host as the network knows it.
TARGETS = {"https://evil.net": "evil.net", "//evil.net/good.com": "evil.net", "http://10.9.9.9:80/x": "10.9.9.9"}
TARGETS |= {"https://good.com.evil.net/": "good.com.evil.net", "https://xn--80ak6aa92e.com": "xn--80ak6aa92e.com"}
TARGETS |= {
    "https://g\u043e\u043ed.com/x": "xn--gd-fmca.com",
    "https://evil\u3002net": "evil.net",
    "http://[::1]/": "::1",
}
TARGETS |= {f"https://good.com{'-a' * 29}.{'b' * 60}.evil.net/x": f"good.com{'-a' * 29}.{'b' * 60}.evil.net"}
TARGETS |= {f"https://good-a.net:{'p' * 90}@a.net/": "//a.net"}
TARGETS |= {"mailto:eve@evil.net": "evil.net", "www.evil.net/x": "www.evil.net"}


def sanitized(text: str) -> str:
    """Sanitize a whole text."""
    sanitizer = MarkdownSanitizer()
    return sanitizer.feed(text) + sanitizer.finish()


def label_of(link: str, url: str) -> str:
    """Return the label of a sanitized link as a person reads it."""
    shown = html.unescape(sanitized(link)).replace(JOINER, "")
    assert shown.endswith(f"]({url})")
    return shown.removesuffix(f"]({url})")


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """Generate a text that looks like an address, in any disguise."""
    host, is_plain = draw(st.sampled_from(sorted(HOSTS.items())))
    scheme = draw(st.sampled_from(["", *SCHEMES] if is_plain else SCHEMES))
    text = scheme + draw(st.sampled_from(["", "ana@", "ana:secret@"] if scheme else [""])) + host
    text = text.replace(".", draw(st.sampled_from(DOTS))) if "&" not in text else text
    if draw(st.booleans()) and "&" not in text:
        text = "".join(chr(ord(char) + 0xFEE0) if char.isalnum() and char.isascii() else char for char in text)
    at = draw(st.integers(0, len(text)))
    filler = draw(st.sampled_from(["", *FILLERS])) * draw(st.sampled_from([1, 2, 150, 400]))
    text = text if "&" in text else text[:at] + filler + text[at:]
    return text + draw(st.sampled_from(["", "/login", "/a?b=c", ":8080/x"]))


@given(
    addresses(), st.sampled_from(sorted(TARGETS)), st.sampled_from(["", "log in at "]), st.sampled_from(["", " now"])
)
@example("good.com" + "\u200b" * 400, "https://evil.net", "", "")
@example("https://evil.net.good.com", "https://evil.net", "", "")
@example("good.com", "http://[::1]/", "", "")
def test_a_false_address_is_followed_by_the_real_host(address: str, url: str, before: str, after: str) -> None:
    """Any imitated address, in any disguise, is followed by the host that the link leads to, in ASCII."""
    label = label_of(f"[{before}{address}{after}]({url})", url)

    assert f"{TARGETS[url]}" in label.rpartition("(")[2].lower()


WORDS = st.lists(
    st.sampled_from(
        [
            *("our", "docs", "see", "VPN", "and/or", "24/7", "v2.3", "e.g.", "10:30", "\u201cguide\u201d", "C++", "#1"),
            *("he/she", "1/2", "03/04/2026", "2026/04/03", "$1,200", "19.90/month", "TCP/IP", "km/h", "n/a", "or?"),
            *(
                "login/logout",
                "log in",
                "email/login",
                "username/password",
                "Jira/Confluence",
                "VPN/Wi-Fi",
                "read/write",
            ),
            *(
                "2130706433",
                "#4711000123",
                "20260403",
                "4711000123/2",
                "12345678/EUR",
                "0049/89/1234567",
                "src/app/main",
            ),
            *("0x80070005:", "owner/repository", "intranet", "intranet/internet", "sign-up/sign-in"),
        ]
    ),
    min_size=1,
    max_size=5,
).map(" ".join)
URLS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["https://", "http://", "//"]),
    st.sampled_from(sorted(HOSTS)),
    st.sampled_from(["", "/", "/a_(b)", "/a?b=c#d", ":8080/x"]),
)


@given(WORDS, URLS)
def test_words_are_no_address(words: str, url: str) -> None:
    """A label of ordinary words stays as it is, wherever it leads."""
    assert sanitized(f"[{words}]({url})") == f"[{words}]({url})"


@given(URLS, st.sampled_from(["", "the guide: "]))
def test_a_label_that_tells_the_target_stays(url: str, before: str) -> None:
    """A label that is the URL, or its host, stays as it is, in any script."""
    host = url.partition("//")[2].partition("/")[0]
    for label in (url, f"{before}{url.partition('(')[0]}", *([host] if "[" not in host else [])):
        assert sanitized(f"[{label}]({url})") == f"[{label}]({url})"


@pytest.mark.parametrize(
    "text",
    [
        "[report.pdf](https://files.good.com/1) [config.yml](https://git.good.com) [app.ts](https://git.good.com)",
        "[m\u00fcller.de](https://xn--mller-kva.de) [xn--mller-kva.de](https://m\u00fcller.de)",
        "[ana@good.com](mailto:ana@good.com?subject=hi) [tel:+1555](tel:+1555) [+1 555](tel:+1555)",
        "[GOOD.com.](https://good.com) [\u201cgood.com\u201d](https://good.com) [www.good.com](www.good.com)",
    ],
)
def test_an_honest_label_stays(text: str) -> None:
    """A file's name, the same host in another notation, and the same mailbox are no deception."""
    assert sanitized(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[ana@good.com](mailto:eve@good.com)", "[ana@good.com (mailto:eve@good.com)](mailto:eve@good.com)"),
        ("[tel:+1555](tel:+1999)", "[tel:+1555 (tel:+1999)](tel:+1999)"),
        ("[jira:8080](https://evil.net)", "[jira:8080 (https://evil.net)](https://evil.net)"),
        ("<https://evil.net|good\u2024com>", "[good\u2024com (https://evil.net)](https://evil.net)"),
        ("[good.com](www.evil.net)", "[good.com (www.evil.net)](www.evil.net)"),
        (
            "[https://good.com@evil.net](https://evil.net)",
            "[https://good.com@evil.net (https://evil.net)](https://evil.net)",
        ),
    ],
)
def test_other_addresses_are_compared_too(text: str, shown: str) -> None:
    """Mailboxes, phone numbers, ports and a host behind a user's name are compared."""
    assert sanitized(text).replace(JOINER, "") == shown


@pytest.mark.parametrize(
    "label",
    [
        *(f"good{dot}com" for dot in "\u2022\u02d9\u1427\u16eb\ua78f\u30fb\U0001f784"),
        *("::1", "[::1]", "2001:db8::1", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "xn--p1ai"),
        *(
            "intranet/login",
            "Intranet/hr/leave",
            "portal/SSO",
            "srv-01/app/sign-in",
            "wiki/?page=1",
            "hr/leave?id=7#top",
        ),
        *(
            "2130706433/login",
            "log in at 167772161:8080",
            "0x7f000001/login",
            "see 0x7F000001:8080/x",
            "0xa000001/home",
        ),
        *("now: 2130706433/home", "\uff12130706433/login", "intr\u200banet/login", "intranet\u2044login"),
        *("myapp:foo", "javascript:alert", "bank\u2219com", "bank\u22c5com", "bank\u2e31com"),
    ],
)
def test_unusual_addresses_are_followed_by_the_real_host(label: str) -> None:
    """Other notations of an address, other schemes and other dots are recognised."""
    assert sanitized(f"[{label}](https://evil.net)").endswith(" (https://evil.net)](https://evil.net)")


@pytest.mark.parametrize(
    "text",
    [
        "[::1](http://[::1]/) [127.1](http://127.1/) [167772161](http://167772161/) [xn--p1ai](https://xn--p1ai/)",
        "[2130706433/login](http://2130706433/) [intranet/login](https://intranet/x) [portal/sso](//portal:8443/sso)",
        "[std::vector](https://good.com) [and/or](https://good.com) [01.02.2026](https://good.com)",
        "[10:30](https://good.com) [3.12](https://good.com) [20260102](https://good.com)",
    ],
)
def test_an_unusual_honest_label_stays(text: str) -> None:
    """The same address in another notation, code, dates, times and versions are no deception."""
    assert sanitized(text) == text


@pytest.mark.parametrize("host", ["\ufdfa" * 300, "\ufdfa" * 100, "\u00fc" * 254, "a." * 200])
def test_a_host_that_is_too_long_is_not_converted(host: str) -> None:
    """A label with an address is followed by the start of a URL whose host no network knows."""
    shown = sanitized(f"[bank.com](https://{host})").replace(JOINER, "")

    assert shown == f"[bank.com (https://{host[:92]})](https://{host})"
