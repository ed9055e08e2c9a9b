"""bot.slack.text.markdown: what a model wrote can ping nobody and hide nothing."""

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.text.markdown import JOINER, Harmless, harmless

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


@settings(max_examples=400)
@given(TEXT)
def test_nothing_pings(text: str) -> None:
    """Whatever a model writes, no token or name that notifies anybody is left."""
    assert PING.search(harmless(text)) is None
    assert PING.search(html.unescape(harmless(text))) is None


@settings(max_examples=400)
@given(TEXT)
def test_nothing_hides_where_it_leads(text: str) -> None:
    """Whatever a model writes, no link is left that leads elsewhere than to the web or to a mailbox."""
    assert HIDDEN.search(harmless(text)) is None


@settings(max_examples=400)
@given(TEXT, st.data())
def test_deltas_make_no_difference(text: str, data: st.DataObject) -> None:
    """However the text is divided into deltas, what comes out is the same."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    passing = Harmless()
    deltas = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert "".join([*map(passing.feed, deltas), passing.finish()]) == harmless(text)


@settings(max_examples=400)
@given(TEXT)
def test_letter_by_letter(text: str) -> None:
    """Passed through one character at a time, the text comes out the same."""
    passing = Harmless()
    assert "".join([*map(passing.feed, text), passing.finish()]) == harmless(text)


@settings(max_examples=400)
@given(TEXT)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    """What has been made harmless says the same when it is passed through again."""
    once = harmless(text)
    assert harmless(once).replace(JOINER, "") == once.replace(JOINER, "")


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
    """A token turns into words that say the same; an unfinished one is broken."""
    assert harmless(text) == shown


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
    """Code, markup and links to the web come through unchanged."""
    assert harmless(text) == text


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
def test_a_link_under_anothers_name_shows_where_it_leads(text: str, shown: str) -> None:
    """The words of a link that name another place than the one it leads to are followed by that place."""
    assert harmless(text) == shown.replace("{0}", JOINER)


@pytest.mark.parametrize(
    "text",
    [
        "[docs.good.com](https://docs.good.com/a_(b)) [good.com](https://www.good.com) [good.com](https://docs.good.com)",
        "[ana.b@good.com](mailto:ana.b@good.com) [the guide](https://good.com) [good.com (https://evil.com)](https://evil.com)",
        "x = names[config.name](value.of) and [a.conf]: it is wrong",
    ],
)
def test_a_link_under_its_own_name_is_literal(text: str) -> None:
    """Links whose words name their own place, or none, come through unchanged; so does code that looks like one."""
    assert harmless(text) == text


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["<", "<!", "<a:", "<!date^", "&#", "&#6", "[", "]", "](", "](//", "a.", "@", "[a.b](//c ", " "]
)
def test_making_harmless_takes_no_longer_than_the_text_is_long(piece: str) -> None:
    """A text of 300,000 characters, whatever it repeats, is passed on at once."""
    assert len(harmless(piece * (300_000 // len(piece)))) >= 299_000


def test_only_the_start_of_a_token_is_held_back() -> None:
    """Text is passed on at once, up to what may yet become a token."""
    passing = Harmless()
    assert [passing.feed("see <"), passing.feed("!doc"), passing.feed("<!here"), passing.feed(">.")] == [
        "see ",
        "<!doc",
        "",
        f"@{JOINER}here.",
    ]


def test_what_is_held_back_is_bounded() -> None:
    """A token that never ends is let go, broken, after some thousand characters."""
    passed = Harmless().feed("<!channel|" + "x" * 5_000)
    assert passed == f"<{JOINER}!channel|" + "x" * 5_000
