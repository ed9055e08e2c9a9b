"""bot.slack.text.markdown_sanitizer: the model's Markdown notifies nobody and hides no URL."""

import html
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.slack.text.markdown_sanitizer import JOINER, MarkdownSanitizer

PING = re.compile(
    r"<\\?(?:!(?:channel|here|everyone|group|subteam|date)|[@#]\w)"
    r"|(?<!\w)@(?:channel|here|everyone)",
    re.IGNORECASE,
)
HIDDEN = re.compile(
    r"\]\(\s*<?(?!https?:|mailto:|tel:)\w+:[^\s:]|<(?:javascript|data):[^<>\n]*>|<[a-z][a-z0-9+.-]*:[^<>\n|]*\|[^<>\n]*>",
    re.IGNORECASE,
)
PIECES = st.sampled_from(
    [
        *("<", ">", "!", "@", "#", "|", "^", ":", "\\", "&lt;", "&#60;", "]", "[", "(", ")", "](", "\n", " ", "a", "1"),
        *("<!", "<@U1", "<#C1", "channel", "here", "HERE", "everyone", "subteam^S1", "date^1^x", "@here"),
        *("&#33;", "&#0000060", "&#x3C;", "&excl;", "&commat;", "&#99;", "&#", "&#x", "60;", "&vert;", "&colon;"),
        *("[good.com", "](https://x.y", "](//x.y", "https://good.com", "[a]: "),
        *("<!channel>", "<!channel|x>", "<https://x.y|", "<javascript:x|", "javascript:", "https://x.y", "mailto:"),
    ]
)
TEXT = st.lists(PIECES | st.text(max_size=3), max_size=25).map("".join)


def sanitized(text: str) -> str:
    """Sanitize a whole text."""
    sanitizer = MarkdownSanitizer()
    return sanitizer.feed(text) + sanitizer.finish()


@settings(max_examples=400)
@given(TEXT)
def test_nothing_pings(text: str) -> None:
    """The sanitized text has no token or name that notifies anybody."""
    assert PING.search(sanitized(text)) is None
    assert PING.search(html.unescape(sanitized(text))) is None


@settings(max_examples=400)
@given(TEXT)
def test_no_link_has_another_scheme(text: str) -> None:
    """The sanitized text links only to the web, a mailbox or a phone number."""
    assert HIDDEN.search(sanitized(text)) is None


@settings(max_examples=400)
@given(TEXT, st.data())
def test_the_division_into_deltas_makes_no_difference(text: str, data: st.DataObject) -> None:
    """Any division of the text into deltas gives the same output."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    sanitizer = MarkdownSanitizer()
    deltas = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert "".join([*map(sanitizer.feed, deltas), sanitizer.finish()]) == sanitized(text)


@settings(max_examples=400)
@given(TEXT)
def test_one_character_at_a_time(text: str) -> None:
    """Deltas of one character give the same output."""
    sanitizer = MarkdownSanitizer()
    assert "".join([*map(sanitizer.feed, text), sanitizer.finish()]) == sanitized(text)


@example("[good.com](https://x.y@&excl;>")
@example("[good.com](https://x.y](https://x.y!>")
@example("](https://x.y&colon;](https://x.y>")
@example("](https://x.y:<!channel>](https://x.y>")
@settings(max_examples=400)
@given(TEXT)
def test_sanitizing_is_idempotent(text: str) -> None:
    """Sanitizing a sanitized text changes nothing that a reader sees."""
    once = sanitized(text)
    assert sanitized(once).replace(JOINER, "") == once.replace(JOINER, "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel> look", f"@{JOINER}channel look"),
        ("<!Here|here>", f"@{JOINER}Here"),
        ("ask <@U0ABC123>", f"ask @{JOINER}U0ABC123"),
        ("ask <@W0ABC|ana>", f"ask @{JOINER}ana"),
        ("in <#C0ABC|general>", f"in #{JOINER}general"),
        ("@everyone!", f"@{JOINER}everyone!"),
        ("<!subteam^S1|@ops>", f"{JOINER}@{JOINER}ops"),
        ("<https://x.y/z|here>", "[here](https://x.y/z)"),
        ("<https://x.y/@here?a=&lt;!here|z>", "[z](https://x.y/%40here?a=%26lt;!here)"),
        ("<javascript:alert(1)|here>", f"{JOINER}here"),
        ("[a](javascript:alert(1))", f"[a]{JOINER}(javascript:alert(1))"),
        ("<<!channel>!channel>", f"<@{JOINER}channel!channel>"),
        ("<!chan<!here>nel>", f"<!chan@{JOINER}herenel>"),
        ("<!channel", f"<{JOINER}!channel"),
        ("<&#33;channel>", f"<&{JOINER}#33;channel>"),
        ("&lt;&#33;channel&gt;", f"&lt;&{JOINER}#33;channel&gt;"),
        ("&#0000060;!channel>", f"&#0000060;{JOINER}!channel>"),
        ("&#39@here", f"&{JOINER}#39@here"),
        ("&#60@here", f"&#60@{JOINER}here"),
        ("&#x00003C!here>", f"&#x00003C{JOINER}!here>"),
        ("<&commat;U0ABC123>", f"<&{JOINER}commat;U0ABC123>"),
        ("<!chan&#110;el>", f"<!chan&{JOINER}#110;el>"),
        ("&#64;here", f"&{JOINER}#64;here"),
        ("<javascript&colon;x|y>", f"<javascript&{JOINER}colon;x|y>"),
        ("<https://evil.com&#124;good.com>", f"<https://evil.com&{JOINER}#124;good.com>"),
        ("&#" + "0" * 20 + "60;", f"&{JOINER}#" + "0" * 20 + "60;"),
    ],
)
def test_tokens_become_words(text: str, shown: str) -> None:
    """A token becomes text that reads the same. An unfinished token is broken."""
    assert sanitized(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html>\n<!-- a note -->\n<div class='x'>",
        "List<String> a = b < c && d > e;",
        "mail bob@here.com or ana@example.com",
        "[docs](https://x.y/z) ![picture](https://x.y/z.png) <https://x.y> [up](/top) [write](mailto:a@b.c)",
        "names[0](std::move(x)); <soap:Body>; x <- y; a[1]: int",
        "a &lt; b &amp;&amp; c &#62; d &#39;quoted&#39; &copy; &#8212; &ltimes; write `&#60;`",
        "**bold** _it_ `code` ```js\nif (a < b) {}\n```",
    ],
)
def test_ordinary_text_is_literal(text: str) -> None:
    """Code, markup and links to the web stay unchanged."""
    assert sanitized(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<https://evil.com|https://good.com>", f"[https://good.com{JOINER} (https://evil.com)](https://evil.com)"),
        ("[good.com](https://evil.com)", f"[good.com{JOINER} (https://evil.com)](https://evil.com)"),
        ("[**www.good&#46;com**](<//evil.com>)", f"[**www.good&#46;com**{JOINER} (//evil.com)](<//evil.com>)"),
        (
            "[a [good.com] b]( https://evil.com 'x')",
            f"[a [good.com] b{JOINER} (https://evil.com)]( https://evil.com 'x')",
        ),
        (
            "[good.com](https://good.com@evil.com)",
            "[good.com{0} (https://good.com@{0}evil.com)](https://good.com@evil.com)",
        ),
        (
            "[good.com](https://evil.com\\@good.com)",
            "[good.com{0} (https://evil.com@{0}good.com)](https://evil.com\\@good.com)",
        ),
        ("[ana@good.com](mailto:ana@evil.com)", "[ana@good.com{0} (mailto:ana@{0}evil.com)](mailto:ana@evil.com)"),
        ("[good.com](https://evil.com/<x>)", "[good.com]{0}(https://evil.com/<x>)"),
        ("[good.com]: https://evil.com", "[good.com]{0}: https://evil.com"),
        ("[good.com](" + " " * 50 + "https://evil.com)", "[good.com]{0}(" + " " * 50 + "https://evil.com)"),
    ],
)
def test_a_deceptive_link_shows_its_url(text: str, shown: str) -> None:
    """A label that names another host than the URL is followed by the URL."""
    assert sanitized(text) == shown.replace("{0}", JOINER)


@pytest.mark.parametrize(
    "text",
    [
        "[docs.good.com](https://docs.good.com/a_(b)) [good.com](https://www.good.com) [good.com](https://docs.good.com)",
        "[ana.b@good.com](mailto:ana.b@good.com) [the guide](https://good.com) [good.com (https://evil.com)](https://evil.com)",
        "x = names[config.name](value.of) and [a.conf]: it is wrong",
    ],
)
def test_an_honest_link_is_literal(text: str) -> None:
    """A link whose label names its own host, or none, stays unchanged. So does code that looks like a link."""
    assert sanitized(text) == text


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["<", "<!", "<a:", "<!date^", "&#", "&#6", "[", "]", "](", "](//", "a.", "@", "[a.b](//c ", " "]
)
def test_sanitizing_takes_linear_time(piece: str) -> None:
    """Sanitizing 300,000 characters of any repeated piece takes less than the time limit."""
    assert len(sanitized(piece * (300_000 // len(piece)))) >= 299_000


def test_only_the_start_of_a_token_is_held_back() -> None:
    """Text is passed on at once, up to the first possible start of a token."""
    sanitizer = MarkdownSanitizer()
    assert [sanitizer.feed("see <"), sanitizer.feed("!doc"), sanitizer.feed("<!here"), sanitizer.feed(">.")] == [
        "see ",
        "<!doc",
        "",
        f"@{JOINER}here.",
    ]


def test_the_buffer_is_bounded() -> None:
    """A token that never ends is passed on, broken, after a few thousand characters."""
    output = MarkdownSanitizer().feed("<!channel|" + "x" * 5_000)
    assert output == f"<{JOINER}!channel|" + "x" * 5_000
